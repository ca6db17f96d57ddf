"""Decoder likelihoods p(x | z): one example, nats, summed over all dimensions.

The `discretized_*` families give a probability to each integer level 0 .. levels-1.
Level k stands at 2 k / (levels - 1) - 1 on [-1, 1]; its bin reaches halfway to its
neighbours, and the two edge bins are open, so that the levels' probabilities sum to 1.
"""

import chex
import jax
import jax.numpy as jnp

from diffjax.core import categorical as _categorical
from diffjax.core.precision import widen
from diffjax.types import Array


def bernoulli(x: Array, logits: Array) -> Array:
    r"""Log probability of bits.

        log p(x) = sum [ x l - log(1 + exp l) ]

    Lecture 02 (VAE), reconstruction term; finite in value and gradient for any logit.

    Args: x: [...], 0 or 1 (of any dtype).  logits: [...].
    Returns: [] nats.
    """
    chex.assert_equal_shape([x, logits])
    x, logits = widen(x, logits)
    # `jax.nn.softplus`, without its care for nan, which costs more than the rest.
    log_1p = jnp.maximum(logits, 0) + jnp.log1p(jnp.exp(-jnp.abs(logits)))
    return jnp.sum(x * logits - log_1p)


def categorical(x: Array, logits: Array) -> Array:
    r"""Log probability of categories, for example a 256-way decoder of pixels.

        log p(x) = sum [ l_x - log sum_k exp l_k ]

    Lecture 02 (AE), the categorical loss.

    Args: x: integer [...].  logits: [..., K].
    Returns: [] nats.
    """
    return _categorical.log_prob(x, logits)


def discretized_gaussian(
    x: Array, mean: Array, log_scale: Array, *, levels: int = 256
) -> Array:
    r"""Log probability of levels under a Gaussian cut into bins, exactly.

        log p(x) = sum log [ Phi((c + h - mean) / s) - Phi((c - h - mean) / s) ]

    with c the level's place on [-1, 1] and h = 1 / (levels - 1). Ho et al. 2020
    (arXiv:2006.11239), eq. 13.

    Args: x: integer [...].  mean: [...].  log_scale: [...] or [], log s.  levels: how
        many.
    Returns: [] nats.
    """
    mean, log_scale = widen(mean, log_scale)
    centre, half = _bins(x, mean, levels)
    inverse_scale = jnp.exp(-log_scale)
    below = (centre - half - mean) * inverse_scale
    above = (centre + half - mean) * inverse_scale
    inner = _log_normal_interval(
        (centre - mean) * inverse_scale, 2 * half * inverse_scale
    )
    return jnp.sum(_open_edges(x, levels, _log_ndtr(above), inner, _log_ndtr(-below)))


def discretized_gaussian_tanh(
    x: Array, mean: Array, log_scale: Array, *, levels: int = 256
) -> Array:
    r"""The DDPM code's approximation of `discretized_gaussian`: for parity only.

        Phi(u) ~ 1/2 (1 + tanh(sqrt(2 / pi) (u + 0.044715 u^3))), probabilities
        clamped at 1e-12

    Ho et al. 2020, published code; 45 % too small four deviations out, and the clamp
    makes it no code length.

    Args: x: integer [...].  mean: [...].  log_scale: [...] or [], log s.  levels: how
        many.
    Returns: [] nats.
    """
    mean, log_scale = widen(mean, log_scale)
    centre, half = _bins(x, mean, levels)
    inverse_scale = jnp.exp(-log_scale)
    above = _tanh_cdf((centre + half - mean) * inverse_scale)
    below = _tanh_cdf((centre - half - mean) * inverse_scale)
    probability = _open_edges(x, levels, above, above - below, 1 - below)
    return jnp.sum(jnp.log(jnp.maximum(probability, 1e-12)))


def discretized_logistic(
    x: Array, mean: Array, log_scale: Array, *, levels: int = 256
) -> Array:
    r"""Log probability of levels under a logistic law cut into bins, exactly.

        log p(x) = sum log [ S((c + h - mean) / s) - S((c - h - mean) / s) ],
        S(u) = 1 / (1 + exp -u)

    Kingma et al. 2016 (IAF, arXiv:1606.04934); Salimans et al. 2017 (PixelCNN++,
    arXiv:1701.05517), eq. 2.

    Args: x: integer [...].  mean: [...].  log_scale: [...] or [], log s.  levels: how
        many.
    Returns: [] nats.
    """
    mean, log_scale = widen(mean, log_scale)
    return jnp.sum(_log_logistic_bins(x, mean, log_scale, levels))


