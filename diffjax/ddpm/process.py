"""The forward process q and its posterior: one example, scalar t, noise given."""

import chex
import jax.numpy as jnp

from diffjax.core import checks
from diffjax.core.schedules import Schedule
from diffjax.types import Array


def diffuse(schedule: Schedule, x_0: Array, eps: Array, t: Array) -> Array:
    r"""A draw of x_t given x_0, as a function of its noise.

        x_t = sqrt(alpha_bar_t) x_0 + sqrt(1 - alpha_bar_t) eps,    eps ~ N(0, I)

    Lecture 02 (DDPM), "Perturbation Kernel"; Ho et al. 2020 (arXiv:2006.11239), eq. 4.

    Args: schedule: tables [T + 1].  x_0, eps: [...].  t: integer [], 1..T.
    Returns: [...] x_t (data units).
    """
    chex.assert_equal_shape([x_0, eps])
    mean, var = marginal(schedule, x_0, t)
    return mean + jnp.sqrt(var) * eps


def marginal(schedule: Schedule, x_0: Array, t: Array) -> tuple[Array, Array]:
    r"""Moments of q(x_t | x_0).

        mean = sqrt(alpha_bar_t) x_0,    var = 1 - alpha_bar_t

    Lecture 02 (DDPM), "Perturbation Kernel" (alpha_bar there is the root of this one);
    Ho et al. 2020, eq. 4.

    Args: schedule: tables [T + 1].  x_0: [...].  t: integer [], 1..T.
    Returns: mean [...], var [] (data units, and squared).
    """
    checks.step(schedule.T, t)
    checks.floating("x_0", x_0)
    return jnp.sqrt(schedule.alpha_bar[t]) * x_0, schedule.one_minus_alpha_bar[t]


def transition(
    schedule: Schedule, x_s: Array, t: Array, *, s: Array | None = None
) -> tuple[Array, Array]:
    r"""Moments of q(x_t | x_s), one forward step or several at once.

        mean = sqrt(ab_t / ab_s) x_s,    var = 1 - ab_t / ab_s

    With s = t-1 these are sqrt(1 - beta_t) x_{t-1} and beta_t. Lecture 02 (DDPM),
    "Forward Process"; Ho et al. 2020, eq. 2.

    Args: schedule: tables [T + 1].  x_s: [...].  t: [], 1..T.  s: [], else t-1.
    Returns: mean [...], var [] (data units, and squared).
    """
    checks.step(schedule.T, t, s)
    checks.floating("x_s", x_s)
    signal, noise = between(schedule, t - 1 if s is None else s, t)
    return jnp.sqrt(signal) * x_s, noise


def forward(
    schedule: Schedule, x_s: Array, eps: Array, t: Array, *, s: Array | None = None
) -> Array:
    r"""A draw of x_t given x_s, as a function of its noise.

        x_t = sqrt(1 - beta_t) x_{t-1} + sqrt(beta_t) eps,    eps ~ N(0, I)

    Lecture 02 (DDPM), "Forward Process"; Ho et al. 2020, eq. 2.

    Args: schedule: tables [T + 1].  x_s, eps: [...].  t: [], 1..T.  s: [], else t-1.
    Returns: [...] x_t (data units).
    """
    chex.assert_equal_shape([x_s, eps])
    mean, var = transition(schedule, x_s, t, s=s)
    return mean + jnp.sqrt(var) * eps


def posterior(
    schedule: Schedule, x_0: Array, x_t: Array, t: Array, *, s: Array | None = None
) -> tuple[Array, Array]:
    r"""Moments of q(x_s | x_t, x_0), by default one step back.

        mean = ( sqrt(ab_s) beta x_0 + sqrt(alpha) (1 - ab_s) x_t ) / (1 - ab_t)
        var  = beta (1 - ab_s) / (1 - ab_t)

    where alpha = ab_t / ab_s and beta = 1 - alpha belong to the step from s to t, so
    with s = t-1 they are 1 - beta_t and beta_t. Blog "Diffusion Probabilistic Models",
    mu_q and Sigma_q; Ho et al. 2020, eqs. 6-7.

    Args: schedule: tables [T + 1].  x_0, x_t: [...].  t: [], 1..T.  s: [], else t-1.
    Returns: mean [...], var [] (0 at s = 0, where the mean is x_0).
    """
    chex.assert_equal_shape([x_0, x_t])
    checks.step(schedule.T, t, s)
    checks.floating("x_0", x_0)
    s = t - 1 if s is None else s
    alpha, beta = between(schedule, s, t)
    noise_s, noise_t = schedule.one_minus_alpha_bar[s], schedule.one_minus_alpha_bar[t]
    signal = jnp.sqrt(schedule.alpha_bar[s]) * beta * x_0
    mean = (signal + jnp.sqrt(alpha) * noise_s * x_t) / noise_t
    return mean, beta * noise_s / noise_t


def between(schedule: Schedule, s: Array, t: Array) -> tuple[Array, Array]:
    r"""What the steps from s to t keep of the signal's power and add of noise.

        alpha = alpha_bar_t / alpha_bar_s,    beta = 1 - alpha

    Args: schedule: tables [T + 1].  s, t: integer [], s < t.
    Returns: alpha [], beta [] (powers, no unit).
    """
    ab, noise = schedule.alpha_bar, schedule.one_minus_alpha_bar
    # beta = (ab_s - ab_t) / ab_s, where the difference is taken of the smaller of ab
    # and 1 - ab; float32 would still lose 6e-4 of a single step, so that is looked up.
    lost = jnp.where(noise[s] < ab[s], noise[t] - noise[s], ab[s] - ab[t])
    signal = jnp.where(ab[s] > 0, ab[s], 1)  # only at s = t = T can it be 0
    beta = jnp.where(s == t - 1, schedule.beta[t], lost / signal)
    return ab[t] / signal, beta


def sigma(schedule: Schedule, t: Array) -> Array:
    r"""The noise of step t, its gradient finite even at t = 0.

        sigma_t = sqrt(1 - alpha_bar_t)

    Args: schedule: tables [T + 1].  t: integer [], 0..T.
    Returns: [] (standard deviations).
    """
    noise = schedule.one_minus_alpha_bar[t]
    return jnp.where(t > 0, jnp.sqrt(jnp.where(t > 0, noise, 1)), 0)
