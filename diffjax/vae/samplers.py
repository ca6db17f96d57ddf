"""Ancestral sampling: a latent from the prior, then x from what the decoder says.

A `Draw` belongs to a likelihood of the same name in `decoders`.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from diffjax.core import categorical, chain, gaussian
from diffjax.types import Array
from diffjax.vae.likelihood import Decode

Draw = Callable[[Array, Any], Array]
"""(key, decoded) -> x [...], one example."""


def draw_bernoulli(rng: Array, logits: Array) -> Array:
    r"""Bits. For grey images of the means give `sample` a sigmoid instead.

        x ~ Bernoulli(sigmoid(l))

    Args: rng: key.  logits: [...].
    Returns: [...], 0 or 1 in the dtype of the logits (no unit).
    """
    return jax.random.bernoulli(rng, jax.nn.sigmoid(logits)).astype(logits.dtype)


def draw_categorical(rng: Array, logits: Array) -> Array:
    r"""Categories, those of small probability as often as they should be.

        x = argmax_k (l_k + g_k),    g_k ~ Gumbel(0, 1)

    Args: rng: key.  logits: [..., K].
    Returns: integer [...] (category index, no unit).
    """
    noise = jax.random.gumbel(rng, logits.shape, logits.dtype, mode="high")
    return categorical.draw(logits, noise)


def draw_gaussian_with(sigma: float) -> Draw:
    r"""Real values around the decoder's mean, one deviation given for all.

        x = mean + sigma eps,    eps ~ N(0, I)

    Args: sigma: >= 0; with 0 a sample is the mean.
    Returns: a `Draw`: (rng, mean [...]) -> [...] (data units).
    """
    if sigma < 0:
        raise ValueError(f"expected sigma >= 0, got {sigma}")
    return lambda rng, mean: mean + sigma * chain.normal(rng, mean)


def draw_gaussian_moments(rng: Array, decoded: tuple[Array, Array]) -> Array:
    r"""Real values; the decoder says the mean and the variance, shared or of each.

        x = mean + sqrt(var) eps,    eps ~ N(0, I)

    Args: rng: key.  decoded: mean [...], log_var [...] or [].
    Returns: [...] (data units).
    """
    mean, log_var = decoded
    return gaussian.reparameterize(mean, log_var, chain.normal(rng, mean))


def draw_discretized_logistic(*, levels: int = 256) -> Draw:
    r"""Levels of a logistic law cut into bins: the level nearest to a logistic draw.

        x = round( (u + 1) (levels - 1) / 2 ),    u ~ logistic(mean, s)

    Args: levels: how many.
    Returns: a `Draw`: (rng, (mean [...], log_scale)) -> integer [...] (levels).
    """

    def draw(rng: Array, decoded: tuple[Array, Array]) -> Array:
        mean, log_scale = decoded
        noise = jax.random.logistic(rng, mean.shape, mean.dtype)
        return _nearest(mean + jnp.exp(log_scale) * noise, levels)

    return draw


def draw_logistic_mixture(*, levels: int = 256) -> Draw:
    r"""RGB levels of a mixture of logistics: a component, then red, green and blue.

        mean_G += c_0 R,    mean_B += c_1 R + c_2 G,    c = tanh(raw)

    Salimans et al. 2017 (PixelCNN++, arXiv:1701.05517), eqs. 1-3. Red is rounded to its
    level before green sees it, as in the likelihood.

    Args: levels: how many.
    Returns: a `Draw`: (rng, params [..., 10 M]) -> integer [..., 3] (levels).
    """

    def draw(rng: Array, params: Array) -> Array:
        of_component, of_colours = jax.random.split(rng)
        num = params.shape[-1] // 10
        m = draw_categorical(of_component, params[..., :num])[..., None, None]
        rest = params[..., num:].reshape(*params.shape[:-1], 3, 3 * num)
        mean, log_scale, raw = (
            jnp.take_along_axis(part, m, axis=-1)[..., 0]
            for part in jnp.split(rest, 3, axis=-1)
        )  # each [..., 3]
        scale, c = jnp.exp(jnp.maximum(log_scale, -7)), jnp.tanh(raw)
        noise = scale * jax.random.logistic(of_colours, mean.shape, mean.dtype)
        place = lambda x: x.astype(mean.dtype) * (2 / (levels - 1)) - 1  # noqa: E731
        free = mean + noise
        red = _nearest(free[..., 0], levels)
        green = _nearest(free[..., 1] + c[..., 0] * place(red), levels)
        shift = c[..., 1] * place(red) + c[..., 2] * place(green)
        blue = _nearest(free[..., 2] + shift, levels)
        return jnp.stack([red, green, blue], axis=-1)

    return draw


def sample(
    decode: Decode, rng: Array, shape: tuple[int, ...], *, draw: Draw = draw_bernoulli
) -> Array:
    r"""Draw from the generative model.

        z ~ N(0, I),    x ~ p(x | z)

    Lecture 02 (VAE), "generation of x'".

    Args: decode: one example.  rng: key, or keys [B].  shape: of the latents, the batch
        first.  draw: of x from what `decode` says.
    Returns: [B, ...] (data units).
    """

    def one(rng: Array) -> Array:
        of_latent, of_data = jax.random.split(rng)
        return draw(of_data, decode(jax.random.normal(of_latent, shape[1:])))

    return jax.vmap(one)(chain.example_keys(rng, shape[0]))


def _nearest(value: Array, levels: int) -> Array:
    level = jnp.round((value + 1) * ((levels - 1) / 2))
    return jnp.clip(level, 0, levels - 1).astype(jnp.int32)
