"""Heads for ordinal data: logits of K levels from the mean and scale of a logistic law.

Level k stands at c_k = 2 k / (K - 1) - 1 on [-1, 1], its bin reaching h = 1 / (K - 1)
to either side. S(u) = 1 / (1 + exp -u).
"""

import chex
import jax
import jax.numpy as jnp

from diffjax.core import categorical
from diffjax.types import Array


def truncated_logistic(mean: Array, log_scale: Array, K: int) -> Array:
    r"""The paper's head: a logistic law cut into bins, and off beyond the last.

        p_k  is proportional to  S((c_k + h - mean) / s) - S((c_k - h - mean) / s)

    Austin et al. 2021 (arXiv:2107.03006), appendix B.1, exactly: no term is clamped.

    Args: mean: [...] on [-1, 1].  log_scale: [...], log s.  K: levels.
    Returns: [..., K] log probabilities, nats.
    """
    above, below = _edges(mean, jnp.exp(-log_scale), K)
    # S(b) - S(a) = S(b) S(-a) (1 - exp(a - b)), where b - a is the same for every bin.
    return categorical.normalise(jax.nn.log_sigmoid(above) + jax.nn.log_sigmoid(-below))


def open_logistic(mean: Array, log_scale: Array, K: int) -> Array:
    r"""A head whose two edge bins reach to infinity, as in `likelihoods`.

        p_k = S(upper_k) - S(lower_k),    upper_{K-1} = inf,    lower_0 = -inf

    Salimans et al. 2017 (arXiv:1701.05517), eq. 2.

    Args: mean: [...] on [-1, 1].  log_scale: [...], log s.  K: levels.
    Returns: [..., K] log probabilities, nats.
    """
    inverse_scale = jnp.exp(-log_scale)
    above, below = _edges(mean, inverse_scale, K)
    width = (2 / (K - 1)) * inverse_scale[..., None]
    log_above, log_not_below = jax.nn.log_sigmoid(above), jax.nn.log_sigmoid(-below)
    inner = log_above + log_not_below + jnp.log(-jnp.expm1(-width))
    level = jnp.arange(K).reshape((1,) * mean.ndim + (K,))
    log_p = jnp.where(level == K - 1, log_not_below, inner)
    return categorical.normalise(jnp.where(level == 0, log_above, log_p))


def published_logistic(mean: Array, log_scale: Array, K: int) -> Array:
    r"""The published code's version of `truncated_logistic`: for parity only.

        l_k = a + log(1 - exp(b - a) + 1e-6),    a, b = log S(upper_k), log S(lower_k),
        s = exp(log_scale - 2)

    Austin et al. 2021, published code; far in the upper tail it cannot tell the levels
    apart.

    Args: mean: [...] on [-1, 1].  log_scale: [...], the network's output.  K: levels.
    Returns: [..., K] log probabilities, nats.
    """
    above, below = _edges(mean, jnp.exp(2 - log_scale), K)
    upper, lower = jax.nn.log_sigmoid(above), jax.nn.log_sigmoid(below)
    return categorical.normalise(upper + jnp.log1p(1e-6 - jnp.exp(lower - upper)))


def _edges(mean: Array, inverse_scale: Array, K: int) -> tuple[Array, Array]:
    chex.assert_equal_shape([mean, inverse_scale])
    if K < 2:
        raise ValueError(f"expected at least K = 2 levels, got {K}")
    centre = 2 * jnp.arange(K, dtype=mean.dtype) / (K - 1) - 1
    shift = centre.reshape((1,) * mean.ndim + (K,)) - mean[..., None]
    half, inverse_scale = 1 / (K - 1), inverse_scale[..., None]
    return (shift + half) * inverse_scale, (shift - half) * inverse_scale
