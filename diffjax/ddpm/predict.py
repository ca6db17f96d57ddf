"""What a network may predict: everything to and from x_0, and the usual shortcuts.

Every chapter asks a network for one thing, `denoise(x_t, t) -> x_0`. The
`denoiser_from_*` turn a network that predicts something else into one, and a
`Parameterization` says how to train it.
"""

from collections.abc import Callable
from typing import NamedTuple

import chex
import jax.numpy as jnp

from diffjax.core import checks
from diffjax.core.schedules import Schedule
from diffjax.ddpm import process
from diffjax.types import Array

Denoise = Callable[[Array, Array], Array]
"""(x_t [...], t []) -> an estimate of x_0, [...]."""


def x_0_from_eps(schedule: Schedule, x_t: Array, eps: Array, t: Array) -> Array:
    r"""The data, from the noise.

        x_0 = (x_t - sqrt(1 - alpha_bar_t) eps) / sqrt(alpha_bar_t)

    Lecture 02 (DDPM), interpretation of the sampler; Ho et al. 2020, eq. 4 inverted.

    Args: schedule: tables [T + 1].  x_t, eps: [...].  t: integer [].
    Returns: [...] x_0 (data units).
    """
    root, sigma = _roots(schedule, x_t, eps, t)
    return (x_t - sigma * eps) / root


def eps_from_x_0(schedule: Schedule, x_t: Array, x_0: Array, t: Array) -> Array:
    r"""The noise, from the data.

        eps = (x_t - sqrt(alpha_bar_t) x_0) / sqrt(1 - alpha_bar_t)

    Lecture 02 (DDPM), interpretation of the sampler; Ho et al. 2020, eq. 4 inverted.

    Args: schedule: tables [T + 1].  x_t, x_0: [...].  t: integer [].
    Returns: [...] eps (standard deviations).
    """
    root, sigma = _roots(schedule, x_t, x_0, t)
    return (x_t - root * x_0) / sigma


def v_from_x_0(schedule: Schedule, x_t: Array, x_0: Array, t: Array) -> Array:
    r"""The velocity, from the data.

        v = sqrt(alpha_bar_t) eps - sqrt(1 - alpha_bar_t) x_0
          = (sqrt(alpha_bar_t) x_t - x_0) / sqrt(1 - alpha_bar_t)

    Salimans & Ho 2022 (arXiv:2202.00512), appendix D.

    Args: schedule: tables [T + 1].  x_t, x_0: [...].  t: integer [].
    Returns: [...] v (data units).
    """
    root, sigma = _roots(schedule, x_t, x_0, t)
    return (root * x_t - x_0) / sigma


def x_0_from_v(schedule: Schedule, x_t: Array, v: Array, t: Array) -> Array:
    r"""The data, from the velocity; well defined even where no signal is left.

        x_0 = sqrt(alpha_bar_t) x_t - sqrt(1 - alpha_bar_t) v

    Salimans & Ho 2022, appendix D.

    Args: schedule: tables [T + 1].  x_t, v: [...].  t: integer [].
    Returns: [...] x_0 (data units).
    """
    root, sigma = _roots(schedule, x_t, v, t)
    return root * x_t - sigma * v


def eps_from_v(schedule: Schedule, x_t: Array, v: Array, t: Array) -> Array:
    r"""The noise, from the velocity.

        eps = sqrt(1 - alpha_bar_t) x_t + sqrt(alpha_bar_t) v

    Salimans & Ho 2022, appendix D.

    Args: schedule: tables [T + 1].  x_t, v: [...].  t: integer [].
    Returns: [...] eps (standard deviations).
    """
    root, sigma = _roots(schedule, x_t, v, t)
    return sigma * x_t + root * v


def v_from_eps(schedule: Schedule, x_t: Array, eps: Array, t: Array) -> Array:
    r"""The velocity, from the noise.

        v = (eps - sqrt(1 - alpha_bar_t) x_t) / sqrt(alpha_bar_t)

    Salimans & Ho 2022, appendix D.

    Args: schedule: tables [T + 1].  x_t, eps: [...].  t: integer [].
    Returns: [...] v (data units).
    """
    root, sigma = _roots(schedule, x_t, eps, t)
    return (eps - sigma * x_t) / root