def discretized_logistic_mixture(
    x: Array, params: Array, *, levels: int = 256
) -> Array:
    r"""Log probability of RGB levels under PixelCNN++'s mixture of M logistics.

        p(x) = prod_pixels sum_m w_m prod_c p_logistic(x_c; mean_mc, s_mc),
        mean_G += c_0 R,    mean_B += c_1 R + c_2 G,    c = tanh(raw)

    Salimans et al. 2017 (arXiv:1701.05517), eqs. 1-3; log s is clamped at -7 below.
    The channels are M mixture logits, then for each colour M means, M log scales and
    M raw coefficients.

    Args: x: integer [..., 3].  params: [..., 10 M].  levels: how many.
    Returns: [] nats.
    """
    if x.shape[-1] != 3 or params.shape[-1] % 10:
        raise ValueError(
            "expected x [..., 3] and params [..., 10 M], got "
            f"{x.shape} and {params.shape}; grey images have `discretized_logistic`"
        )
    chex.assert_equal_shape_prefix([x, params], x.ndim - 1)
    (params,) = widen(params)
    num = params.shape[-1] // 10
    log_weight = jax.nn.log_softmax(params[..., :num])
    mean, log_scale, raw = jnp.split(
        params[..., num:].reshape(*x.shape, 3 * num), 3, axis=-1
    )  # each [..., 3, M]
    mean = mean + _colour_shift(_centre(x, levels, mean), jnp.tanh(raw))
    x_each = jnp.broadcast_to(x[..., None], mean.shape)
    log_p = _log_logistic_bins(x_each, mean, jnp.maximum(log_scale, -7), levels)
    return jnp.sum(jax.nn.logsumexp(log_weight + jnp.sum(log_p, axis=-2), axis=-1))


def _colour_shift(centre: Array, coefficient: Array) -> Array:
    red, green = centre[..., 0, None], centre[..., 1, None]
    c_0, c_1, c_2 = (coefficient[..., i, :] for i in range(3))
    blue_shift = c_1 * red + c_2 * green
    return jnp.stack([jnp.zeros_like(blue_shift), c_0 * red, blue_shift], axis=-2)


def _centre(x: Array, levels: int, like: Array) -> Array:
    return x.astype(like.dtype) * (2 / (levels - 1)) - 1


def _bins(x: Array, mean: Array, levels: int) -> tuple[Array, float]:
    chex.assert_equal_shape([x, mean])
    if not jnp.issubdtype(x.dtype, jnp.integer):
        raise ValueError(
            f"expected integer levels 0 .. {levels - 1}, got dtype {x.dtype}; "
            "only means and scales live on [-1, 1]"
        )
    if levels < 2:
        raise ValueError(f"expected at least 2 levels, got {levels}")
    return _centre(x, levels, mean), 1 / (levels - 1)


def _open_edges(
    x: Array, levels: int, first: Array, inner: Array, last: Array
) -> Array:
    return jnp.where(x == 0, first, jnp.where(x == levels - 1, last, inner))


def _log_normal_interval(middle: Array, width: Array) -> Array:
    """log [ Phi(middle + width / 2) - Phi(middle - width / 2) ], any width > 0."""
    # Mirrored into the lower tail, where log Phi has all its digits.
    middle = -jnp.abs(middle)
    log_above = _log_ndtr(middle + width / 2)
    log_below = _log_ndtr(middle - width / 2)
    # For a narrow bin the difference of the two has no digits left, but the density
    # at the midpoint is right to second order.
    narrow = width < jnp.finfo(middle.dtype).eps ** (1 / 3)
    # d log Phi(u) / du > -u, so the log ratio is at most middle * width; far out,
    # rounding would break this.
    log_ratio = jnp.minimum(log_below - log_above, middle * width)
    log_ratio = jnp.where(narrow, -1, log_ratio)
    exact = log_above + jnp.log(-jnp.expm1(log_ratio))
    squared = jnp.square(jnp.where(narrow, middle, 0))
    log_density = -0.5 * (squared + jnp.log(2 * jnp.pi))
    midpoint = log_density + jnp.log(width) + (squared - 1) * jnp.square(width) / 24
    return jnp.where(narrow, midpoint, exact)


def _log_ndtr(u: Array) -> Array:
    # jax's own is right in value, but far out its gradient, exp(-u^2 / 2 - log Phi),
    # is a difference of large numbers; differentiating the series is not.
    far = u < (-10 if jnp.finfo(u.dtype).eps > 1e-10 else -30)
    r = 1 / jnp.square(jnp.where(far, u, 1))
    series = 1 - r * (1 - 3 * r * (1 - 5 * r * (1 - 7 * r)))
    safe = jnp.where(far, u, -1)
    tail = -0.5 * jnp.square(safe) - jnp.log(-safe) - 0.5 * jnp.log(2 * jnp.pi)
    tail = tail + jnp.log(jnp.where(far, series, 1))
    return jnp.where(far, tail, jax.scipy.special.log_ndtr(jnp.where(far, 0, u)))


def _tanh_cdf(u: Array) -> Array:
    return 0.5 * (1 + jnp.tanh(jnp.sqrt(2 / jnp.pi) * (u + 0.044715 * u**3)))


def _log_logistic_bins(x: Array, mean: Array, log_scale: Array, levels: int) -> Array:
    centre, half = _bins(x, mean, levels)
    inverse_scale = jnp.exp(-log_scale)
    log_above = jax.nn.log_sigmoid((centre + half - mean) * inverse_scale)
    log_not_below = jax.nn.log_sigmoid(-(centre - half - mean) * inverse_scale)
    # S(b) - S(a) = S(b) S(-a) (1 - exp(a - b)): no difference of near equals, at any
    # scale; exact where PixelCNN++ needs a clamp and a midpoint rule.
    width = 2 * half * inverse_scale
    inner = log_above + log_not_below + jnp.log(-jnp.expm1(-width))
    return _open_edges(x, levels, log_above, inner, log_not_below)
