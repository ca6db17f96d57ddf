"""Higher-order steps for the probability-flow ODE, with the signature of `samplers`.

They share one idea. Every step ends in DDIM's move

    x_s = sqrt(ab_s) D + sqrt(1 - ab_s) (x_t - sqrt(ab_t) D) / sqrt(1 - ab_t),

which is exact when x_0_hat is constant along the step; they differ in the D they put in.
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
    return signal + jnp.sqrt(schedule.one_minus_alpha_bar[s]) * eps_hat


def heun(
    denoise: Denoise,
    schedule: Schedule,
    x_t: Array,
    t: Array,
    s: Array,
    eps: Array,
    memory: Any,
) -> tuple[Array, Any]:
    r"""A second-order step, two calls of the network; the last step, to s = 0, is DDIM.

        y' = y + (sigma_s - sigma_t) eps_hat(y, t)
        y_s = y + (sigma_s - sigma_t) (eps_hat(y, t) + eps_hat(y', s)) / 2,
        y = x / sqrt(ab),    sigma = sqrt(1 - ab) / sqrt(ab)

    Karras et al. 2022 (EDM, arXiv:2206.00364), algorithm 1.

    Args: denoise: one example.  schedule: tables [T + 1].  x_t, eps: [...].  t, s: [].
        memory: returned as it is.
    Returns: x_s [...], memory (data units).
    """
    x_0_hat = denoise(x_t, t)
    x_s = move(schedule, x_t, x_0_hat, t, s)
    eps_t = predict.eps_from_x_0(schedule, x_t, x_0_hat, t)
    inner = jnp.maximum(s, 1)  # at s = 0 there is no noise to predict: see `corrects`
    eps_s = predict.eps_from_x_0(schedule, x_s, denoise(x_s, inner), inner)
    ab = schedule.alpha_bar
    corrects = (s > 0) & (ab[t] > 0)  # sigma_t is infinite where no signal is left
    ratio = jnp.sqrt(ab[s] / jnp.where(corrects, ab[t], 1))
    noise_s, noise_t = schedule.one_minus_alpha_bar[s], schedule.one_minus_alpha_bar[t]
    width = jnp.sqrt(noise_s) - ratio * jnp.sqrt(noise_t)
    return x_s + jnp.where(corrects, width / 2, 0) * (eps_s - eps_t), memory


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
        raised = jnp.searchsorted(sigma, (1 + churn) * sigma[t])
        t_hat = jnp.where(churned, jnp.clip(raised, t, schedule.T), t)
        mean, var = process.transition(schedule, x_t, t_hat, s=t)
        x_hat = jnp.where(t_hat > t, mean + jnp.sqrt(var) * eps, x_t)
        return heun(denoise, schedule, x_hat, t_hat, s, eps, memory)

    return step


class Past(NamedTuple):
    """What a multistep method remembers, the most recent first.

    count: integer [], how many estimates so far.  values: the last four, each [...].
    places: the l at which each was made, each [].
    """

    count: Array
    values: tuple[Array, ...]
    places: tuple[Array, ...]


def dpm_solver_pp(order: int) -> Step:
    r"""A multistep solver of order 1, 2 or 3, one call of the network a step.

        x_s = DDIM's move with D = E_w[ P(l) ],    w(l) proportional to e^l on
        [l_t, l_s],    l = 1/2 log(ab / (1 - ab)),

    where P is the polynomial through the last `order` values of x_0_hat. Lu et al.
    2022 (DPM-Solver++, arXiv:2211.01095), eq. 9 and algorithm 2. The average of P is
    taken exactly (the published code halves the cubic's last term, and is then of
    order 2). The jump to s = 0 is infinite in l: there P is in sigma^2, of which
    x_0_hat is a smooth function, and D is its value at 0.

    Args: order: 1 (which is DDIM), 2 ("2M") or 3 ("3M").
    Returns: a step; its first steps are of lower order (data units).
    """
    if order not in (1, 2, 3):
        raise ValueError(f"expected order 1, 2 or 3, got {order}")

    def step(denoise, schedule, x_t, t, s, eps, memory):
        x_0_hat = denoise(x_t, t)
        past = _remember(memory, x_0_hat, half_log_snr(schedule, t))
        width = half_log_snr(schedule, jnp.maximum(s, 1)) - past.places[0]
        average = _newton(past, order, past.places, *_exponential_moments(width))
        sigma2 = tuple(jnp.exp(-2 * place) for place in past.places)
        at_zero = _newton(past, order, sigma2, -sigma2[0], jnp.square(sigma2[0]))
        estimate = jnp.where(s > 0, average, at_zero)
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

    Args: denoise: one example.  schedule: tables [T + 1].  x_t, eps: [...].  t, s: [].
        memory: `Past`, or None at the start.
    Returns: x_s [...], memory (data units).
    """
    eps_t = predict.eps_from_x_0(schedule, x_t, denoise(x_t, t), t)
    past = _remember(memory, eps_t, half_log_snr(schedule, t))
    e_0, e_1, e_2, e_3 = past.values

    def improved_euler() -> Array:
        x_0_hat = predict.x_0_from_eps(schedule, x_t, e_0, t)
        inner = jnp.maximum(s, 1)  # a chain of one step has nothing to improve
        x_s = move(schedule, x_t, x_0_hat, t, inner)
        eps_s = predict.eps_from_x_0(schedule, x_s, denoise(x_s, inner), inner)
        return jnp.where(s > 0, (e_0 + eps_s) / 2, e_0)

    combined = jax.lax.switch(
        jnp.minimum(past.count, 4) - 1,
        [
            improved_euler,
            lambda: (3 * e_0 - e_1) / 2,
            lambda: (23 * e_0 - 16 * e_1 + 5 * e_2) / 12,
            lambda: (55 * e_0 - 59 * e_1 + 37 * e_2 - 9 * e_3) / 24,
        ],
    )
    x_0_hat = predict.x_0_from_eps(schedule, x_t, combined, t)
    return move(schedule, x_t, x_0_hat, t, s), past


def half_log_snr(schedule: Schedule, t: Array) -> Array:
    r"""The variable in which the probability-flow ODE is nearly linear.

        l = 1/2 log( ab_t / (1 - ab_t) )

    Lu et al. 2022 (arXiv:2206.00927), section 3.1.

    Args: schedule: tables [T + 1].  t: integer [], 1..T.
    Returns: [] l (nats); finite, about -44 in float32, where no signal is left.
    """
    ab = schedule.alpha_bar[t]
    ab = jnp.maximum(ab, jnp.finfo(ab.dtype).tiny)
    return 0.5 * (jnp.log(ab) - jnp.log(schedule.one_minus_alpha_bar[t]))


def _remember(memory: Past | None, value: Array, place: Array) -> Past:
    if memory is None:
        nothing = jnp.zeros_like(value)
        memory = Past(jnp.zeros((), jnp.int32), (nothing,) * 4, (place,) * 4)
    return Past(
        memory.count + 1,
        (value, *memory.values[:-1]),
        (place, *memory.places[:-1]),
    )


def _exponential_moments(width: Array) -> tuple[Array, Array]:
    """E[u] and E[u^2] for a density proportional to e^u on [0, width]."""
    mass = -jnp.expm1(-width)
    return width / mass - 1, (jnp.square(width) - 2 * width) / mass + 2


def _newton(
    past: Past, order: int, places: tuple[Array, ...], first: Array, second: Array
) -> Array:
    """E[P(place_0 + u)] for the interpolating P, given E[u] and E[u^2]."""
    known = jnp.minimum(past.count, order)
    (v_0, v_1, v_2, _), (p_0, p_1, p_2, _) = past.values, places
    gap_1 = jnp.where(known > 1, p_0 - p_1, 1)
    gap_2 = jnp.where(known > 2, p_1 - p_2, 1)
    slope = (v_0 - v_1) / gap_1
    bend = (slope - (v_1 - v_2) / gap_2) / (gap_1 + gap_2)
    linear = jnp.where(known > 1, first * slope, 0)
    return v_0 + linear + jnp.where(known > 2, (second + gap_1 * first) * bend, 0)