def score_from_eps(schedule: Schedule, x_t: Array, eps: Array, t: Array) -> Array:
    r"""The score of p_t, from the expected noise.

        grad log p_t(x_t) = -E[eps | x_t] / sqrt(1 - alpha_bar_t)

    Dhariwal & Nichol 2021 (arXiv:2105.05233), section 4.2.

    Args: schedule: tables [T + 1].  x_t, eps: [...].  t: integer [].
    Returns: [...] score (nats per data unit).
    """
    _, sigma = _roots(schedule, x_t, eps, t)
    return -eps / sigma


def eps_from_score(schedule: Schedule, x_t: Array, score: Array, t: Array) -> Array:
    r"""The expected noise, from the score of p_t.

        E[eps | x_t] = -sqrt(1 - alpha_bar_t) grad log p_t(x_t)

    Dhariwal & Nichol 2021, section 4.2.

    Args: schedule: tables [T + 1].  x_t, score: [...].  t: integer [].
    Returns: [...] eps (standard deviations).
    """
    _, sigma = _roots(schedule, x_t, score, t)
    return -sigma * score


def x_0_from_score(schedule: Schedule, x_t: Array, score: Array, t: Array) -> Array:
    r"""The expected data, from the score of p_t: Tweedie's formula.

        E[x_0 | x_t] = (x_t + (1 - alpha_bar_t) grad log p_t(x_t)) / sqrt(alpha_bar_t)

    Efron 2011, "Tweedie's formula and selection bias"; slides "Towards Diffusion
    Models", "Update", with the noise predictor x - DAE(x).

    Args: schedule: tables [T + 1].  x_t, score: [...].  t: integer [].
    Returns: [...] x_0 (data units).
    """
    return x_0_from_eps(schedule, x_t, eps_from_score(schedule, x_t, score, t), t)


def score_from_x_0(schedule: Schedule, x_t: Array, x_0: Array, t: Array) -> Array:
    r"""The score of p_t, from the expected data.

        grad log p_t(x_t) = (sqrt(alpha_bar_t) E[x_0 | x_t] - x_t) / (1 - alpha_bar_t)

    Efron 2011, "Tweedie's formula and selection bias".

    Args: schedule: tables [T + 1].  x_t, x_0: [...].  t: integer [].
    Returns: [...] score (nats per data unit).
    """
    return score_from_eps(schedule, x_t, eps_from_x_0(schedule, x_t, x_0, t), t)


def mean_from_x_0(schedule: Schedule, x_t: Array, x_0: Array, t: Array) -> Array:
    r"""The mean of p(x_{t-1} | x_t), from the data.

        mean = ( sqrt(ab_{t-1}) beta_t x_0 + sqrt(1 - beta_t) (1 - ab_{t-1}) x_t )
               / (1 - ab_t)

    Lecture 02 (DDPM), A x_i + B x_0 (which prints bars over every alpha); Ho et al.
    2020, eq. 7.

    Args: schedule: tables [T + 1].  x_t, x_0: [...].  t: integer [].
    Returns: [...] mean of x_{t-1} (data units).
    """
    return process.posterior(schedule, x_0, x_t, t)[0]


def mean_from_eps(schedule: Schedule, x_t: Array, eps: Array, t: Array) -> Array:
    r"""The mean of p(x_{t-1} | x_t), from the noise.

        mean = ( x_t - beta_t / sqrt(1 - ab_t) eps ) / sqrt(1 - beta_t)

    Lecture 02 (DDPM), "DDPM Sampling" (which prints bars over every
    alpha); Ho et al. 2020, eq. 11.

    Args: schedule: tables [T + 1].  x_t, eps: [...].  t: integer [].
    Returns: [...] mean of x_{t-1} (data units).
    """
    _, sigma = _roots(schedule, x_t, eps, t)
    beta = schedule.beta[t]
    return (x_t - beta / sigma * eps) / jnp.sqrt(1 - beta)


