"""Oracles of a finite data set: the notes' DAE(x) = sum_i P(x_i | x) x_i."""

from collections.abc import Callable

import chex
import jax
import jax.numpy as jnp

from diffjax.core.schedules import Schedule
from diffjax.types import Array

Denoise = Callable[[Array, Array], Array]
"""(x_t [...], t []) -> E[x_0 | x_t], [...]."""


def source_weights(points: Array, x: Array, *, scale: Array, var: Array) -> Array:
    r"""Which training example a noisy one came from.

        P(x_i | x) = N(x; scale x_i, var I) / sum_j N(x; scale x_j, var I)

    Slides "Towards Diffusion Models", "Attractor on the Manifold?"; in log space, so
    that far examples do not underflow to ties.

    Args: points: [N, ...].  x: [...].  scale, var: [].
    Returns: [N] log probabilities, nats.
    """
    return jax.nn.log_softmax(_log_kernel(points, x, scale, var))


def smoothed_log_prob(points: Array, sigma: Array, x: Array) -> Array:
    r"""Log density of a data set blurred by Gaussian noise.

        log p_sigma(x) = log 1/N sum_i N(x; x_i, sigma^2 I)

    Slides "Towards Diffusion Models", "Attractor on the Manifold?": the density whose
    modes attract.

    Args: points: [N, ...].  sigma: [].  x: [...].
    Returns: [] nats.
    """
    log_kernel = _log_kernel(points, x, jnp.ones(()), jnp.square(sigma))
    log_norm = 0.5 * x.size * jnp.log(2 * jnp.pi * jnp.square(sigma))
    return jax.nn.logsumexp(log_kernel) - jnp.log(points.shape[0]) - log_norm


def finite_dae(points: Array, sigma: Array) -> Callable[[Array], Array]:
    r"""The optimal denoising autoencoder of a finite data set.

        DAE(x) = sum_i P(x_i | x) x_i = x + sigma^2 grad log p_sigma(x)

    Slides "Towards Diffusion Models", "Attractor on the Manifold?".

    Args: points: [N, ...].  sigma: [], standard deviation of the corruption.
    Returns: (x [...]) -> [...] (data units).
    """

    def dae(x: Array) -> Array:
        one, var = jnp.ones(()), jnp.square(sigma)
        log_p = source_weights(points, x, scale=one, var=var)
        return jnp.tensordot(jnp.exp(log_p), points, 1)

    return dae


def finite_denoiser(points: Array, schedule: Schedule) -> Denoise:
    r"""The optimal denoiser of a finite data set: what memorising it looks like.

        denoise(x_t, t) = sum_i P(x_i | x_t) x_i

    Slides "Towards Diffusion Models", "Attractor on the Manifold?", at the noise of
    step t.

    Args: points: [N, ...].  schedule: tables [T + 1].
    Returns: denoise (data units).
    """

    def denoise(x_t: Array, t: Array) -> Array:
        scale, var = jnp.sqrt(schedule.alpha_bar[t]), schedule.one_minus_alpha_bar[t]
        log_p = source_weights(points, x_t, scale=scale, var=var)
        return jnp.tensordot(jnp.exp(log_p), points, 1)

    return denoise


def attract(dae: Callable[[Array], Array], x: Array, *, eta: Array, num: int) -> Array:
    r"""Small steps against the predicted noise, towards the nearest mode of p_sigma.

        x' = x - eta (x - DAE(x)),    0 < eta < 2

    Slides "Towards Diffusion Models", "Update"; with eta = 1 it is mean shift.

    Args: dae: (x [...]) -> [...].  x: [...].  eta: [].  num: steps.
    Returns: [num + 1, ...] the path, x first (data units).
    """

    def update(x: Array, _: None) -> tuple[Array, Array]:
        x = x - eta * (x - dae(x))
        return x, x

    _, path = jax.lax.scan(update, x, None, length=num)
    return jnp.concatenate([x[None], path])


def _log_kernel(points: Array, x: Array, scale: Array, var: Array) -> Array:
    chex.assert_equal_shape([x, points[0]])
    shift = (x[None] - scale * points).reshape(points.shape[0], -1)
    return -jnp.sum(jnp.square(shift), axis=1) / (2 * var)
