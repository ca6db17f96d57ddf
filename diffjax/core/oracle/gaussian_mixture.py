"""Oracles of Gaussian mixtures: posterior, denoiser, score, classifier, flow."""

from collections.abc import Callable
from typing import NamedTuple

import chex
import jax
import jax.numpy as jnp

from diffjax.core import checks
from diffjax.core import gaussian as _gaussian
from diffjax.core.schedules import Schedule
from diffjax.types import Array

Denoise = Callable[[Array, Array], Array]
"""(x_t [...], t []) -> E[x_0 | x_t], [...]."""


class Mixture(NamedTuple):
    """A mixture of C Gaussians in D dimensions.

    log_weights: [C] nats.  means: [C, D].  covs: [C, D, D].
    """

    log_weights: Array
    means: Array
    covs: Array


def mixture(weights: Array, means: Array, covs: Array) -> Mixture:
    r"""A mixture of Gaussians, its weights normalised.

        p(x) = sum_c w_c N(x; m_c, S_c)

    Args: weights: [C], >= 0, not all 0.  means: [C, D].  covs: [C, D, D].
    Returns: Mixture.
    """
    weights, means, covs = jnp.asarray(weights), jnp.asarray(means), jnp.asarray(covs)
    chex.assert_shape(covs, (*means.shape, means.shape[-1]))
    if checks.is_concrete(weights) and not (weights.min() >= 0 and weights.max() > 0):
        raise ValueError(f"expected weights >= 0 that do not all vanish, got {weights}")
    return Mixture(jnp.log(weights / jnp.sum(weights)), means, covs)


def gaussian(mean: Array, cov: Array) -> Mixture:
    r"""One Gaussian, as a mixture.

        p(x) = N(x; mean, cov)

    Args: mean: [D].  cov: [D, D].
    Returns: Mixture of one component.
    """
    mean, cov = jnp.asarray(mean), jnp.asarray(cov)
    return Mixture(jnp.zeros(1, mean.dtype), mean[None], cov[None])


def of_class(data: Mixture, labels: Array, label: Array) -> Mixture:
    r"""The law of one class, when every component belongs to one.

        p(x | y)  proportional to  sum_{c: labels_c = y} w_c N(x; m_c, S_c)

    Args: data: Mixture.  labels: integer [C].  label: integer [].
    Returns: Mixture, the other components with weight 0.
    """
    kept = jnp.where(labels == label, data.log_weights, -jnp.inf)
    return data._replace(log_weights=jax.nn.log_softmax(kept))


def log_prob(data: Mixture, x: Array) -> Array:
    r"""Log density of a mixture.

        log p(x) = log sum_c w_c N(x; m_c, S_c)

    Args: data: Mixture.  x: [...], D entries in all.
    Returns: [] nats.
    """
    return jax.nn.logsumexp(_log_joint(data, x))


def moments(data: Mixture) -> tuple[Array, Array]:
    r"""Mean and covariance of a mixture.

        m = sum w_c m_c,    S = sum w_c [S_c + (m_c - m)(m_c - m)^T]

    Args: data: Mixture.
    Returns: mean [D], cov [D, D] (data units, and squared).
    """
    weights = jnp.exp(data.log_weights)
    mean = weights @ data.means
    shift = data.means - mean[None]
    spread = data.covs + shift[:, :, None] * shift[:, None, :]
    return mean, jnp.tensordot(weights, spread, 1)


def diffused(data: Mixture, schedule: Schedule, t: Array) -> Mixture:
    r"""The law of x_t.

        p_t = sum_c w_c N(sqrt(ab_t) m_c, ab_t S_c + (1 - ab_t) I)

    Args: data: Mixture.  schedule: tables [T + 1].  t: integer [].
    Returns: Mixture.
    """
    signal, noise = schedule.alpha_bar[t], schedule.one_minus_alpha_bar[t]
    identity = jnp.eye(data.means.shape[-1], dtype=data.covs.dtype)[None]
    covs = signal * data.covs + noise * identity
    return Mixture(data.log_weights, jnp.sqrt(signal) * data.means, covs)


