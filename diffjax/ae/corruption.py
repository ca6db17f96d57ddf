"""What a denoising autoencoder has to undo: (key, x) -> a corrupted x, one example."""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from diffjax.core import chain, checks
from diffjax.types import Array

Corrupt = Callable[[Array, Array], Array]
"""(key, x [...]) -> x~ [...], of the same dtype."""


def gaussian_noise(sigma: float) -> Corrupt:
    r"""Noise of one deviation everywhere: the corruption that diffusion is made of.

        x~ = x + sigma eps,    eps ~ N(0, I)

    Slides "Towards Diffusion Models", "Denoising Autoencoder".

    Args: sigma: >= 0, data units.
    Returns: a `Corrupt`: (rng, x [...]) -> [...] (data units).
    """
    if checks.is_concrete(sigma) and not sigma >= 0:
        raise ValueError(f"expected sigma >= 0, got {sigma}")

    def corrupt(rng: Array, x: Array) -> Array:
        checks.floating("x", x)
        return x + sigma * chain.normal(rng, x)

    return corrupt


def masking(probability: float, *, value: float = 0) -> Corrupt:
    r"""Entries are lost, each by itself.

        x~_i = value with probability p, else x_i

    Vincent et al. 2008 lose a fixed number of entries; here their number is binomial.

    Args: probability: p in [0, 1].  value: what a lost entry becomes; for categories,
        one that stands for "unknown".
    Returns: a `Corrupt`: (rng, x [...]) -> [...] (data units).
    """
    _probability(probability)

    def corrupt(rng: Array, x: Array) -> Array:
        lost = jax.random.uniform(rng, x.shape) < probability
        return jnp.where(lost, jnp.asarray(value, x.dtype), x)

    return corrupt


def salt_and_pepper(probability: float, *, low: float = 0, high: float = 1) -> Corrupt:
    r"""Entries become black or white, each by itself, by the toss of a fair coin.

        x~_i = low or high, with probability p / 2 each, else x_i

    Vincent et al. 2010 (Stacked Denoising Autoencoders).

    Args: probability: p in [0, 1].  low, high: the ends of the data's range.
    Returns: a `Corrupt`: (rng, x [...]) -> [...] (data units).
    """
    _probability(probability)

    def corrupt(rng: Array, x: Array) -> Array:
        u = jax.random.uniform(rng, x.shape)
        ends = jnp.where(u < probability / 2, low, high).astype(x.dtype)
        return jnp.where(u < probability, ends, x)

    return corrupt


def _probability(probability: float) -> None:
    if checks.is_concrete(probability) and not 0 <= probability <= 1:
        raise ValueError(f"expected a probability in [0, 1], got {probability}")
