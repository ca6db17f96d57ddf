"""Variances of the reverse step p(x_s | x_t): each is a function of one signature.

    (schedule, x_t [...], t [], s []) -> variance [] or [...]

Published codes need a third convention besides, for the log-variance of the first step,
where the posterior's variance is 0: improved-diffusion takes the one of t = 2 (here
`first_clipped`, used by `learned_range`), the oldest code takes log 1e-20, diffusers
clamps at 1e-20. None is needed otherwise: a sampler adds no noise at s = 0, and the
bound's term for t = 1 is the decoder's.
"""

from collections.abc import Callable

import jax.numpy as jnp

from diffjax.core.schedules import Schedule
from diffjax.ddpm import process
from diffjax.types import Array

Variance = Callable[[Schedule, Array, Array, Array], Array]
"""(schedule, x_t [...], t [], s []) -> [] or [...]."""


def small(schedule: Schedule, x_t: Array, t: Array, s: Array) -> Array:
    r"""The posterior's variance: right when the data is a single point.

        var = beta (1 - ab_s) / (1 - ab_t),    beta = 1 - ab_t / ab_s

    Ho et al. 2020 (arXiv:2006.11239), section 3.2 ("fixedsmall" in the
    code).

    Args: schedule: tables [T + 1].  x_t: unused.  t, s: integer [], s < t.
    Returns: [] variance, 0 at s = 0.
    """
    _, beta = process.between(schedule, s, t)
    noise = schedule.one_minus_alpha_bar
    return beta * noise[s] / noise[t]


def large(schedule: Schedule, x_t: Array, t: Array, s: Array) -> Array:
    r"""The forward step's variance: right when the data is standard Gaussian.

        var = beta = 1 - ab_t / ab_s

    Ho et al. 2020, section 3.2 ("fixedlarge" in the code).

    Args: schedule: tables [T + 1].  x_t: unused.  t, s: integer [], s < t.
    Returns: [] variance.
    """
    return process.between(schedule, s, t)[1]


def first_clipped(schedule: Schedule, x_t: Array, t: Array, s: Array) -> Array:
    r"""`small`, but at s = 0 that of the step above, so that it has a logarithm.

        var = small(t, s),    at s = 0: small(t + 1, t)

    Nichol & Dhariwal 2021 (arXiv:2102.09672), published code.

    Args: schedule: tables [T + 1].  x_t: unused.  t, s: integer [], s < t.
    Returns: [] variance > 0; if T = 1 that of the only step, beta_1.
    """
    if schedule.T == 1:
        return large(schedule, x_t, t, s)
    upper = jnp.minimum(t + 1, schedule.T)
    first = small(schedule, x_t, upper, upper - 1)
    return jnp.where(s == 0, first, small(schedule, x_t, t, s))


def learned(f: Callable[[Array, Array], Array]) -> Variance:
    r"""A variance from a network that predicts its logarithm.

        var = exp f(x_t, t)

    Ho et al. 2020, section 4.2; published codes call it "learned". (diffusers reads
    the same output as the variance itself.)

    Args: f: (x_t [...], t []) -> log-variance [...].
    Returns: a `Variance`, [...].
    """
    return lambda schedule, x_t, t, s: jnp.exp(f(x_t, t))


def learned_range(f: Callable[[Array, Array], Array]) -> Variance:
    r"""A variance between small and large, on a log scale, as a network says.

        log var = u log large + (1 - u) log first_clipped,    u = (f(x_t, t) + 1) / 2

    Nichol & Dhariwal 2021, eq. 15.

    Args: f: (x_t [...], t []) -> [...], -1 for small and 1 for large, not bounded.
    Returns: a `Variance`, [...].
    """

    def variance(schedule: Schedule, x_t: Array, t: Array, s: Array) -> Array:
        log_large = jnp.log(large(schedule, x_t, t, s))
        log_small = jnp.log(first_clipped(schedule, x_t, t, s))
        u = (f(x_t, t) + 1) / 2
        return jnp.exp(u * log_large + (1 - u) * log_small)

    return variance


def optimal(posterior_variance: Callable[[Array, Array], Array]) -> Variance:
    r"""The variance that maximises the bound, from that of x_0 given x_t.

        var = small + ( sqrt(ab_s) beta / (1 - ab_t) )^2 Var[x_0 | x_t]

    Bao et al. 2022 (Analytic-DPM, arXiv:2201.06503), theorem 1, at each x_t.

    Args: posterior_variance: (x_t [...], t []) -> [], for example an oracle's.
    Returns: a `Variance`, [] or [...] as the argument.
    """

    def variance(schedule: Schedule, x_t: Array, t: Array, s: Array) -> Array:
        _, beta = process.between(schedule, s, t)
        noise_t = schedule.one_minus_alpha_bar[t]
        gain = jnp.sqrt(schedule.alpha_bar[s]) * beta / noise_t
        uncertain = jnp.square(gain) * posterior_variance(x_t, t)
        return small(schedule, x_t, t, s) + uncertain

    return variance
