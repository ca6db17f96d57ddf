"""Steering a sampler: a guide turns denoisers into a denoiser, so any step takes it."""

from collections.abc import Callable

import jax.numpy as jnp

from diffjax.core import categorical
from diffjax.d3pm.predict import Denoise
from diffjax.types import Array


def classifier_free(
    conditional: Denoise,
    unconditional: Denoise,
    scale: float | Callable[[Array], Array],
) -> Denoise:
    r"""Extrapolation from an unconditional law through a conditional one.

        log p = (1 - w) log u + w log c,    normalised

    Schiff et al. 2024 (UDLM, arXiv:2412.10193), section 3.1: 0 ignores the class, 1 is
    the class's own law. What either finds impossible stays so.

    Args: conditional, unconditional: one example.  scale: w, or t [] -> w [].
    Returns: denoise (log probabilities, nats).
    """
    weight = scale if callable(scale) else lambda t: scale

    def denoise(x_t: Array, t: Array) -> Array:
        u = categorical.normalise(unconditional(x_t, t))
        c = categorical.normalise(conditional(x_t, t))
        possible = (u > -jnp.inf) & (c > -jnp.inf)
        u, c = jnp.where(possible, u, 0), jnp.where(possible, c, 0)
        mixed = u + weight(t) * (c - u)
        return categorical.normalise(jnp.where(possible, mixed, -jnp.inf))

    return denoise


def tempered(denoise: Denoise, *, temperature: float) -> Denoise:
    r"""A denoiser that is surer, or less sure, than it was.

        log p' = log p / temperature,    normalised

    Args: denoise: one example.  temperature: below 1 is surer.
    Returns: denoise (log probabilities, nats).
    """
    if not temperature > 0:
        raise ValueError(
            f"expected temperature > 0, got {temperature}; for the likeliest token, "
            "use top_p with p = 0"
        )
    return lambda x_t, t: categorical.normalise(denoise(x_t, t) / temperature)


def top_p(denoise: Denoise, *, p: float) -> Denoise:
    r"""A denoiser that keeps the likeliest tokens, as few as hold mass p.

        keep k if the mass of all likelier ones is below p; always the likeliest

    Holtzman et al. 2020 (arXiv:1904.09751), section 3.1.

    Args: denoise: one example.  p: 0 keeps one token, 1 all.
    Returns: denoise (log probabilities, nats).
    """
    if not 0 <= p <= 1:
        raise ValueError(f"expected 0 <= p <= 1, got {p}")

    def nucleus(x_t: Array, t: Array) -> Array:
        log_p = categorical.normalise(denoise(x_t, t))
        order = jnp.argsort(-log_p, axis=-1)
        mass = jnp.exp(jnp.take_along_axis(log_p, order, axis=-1))
        likelier = jnp.cumsum(mass, axis=-1) - mass
        first = jnp.arange(log_p.shape[-1]) == 0
        kept = (likelier < p) | first.reshape((1,) * x_t.ndim + (-1,)) | (p == 1)
        kept = jnp.take_along_axis(kept, jnp.argsort(order, axis=-1), axis=-1)
        return categorical.normalise(jnp.where(kept, log_p, -jnp.inf))

    return nucleus
