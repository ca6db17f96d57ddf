"""Weights of the loss over t, for the squared error of eps: (schedule, t) -> [].

`on` carries one over to a network that predicts something else. None of them touches
the reported bound.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from diffjax.core.schedules import Schedule
from diffjax.ddpm.predict import Parameterization
from diffjax.types import Array

Weight = Callable[[Schedule, Array], Array]
"""(schedule, t []) -> []."""


def uniform(schedule: Schedule, t: Array) -> Array:
    r"""Every step alike: the simple loss.

        w_t = 1

    Ho et al. 2020 (arXiv:2006.11239), eq. 14.

    Args: schedule: tables [T + 1].  t: integer [].
    Returns: [] (no unit).
    """
    return jnp.ones_like(schedule.beta[t])


def snr(schedule: Schedule, t: Array) -> Array:
    r"""The signal-to-noise ratio itself.

        SNR_t = ab_t / (1 - ab_t)

    Kingma et al. 2021 (arXiv:2107.00630), eq. 2.

    Args: schedule: tables [T + 1].  t: integer [].
    Returns: [] (no unit).
    """
    return schedule.alpha_bar[t] / schedule.one_minus_alpha_bar[t]


def min_snr(gamma: float = 5.0) -> Weight:
    r"""Clips what the nearly clean steps weigh in x_0.

        w_t = min(SNR_t, gamma) / SNR_t

    Hang et al. 2023 (Min-SNR, arXiv:2303.09556).

    Args: gamma: the clip.
    Returns: a `Weight` (no unit).
    """
    return lambda schedule, t: jnp.minimum(1, gamma / snr(schedule, t))


def p2(*, k: float = 1.0, gamma: float = 1.0) -> Weight:
    r"""Favours the steps at which content, not detail, is decided.

        w_t = 1 / (k + SNR_t)^gamma

    Choi et al. 2022 (P2, arXiv:2204.00227).

    Args: k, gamma: as in the paper.
    Returns: a `Weight` (no unit).
    """
    return lambda schedule, t: (k + snr(schedule, t)) ** -gamma


def sigmoid(bias: float) -> Weight:
    r"""Falls off smoothly with the log signal-to-noise ratio.

        w_t = sigmoid(bias - log SNR_t)

    As many codebases apply it, to the simple loss. Kingma & Gao 2023
    (arXiv:2303.00848) apply it to the bound's integrand: that is this times
    `uniform_snr`.

    Args: bias: where it falls to one half, in log SNR.
    Returns: a `Weight` (no unit).
    """
    return lambda schedule, t: jax.nn.sigmoid(bias - jnp.log(snr(schedule, t)))


def uniform_snr(schedule: Schedule, t: Array) -> Array:
    r"""Every stretch of log SNR alike, whatever the schedule; mean 1 over t.

        w_t = T (l_{t-1} - l_t) / (2 l_1 - l_2 - l_T),    l = log SNR,    t >= 2

    the continuous bound's weight of the error of eps; w_1 = w_2, as l_0 is infinite.
    Kingma & Gao 2023 (arXiv:2303.00848).

    Args: schedule: tables [T + 1], T >= 2 and alpha_bar_T > 0.  t: integer [].
    Returns: [] (no unit).
    """
    upper = jnp.maximum(t, 2)
    log_snr = jnp.log(schedule.alpha_bar) - jnp.log(schedule.one_minus_alpha_bar)
    span = (log_snr[1] - log_snr[-1]) + (log_snr[1] - log_snr[2])
    return schedule.T * (log_snr[upper - 1] - log_snr[upper]) / span


def on(parameterization: Parameterization, weight: Weight) -> Weight:
    r"""The same weighting, for the squared error of what a network predicts.

        w'_t = w_t * (squared error of eps / squared error of the target)

    Hang et al. 2023: the factor is SNR for x_0, SNR / (SNR + 1) for v.

    Args: parameterization: of the network.  weight: for eps.
    Returns: a `Weight` for its own target (no unit).
    """
    return lambda schedule, t: (
        weight(schedule, t) * parameterization.eps_weight(schedule, t)
    )