def posterior(data: Mixture, schedule: Schedule, x_t: Array, t: Array) -> Mixture:
    r"""The law of x_0 given x_t.

        weights  w_c N(x_t; sqrt(ab) m_c, V_c),    V_c = ab S_c + (1 - ab) I
        means    m_c + sqrt(ab) S_c V_c^-1 (x_t - sqrt(ab) m_c)
        covs     (1 - ab) S_c V_c^-1

    Bishop 2006, eqs. 2.116-2.117.

    Args: data: Mixture.  schedule: tables [T + 1].  x_t: [...], D entries.  t: [].
    Returns: Mixture.
    """
    at_t = diffused(data, schedule, t)
    shift = x_t.reshape(1, -1) - at_t.means
    gain = jnp.swapaxes(jnp.linalg.solve(at_t.covs, data.covs), 1, 2)  # S V^-1
    root = jnp.sqrt(schedule.alpha_bar[t])
    means = data.means + root * jnp.einsum("cij,cj->ci", gain, shift)
    log_weights = jax.nn.log_softmax(_log_joint(at_t, x_t))
    return Mixture(log_weights, means, schedule.one_minus_alpha_bar[t] * gain)


def denoiser(data: Mixture, schedule: Schedule) -> Denoise:
    r"""The network that minimises every DDPM loss on this data.

        denoise(x_t, t) = E[x_0 | x_t]

    Lecture 02 (DDPM), remark 1.

    Args: data: Mixture.  schedule: tables [T + 1].
    Returns: denoise, on x_t of any shape with D entries (data units).
    """

    def denoise(x_t: Array, t: Array) -> Array:
        return moments(posterior(data, schedule, x_t, t))[0].reshape(x_t.shape)

    return denoise


def posterior_variance(data: Mixture, schedule: Schedule) -> Denoise:
    r"""What is uncertain of x_0 given x_t, the mean over dimensions.

        v(x_t, t) = tr Cov[x_0 | x_t] / D

    Args: data: Mixture.  schedule: tables [T + 1].
    Returns: (x_t [...], t []) -> [] variance.
    """

    def variance(x_t: Array, t: Array) -> Array:
        _, cov = moments(posterior(data, schedule, x_t, t))
        return jnp.trace(cov) / x_t.size

    return variance


def log_class_prob(
    data: Mixture, labels: Array, label: Array, schedule: Schedule
) -> Denoise:
    r"""The classifier of noisy examples that a perfect training would give.

        log p(y | x_t) = log p(y) + log p_t(x_t | y) - log p_t(x_t)

    Dhariwal & Nichol 2021 (arXiv:2105.05233), section 4.

    Args: data: Mixture.  labels: integer [C].  label: integer [].  schedule: tables.
    Returns: (x_t [...], t []) -> [] nats.
    """

    def log_p(x_t: Array, t: Array) -> Array:
        joint = _log_joint(diffused(data, schedule, t), x_t)
        of_label = jnp.where(labels == label, joint, -jnp.inf)
        return jax.nn.logsumexp(of_label) - jax.nn.logsumexp(joint)

    return log_p


def gaussian_flow(
    mean: Array, var: Array, schedule: Schedule, x_t: Array, t: Array, s: Array
) -> Array:
    r"""The probability-flow ODE of N(mean, diag(var)), solved from t to s.

        x_s = sqrt(ab_s) m + sqrt(v_s / v_t) (x_t - sqrt(ab_t) m),
        v_t = ab_t var + 1 - ab_t

    Song et al. 2021 (arXiv:2011.13456), eq. 13, whose solution keeps every quantile.

    Args: mean, var: [...] or [].  schedule: tables [T + 1].  x_t: [...].  t, s: [].
    Returns: [...] x_s (data units).
    """
    ab, noise = schedule.alpha_bar, schedule.one_minus_alpha_bar
    v_t, v_s = ab[t] * var + noise[t], ab[s] * var + noise[s]
    deviation = (x_t - jnp.sqrt(ab[t]) * mean) / jnp.sqrt(v_t)
    return jnp.sqrt(ab[s]) * mean + jnp.sqrt(v_s) * deviation


def _log_joint(data: Mixture, x: Array) -> Array:
    log_p = jax.vmap(_gaussian.log_prob_full, in_axes=(None, 0, 0))
    return data.log_weights + log_p(x.reshape(-1), data.means, data.covs)
