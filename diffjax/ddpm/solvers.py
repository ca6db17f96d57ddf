"""Higher-order steps for the probability-flow ODE, with the signature of `samplers`.

They share one idea. Every step ends in DDIM's move

    x_s = sqrt(ab_s) D + sqrt(1 - ab_s) (x_t - sqrt(ab_t) D) / sqrt(1 - ab_t),

which is exact when x_0_hat is constant along the step; they differ in their D.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from diffjax.core.schedules import Schedule
from diffjax.ddpm import predict, process
from diffjax.ddpm.predict import Denoise
from diffjax.ddpm.samplers import Step
from diffjax.types import Array


def move(schedule: Schedule, x_t: Array, x_0_hat: Array, t: Array, s: Array) -> Array:
    r"""DDIM's deterministic move to s, as if x_0 were known.

        x_s = sqrt(ab_s) x_0_hat + sqrt(1 - ab_s) eps_hat

    Song et al. 2021 (DDIM, arXiv:2010.02502), eq. 12 with sigma = 0.

    Args: schedule: tables [T + 1].  x_t, x_0_hat: [...].  t, s: integer [].
    Returns: [...] x_s (data units).
    """
    eps_hat = predict.eps_from_x_0(schedule, x_t, x_0_hat, t)
    signal = jnp.sqrt(schedule.alpha_bar[s]) * x_0_hat
    return signal + process.sigma(schedule, s) * eps_hat


class Past(NamedTuple):
    """What a multistep method remembers, the most recent first.

    num: integer [], how many estimates so far.  values: the last four, each [...].
    angles: psi at each of them.
    """

    num: Array
    values: tuple[Array, ...]
    angles: tuple[Array, ...]


def heun(
    denoise: Denoise,
    schedule: Schedule,
    x_t: Array,
    t: Array,
    s: Array,
    eps: Array,
    memory: Any,
) -> tuple[Array, Any]:
    r"""A second-order step with two calls of the network.

        y' = y + (sigma_s - sigma_t) eps_hat(y, t)
        y_s = y + (sigma_s - sigma_t) (eps_hat(y, t) + eps_hat(y', s)) / 2,
        y = x / sqrt(ab),    sigma = sqrt(1 - ab) / sqrt(ab)

    Karras et al. 2022 (EDM, arXiv:2206.00364), algorithm 1. There the last step, to
    s = 0, is Euler's, since no network can be called there; here it is the one of
    `dpm_solver_pp(2)`, which keeps the order.

    Args: denoise: one example.  schedule: tables [T + 1].  x_t, eps: [...].  t, s: [].
        memory: `Past`, or None at the start.
    Returns: x_s [...], memory (data units).
    """
    x_0_hat = denoise(x_t, t)
    past = _remember(memory, x_0_hat, schedule, t)
    last = move(schedule, x_t, _mean_estimate(past, 2, schedule, s), t, s)
    ab = schedule.alpha_bar
    x_s, inner = move(schedule, x_t, x_0_hat, t, s), jnp.maximum(s, 1)
    eps_t = predict.eps_from_x_0(schedule, x_t, x_0_hat, t)
    eps_s = predict.eps_from_x_0(schedule, x_s, denoise(x_s, inner), inner)
    signal = ab[t] > 0  # else sigma_t is infinite, and Euler's step exact
    ratio = jnp.sqrt(ab[s] / jnp.where(signal, ab[t], 1))
    width = process.sigma(schedule, s) - ratio * process.sigma(schedule, t)
    corrected = x_s + jnp.where(signal, width / 2, 0) * (eps_s - eps_t)
    return jnp.where(s > 0, corrected, last), past


def heun_with_churn(churn: float, *, low: float = 0.0, high: float = jnp.inf) -> Step:
    r"""Heun after a little fresh noise, which forgives the errors made so far.

        t_hat = first step with sigma >= (1 + churn) sigma_t, if low <= sigma_t <= high
        x_hat ~ q(x_{t_hat} | x_t),    then a Heun step from t_hat to s

    Karras et al. 2022, algorithm 2, where churn is min(S_churn / N, sqrt(2) - 1); the
    raised noise level is the schedule's next one, since networks know only those.

    Args: churn: relative increase of sigma, >= 0.  low, high: S_tmin and S_tmax.
    Returns: a step (data units).
    """
    if churn < 0:
        raise ValueError(f"expected churn >= 0, got {churn}")

    def step(denoise, schedule, x_t, t, s, eps, memory):
        sigma = jnp.sqrt(schedule.one_minus_alpha_bar / schedule.alpha_bar)
        churned = (low <= sigma[t]) & (sigma[t] <= high)
        above = jnp.searchsorted(sigma, (1 + churn) * sigma[t])
        t_hat = jnp.where(churned, jnp.clip(above, t, schedule.T), t)
        signal, noise = process.between(schedule, t, t_hat)
        fresh = jnp.sqrt(jnp.where(t_hat > t, noise, 1)) * eps
        x_hat = jnp.where(t_hat > t, jnp.sqrt(signal) * x_t + fresh, x_t)
        return heun(denoise, schedule, x_hat, t_hat, s, eps, memory)

    return step


def dpm_solver_pp(order: int) -> Step:
    r"""A multistep solver of order 1, 2 or 3, one call of the network a step.

        x_s = DDIM's move with D = E[ P(u) ],

    where P is the polynomial through the last `order` values of x_0_hat, and D its
    mean over the step, uniform in sqrt(ab / (1 - ab)). If x_0_hat were P, that would
    be exact.

    Lu et al. 2022 (DPM-Solver++, arXiv:2211.01095), algorithm 2 (2M). They take P in
    log SNR, which is infinite at s = 0, so that the last step falls back to first
    order, and errors stall. Here it is in

        u = sqrt( ab / (ab + (1 - ab) / v) ),    v = 0.3,

    which runs from 0 to 1, ends included, and in which x_0_hat is a straight line for
    Gaussian data of variance v: about that of images on [-1, 1].

    Args: order: 1 (which is DDIM), 2 ("2M") or 3 ("3M").
    Returns: a step; its first steps are of lower order (data units).
    """
    if order not in (1, 2, 3):
        raise ValueError(f"expected order 1, 2 or 3, got {order}")

    def step(denoise, schedule, x_t, t, s, eps, memory):
        past = _remember(memory, denoise(x_t, t), schedule, t)
        estimate = _mean_estimate(past, order, schedule, s)
        return move(schedule, x_t, estimate, t, s), past

    return step


def plms(
    denoise: Denoise,
    schedule: Schedule,
    x_t: Array,
    t: Array,
    s: Array,
    eps: Array,
    memory: Any,
) -> tuple[Array, Any]:
    r"""The pseudo linear multistep method: Adams-Bashforth on eps, then DDIM's move.

        eps' = (55 e_t - 59 e_{t+1} + 37 e_{t+2} - 9 e_{t+3}) / 24,
        x_s = sqrt(ab_s) x_0_from_eps(eps') + sqrt(1 - ab_s) eps'

    Liu et al. 2022 (PNDM, arXiv:2202.09778), section 3.3; the first step is
    improved Euler, the next two are of order 2 and 3, as in the latent-diffusion code.
    The weights assume steps of equal length.

    Args: denoise: one example.  schedule: tables [T + 1].  x_t, eps: [...].  t, s: [].
        memory: `Past`, or None at the start.
    Returns: x_s [...], memory (data units).
    """
    x_0_hat = denoise(x_t, t)
    eps_t = predict.eps_from_x_0(schedule, x_t, x_0_hat, t)
    past = _remember(memory, eps_t, schedule, t)
    e_0, e_1, e_2, e_3 = past.values

    def improved_euler() -> Array:
        inner = jnp.maximum(s, 1)  # a chain of one step has nothing to improve
        x_s = move(schedule, x_t, x_0_hat, t, inner)
        eps_s = predict.eps_from_x_0(schedule, x_s, denoise(x_s, inner), inner)
        return jnp.where(s > 0, (e_0 + eps_s) / 2, e_0)

    combined = jax.lax.switch(
        jnp.minimum(past.num, 4) - 1,
        [
            improved_euler,
            lambda: (3 * e_0 - e_1) / 2,
            lambda: (23 * e_0 - 16 * e_1 + 5 * e_2) / 12,
            lambda: (55 * e_0 - 59 * e_1 + 37 * e_2 - 9 * e_3) / 24,
        ],
    )
    improved = predict.x_0_from_eps(schedule, x_t, combined, t)
    # Where no signal is left, eps is x_t itself and says nothing of x_0.
    estimate = jnp.where(schedule.alpha_bar[t] > 0, improved, x_0_hat)
    return move(schedule, x_t, estimate, t, s), past


def _angle(schedule: Schedule, t: Array) -> Array:
    """psi with u = cos psi, in [0, pi / 2]."""
    v = 0.3
    noise, signal = schedule.one_minus_alpha_bar[t], schedule.alpha_bar[t]
    return jnp.arctan2(jnp.sqrt(noise / v), jnp.sqrt(signal))


def _remember(memory: Past | None, value: Array, schedule: Schedule, t: Array) -> Past:
    psi = _angle(schedule, t)
    if memory is None:
        blank = jnp.zeros_like(value)
        memory = Past(jnp.zeros((), jnp.int32), (blank,) * 4, (psi,) * 4)
    values, angles = (value, *memory.values[:3]), (psi, *memory.angles[:3])
    return Past(memory.num + 1, values, angles)


def _mean_estimate(past: Past, order: int, schedule: Schedule, s: Array) -> Array:
    """E[P(u)] over the step to s; P is in Newton's form."""
    known = jnp.minimum(past.num, order)
    (v_0, v_1, v_2, _), (psi_0, psi_1, psi_2, _) = past.values, past.angles
    # Churn can ask for two estimates at the same step: they give no slope.
    gap_1, gap_2 = _cos_difference(psi_0, psi_1), _cos_difference(psi_1, psi_2)
    sloped = (known > 1) & (gap_1 > 0)
    bent = sloped & (known > 2) & (gap_2 > 0)
    gap_1, gap_2 = jnp.where(sloped, gap_1, 1), jnp.where(bent, gap_2, 1)
    slope = (v_0 - v_1) / gap_1
    bend = (slope - (v_1 - v_2) / gap_2) / (gap_1 + gap_2)
    # Along the step cot(psi) is uniform, so the moments of u = cos(psi) are these:
    psi_s = _angle(schedule, s)
    delta = psi_0 - psi_s
    first = jnp.tan(delta / 2) * jnp.sin(psi_0)  # E[u - u_0]
    power = 1 - delta * jnp.sin(psi_s) * jnp.sin(psi_0) / jnp.sin(delta)  # E[u^2]
    u_0 = jnp.cos(psi_0)
    second = power - jnp.square(u_0) - 2 * u_0 * first  # E[(u - u_0)^2]
    linear = jnp.where(sloped, first * slope, 0)
    return v_0 + linear + jnp.where(bent, (second + gap_1 * first) * bend, 0)


def _cos_difference(a: Array, b: Array) -> Array:
    return 2 * jnp.sin((a + b) / 2) * jnp.sin((b - a) / 2)