def x_0_from_mean(schedule: Schedule, x_t: Array, mean: Array, t: Array) -> Array:
    r"""The data, from the mean of p(x_{t-1} | x_t).

        x_0 = ( (1 - ab_t) mean - sqrt(1 - beta_t) (1 - ab_{t-1}) x_t )
              / ( sqrt(ab_{t-1}) beta_t )

    Ho et al. 2020, eq. 7 inverted.

    Args: schedule: tables [T + 1].  x_t, mean: [...].  t: integer [].
    Returns: [...] x_0 (data units).
    """
    chex.assert_equal_shape([x_t, mean])
    beta, noise = schedule.beta[t], schedule.one_minus_alpha_bar
    rest = noise[t] * mean - jnp.sqrt(1 - beta) * noise[t - 1] * x_t
    return rest / (jnp.sqrt(schedule.alpha_bar[t - 1]) * beta)


def denoiser_from_eps(schedule: Schedule, f: Denoise) -> Denoise:
    r"""A denoiser, from a network that predicts the noise.

        denoise(x_t, t) = x_0_from_eps(x_t, f(x_t, t), t)

    Ho et al. 2020, section 3.2.

    Args: schedule: tables [T + 1].  f: (x_t [...], t []) -> eps [...].
    Returns: denoise (data units).
    """
    return lambda x_t, t: x_0_from_eps(schedule, x_t, f(x_t, t), t)


def denoiser_from_v(schedule: Schedule, f: Denoise) -> Denoise:
    r"""A denoiser, from a network that predicts the velocity.

        denoise(x_t, t) = x_0_from_v(x_t, f(x_t, t), t)

    Salimans & Ho 2022, section 4.

    Args: schedule: tables [T + 1].  f: (x_t [...], t []) -> v [...].
    Returns: denoise (data units).
    """
    return lambda x_t, t: x_0_from_v(schedule, x_t, f(x_t, t), t)


def denoiser_from_score(schedule: Schedule, f: Denoise) -> Denoise:
    r"""A denoiser, from a network that predicts the score of p_t.

        denoise(x_t, t) = x_0_from_score(x_t, f(x_t, t), t)

    Dhariwal & Nichol 2021, section 4.2.

    Args: schedule: tables [T + 1].  f: (x_t [...], t []) -> score [...].
    Returns: denoise (data units).
    """
    return lambda x_t, t: x_0_from_score(schedule, x_t, f(x_t, t), t)


def denoiser_from_mean(schedule: Schedule, f: Denoise) -> Denoise:
    r"""A denoiser, from a network that predicts the mean of p(x_{t-1} | x_t).

        denoise(x_t, t) = x_0_from_mean(x_t, f(x_t, t), t)

    Ho et al. 2020, section 3.2 (their "mu" baseline).

    Args: schedule: tables [T + 1].  f: (x_t [...], t []) -> mean [...].
    Returns: denoise (data units).
    """
    return lambda x_t, t: x_0_from_mean(schedule, x_t, f(x_t, t), t)


class Parameterization(NamedTuple):
    """What a network's output means.

    target: (schedule, x_t, x_0, t) -> what the output should be, [...].
    denoiser: (schedule, f) -> denoise.
    eps_weight: (schedule, t) -> [], what turns its squared error into that of eps.
    """

    target: Callable[[Schedule, Array, Array, Array], Array]
    denoiser: Callable[[Schedule, Denoise], Denoise]
    eps_weight: Callable[[Schedule, Array], Array]


EPS = Parameterization(
    eps_from_x_0, denoiser_from_eps, lambda schedule, t: jnp.ones_like(schedule.beta[t])
)
X_0 = Parameterization(
    lambda schedule, x_t, x_0, t: x_0,
    lambda schedule, f: f,
    lambda schedule, t: schedule.alpha_bar[t] / schedule.one_minus_alpha_bar[t],
)
V = Parameterization(
    v_from_x_0, denoiser_from_v, lambda schedule, t: schedule.alpha_bar[t]
)
SCORE = Parameterization(
    score_from_x_0,
    denoiser_from_score,
    lambda schedule, t: schedule.one_minus_alpha_bar[t],
)


def _roots(
    schedule: Schedule, x_t: Array, value: Array, t: Array
) -> tuple[Array, Array]:
    chex.assert_equal_shape([x_t, value])
    checks.step(schedule.T, t)
    return jnp.sqrt(schedule.alpha_bar[t]), jnp.sqrt(schedule.one_minus_alpha_bar[t])
