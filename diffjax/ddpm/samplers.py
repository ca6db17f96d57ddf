"""Samplers: each is a step for `core.chain`, and every step takes any denoiser.

    step(denoise, schedule, x_t, t, s, eps, memory) -> (x_s, memory)

One example, s < t, eps standard noise of x_t's shape (ignored by the deterministic
ones). A chain calls a step with memory None once, to learn the shapes of its memory,
and starts from zeros of these shapes. Grids are any integers descending to 0.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from diffjax.core import chain, checks
from diffjax.core.schedules import Schedule
from diffjax.ddpm import predict, process
from diffjax.ddpm.likelihood import full_grid
from diffjax.ddpm.predict import Denoise
from diffjax.ddpm.variance import Variance, small
from diffjax.types import Array

Step = Callable[[Denoise, Schedule, Array, Array, Array, Array, Any], tuple[Array, Any]]


def sample(
    denoise: Any,
    schedule: Schedule,
    rng: Array,
    shape: tuple[int, ...],
    *,
    step: Step | None = None,
    ts: Any = None,
) -> Array:
    r"""Draw from the model: x_T ~ N(0, I), then step after step to x_0.

        x_s ~ p(x_s | x_t)    for (t, s) along the grid

    Lecture 02 (DDPM), "DDPM Sampling" (which prints bars over every alpha); Ho et al.
    2020, algorithm 2. Wrap it in `jax.jit` to call it more than once; the grid may be
    an argument.

    Args: denoise: one example, as the step wants it.  schedule: tables [T + 1].  rng:
        key, or keys [B].  shape: (B, ...).  step: by default `ancestral`.  ts: integers
        descending from T to 0, by default all.
    Returns: [B, ...] samples (data units, not clipped).
    """
    step = ancestral if step is None else step
    ts = full_grid(schedule) if ts is None else checks.grid(schedule.T, ts)

    def one(rng: Array) -> Array:
        x_T, rng = start(schedule, rng, shape[1:])
        return chain.reverse(bind(step, denoise, schedule), rng, x_T, ts)

    return jax.vmap(one)(chain.example_keys(rng, shape[0]))


def trajectory(
    denoise: Denoise,
    schedule: Schedule,
    rng: Array,
    shape: tuple[int, ...],
    *,
    every: int,
    observe: Callable[[Array, Array], Any] = lambda x_t, t: x_t,
    step: Step | None = None,
    ts: Any = None,
) -> tuple[Array, Any]:
    r"""`sample`, the same samples, with what it passed on the way.

        records_k = observe(x_t, t) at t = ts[k * every]

    Ho et al. 2020, figure 6, is `observe=denoise`.

    Args: as for `sample`.  every: steps between records.  observe: (x_t [...], t [])
        -> any pytree.
    Returns: [B, ...] samples, and records [B, ceil(N / every), ...], the noisiest
        first (data units).
    """
    step = ancestral if step is None else step
    ts = full_grid(schedule) if ts is None else checks.grid(schedule.T, ts)

    def one(rng: Array) -> tuple[Array, Any]:
        x_T, rng = start(schedule, rng, shape[1:])
        bound_step = bind(step, denoise, schedule)
        return chain.trajectory(bound_step, rng, x_T, ts, every=every, observe=observe)

    return jax.vmap(one)(chain.example_keys(rng, shape[0]))


def bind(step: Step, denoise: Any, schedule: Schedule) -> chain.Step:
    r"""A DDPM step as a step of `core.chain`.

        (x_t, t, s, eps, memory) -> step(denoise, schedule, x_t, t, s, eps, memory)

    Args: step: of this module.  denoise: one example.  schedule: tables [T + 1].
    Returns: a `chain.Step` (data units).
    """
    return lambda x_t, t, s, eps, memory: step(
        denoise, schedule, x_t, t, s, eps, memory
    )


def ancestral_with(variance: Variance) -> Step:
    r"""A step that draws from p(x_s | x_t) with a given variance.

        x_s = mean(x_t, x_0_hat) + sqrt(variance) eps,    without noise at s = 0

    Lecture 02 (DDPM), "DDPM Sampling"; Ho et al. 2020, algorithm 2.

    Args: variance: of the module `variance`.
    Returns: a step (data units).
    """

    def step(denoise, schedule, x_t, t, s, eps, memory):
        mean, _ = process.posterior(schedule, denoise(x_t, t), x_t, t, s=s)
        var = variance(schedule, x_t, t, s)
        drawn = jnp.sqrt(jnp.where(s > 0, var, 1)) * eps
        return mean + jnp.where(s > 0, drawn, 0), memory

    return step


def ancestral(
    denoise: Denoise,
    schedule: Schedule,
    x_t: Array,
    t: Array,
    s: Array,
    eps: Array,
    memory: Any,
) -> tuple[Array, Any]:
    r"""The sampler of DDPM with the posterior's variance, on any grid.

        x_s = mean(x_t, x_0_hat) + sqrt( beta (1 - ab_s) / (1 - ab_t) ) eps

    Lecture 02 (DDPM), "DDPM Sampling"; Ho et al. 2020, algorithm 2.

    Args: denoise: one example.  schedule: tables [T + 1].  x_t, eps: [...].  t, s: [].
        memory: returned as it is.
    Returns: x_s [...], memory (data units).
    """
    return ancestral_with(small)(denoise, schedule, x_t, t, s, eps, memory)


def ddim(eta: float = 0.0) -> Step:
    r"""The family of steps that all keep q(x_s | x_0); eta = 0 is deterministic.

        x_s = sqrt(ab_s) x_0_hat + sqrt(1 - ab_s - sigma^2) eps_hat + sigma eps,
        sigma^2 = eta^2 small

    Song et al. 2021 (DDIM, arXiv:2010.02502), eqs. 12 and 16. eps_hat is derived from
    x_0_hat, so that clipping the one changes the other. eta = 1 is `ancestral`.

    Args: eta: 0 to 1.
    Returns: a step (data units).
    """
    if not 0 <= eta <= 1:
        raise ValueError(f"expected 0 <= eta <= 1, got {eta}; 1 is ancestral sampling")

    def step(denoise, schedule, x_t, t, s, eps, memory):
        x_0_hat = denoise(x_t, t)
        eps_hat = predict.eps_from_x_0(schedule, x_t, x_0_hat, t)
        _, beta = process.between(schedule, s, t)
        # Of the noise's power 1 - ab_s this share is fresh; at s = 0 there is none.
        share = jnp.where(s > 0, beta / schedule.one_minus_alpha_bar[t], 0)
        kept = jnp.sqrt(1 - eta**2 * share)
        fresh = eta * jnp.sqrt(jnp.where(s > 0, share, 1))
        noise = process.sigma(schedule, s) * (kept * eps_hat + fresh * eps)
        return jnp.sqrt(schedule.alpha_bar[s]) * x_0_hat + noise, memory

    return step


def ddim_inverse(*, iterations: int = 1) -> Step:
    r"""A step upwards, s > t, that undoes `ddim(0)`: solved for x_s by iteration.

        x_s = a x_t + b eps_hat(x_s, s),
        a = sqrt(ab_s / ab_t),    b = sqrt(1 - ab_s) - a sqrt(1 - ab_t)

    The usual inversion calls the network at (x_t, t); this implicit equation, iterated
    from x_s = a x_t, also holds at t = 0, where no network can be called, and makes the
    round trip exact (Pan et al. 2023, arXiv:2309.04907).

    Args: iterations: of the fixed point, each one call of the network.
    Returns: a step, for grids that ascend (data units).
    """
    if iterations < 1:
        raise ValueError(f"expected iterations >= 1, got {iterations}")

    def step(denoise, schedule, x_t, t, s, eps, memory):
        a = jnp.sqrt(schedule.alpha_bar[s] / schedule.alpha_bar[t])
        b = process.sigma(schedule, s) - a * process.sigma(schedule, t)

        def improve(_: int, x_s: Array) -> Array:
            x_0_hat = denoise(x_s, s)
            return a * x_t + b * predict.eps_from_x_0(schedule, x_s, x_0_hat, s)

        return jax.lax.fori_loop(0, iterations, improve, a * x_t), memory

    return step


def invert(
    denoise: Denoise,
    schedule: Schedule,
    x_0: Array,
    *,
    iterations: int = 1,
    ts: Any = None,
) -> Array:
    r"""The noise from which `ddim(0)` makes given examples.

        x_T such that decode(x_T, step=ddim(0)) = x_0

    Song et al. 2021, section 5.4.

    Args: denoise: one example.  schedule: tables [T + 1].  x_0: [B, ...].
        iterations: of `ddim_inverse`.  ts: integers descending from T to 0.
    Returns: [B, ...] x_T (data units).
    """
    checks.floating("x_0", x_0)
    ts = full_grid(schedule) if ts is None else checks.grid(schedule.T, ts)
    step = ddim_inverse(iterations=iterations)
    return _without_noise(step, denoise, schedule, x_0, jnp.flip(ts))


def decode(
    denoise: Any,
    schedule: Schedule,
    x_T: Array,
    *,
    step: Step | None = None,
    ts: Any = None,
) -> Array:
    r"""`sample` without noise, from given starts: DDIM as a decoder.

        x_s = step(x_t) with eps = 0    for (t, s) along the grid

    Song et al. 2021, section 5.4.

    Args: denoise: one example.  schedule: tables [T + 1].  x_T: [B, ...].  step: by
        default `ddim(0)`.  ts: integers descending from T to 0, by default all.
    Returns: [B, ...] x_0 (data units).
    """
    checks.floating("x_T", x_T)
    ts = full_grid(schedule) if ts is None else checks.grid(schedule.T, ts)
    return _without_noise(ddim() if step is None else step, denoise, schedule, x_T, ts)


def self_conditioned(step: Step) -> Step:
    r"""A step for a denoiser that is also given its estimate of the step before.

        x_0_hat_t = denoise(x_t, t, x_0_hat of the step before),    0 at the start

    Chen et al. 2022 (Analog Bits, arXiv:2208.04202), algorithm 2.

    Args: step: for plain denoisers.
    Returns: a step for a denoiser (x_t, t, previous) -> x_0 (data units).
    """

    def move(denoise, schedule, x_t, t, s, eps, memory):
        inner, previous = (None, jnp.zeros_like(x_t)) if memory is None else memory
        estimates = []

        def informed(x: Array, t: Array) -> Array:
            estimates.append(denoise(x, t, previous))
            return estimates[-1]

        x_s, inner = step(informed, schedule, x_t, t, s, eps, inner)
        return x_s, (inner, estimates[0])  # the first call is at (x_t, t)

    return move


def start(
    schedule: Schedule, rng: Array, shape: tuple[int, ...]
) -> tuple[Array, Array]:
    r"""The noise a chain starts from, and the key of the rest.

        x_T ~ N(0, I)

    Args: schedule: tables [T + 1].  rng: key.  shape: of one example.
    Returns: x_T [...] (data units), key.
    """
    first, rest = jax.random.split(rng)
    return jax.random.normal(first, shape, schedule.beta.dtype), rest


def _without_noise(
    step: Step, denoise: Any, schedule: Schedule, x: Array, ts: Array
) -> Array:
    unused_rng, move = jax.random.key(0), bind(step, denoise, schedule)

    def silence(rng: Array, x: Array) -> Array:
        return jnp.zeros_like(x)

    return jax.vmap(lambda x: chain.reverse(move, unused_rng, x, ts, draw=silence))(x)
