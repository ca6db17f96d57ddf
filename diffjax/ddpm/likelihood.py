"""Exact likelihoods: the variational bound, and the probability-flow ODE."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from diffjax.core import chain, checks, gaussian, likelihoods
from diffjax.core.bounds import Bound
from diffjax.core.schedules import Schedule
from diffjax.ddpm import process
from diffjax.ddpm.predict import Denoise
from diffjax.ddpm.variance import Variance, first_clipped, large, small
from diffjax.types import Array

Decoder = Callable[[Schedule, Array, Array, Array, Array], Array]
"""(schedule, x_0 [...], x_t [...], x_0_hat [...], t []) -> log p(x_0 | x_t) [] nats."""


def discretized_decoder(
    *,
    variance: Variance = first_clipped,
    likelihood: Callable[..., Array] = likelihoods.discretized_gaussian,
    levels: int = 256,
) -> Decoder:
    r"""The decoder of images: a Gaussian around x_0_hat, cut into levels.

        log p(x_0 | x_1) = sum log int_bin N(x; x_0_hat, var)

    Ho et al. 2020 (arXiv:2006.11239), section 3.3. The data is on [-1, 1], level k at
    2 k / (levels - 1) - 1. A learned variance goes in as `variance`; the published
    code's likelihood is `likelihoods.discretized_gaussian_tanh`.

    Args: variance: of p(x_0 | x_t), > 0, by default the posterior's of t = 2.
        likelihood: (levels, mean, log_scale, *, levels) -> nats.  levels: how many.
    Returns: a `Decoder`, nats.
    """

    def decode(
        schedule: Schedule, x_0: Array, x_t: Array, x_0_hat: Array, t: Array
    ) -> Array:
        level = jnp.round((x_0 + 1) * ((levels - 1) / 2)).astype(jnp.int32)
        var = variance(schedule, x_t, t, jnp.zeros_like(t))
        return likelihood(level, x_0_hat, 0.5 * jnp.log(var), levels=levels)

    return decode


def gaussian_decoder(*, variance: Variance = first_clipped) -> Decoder:
    r"""The decoder of real-valued data: a Gaussian density around x_0_hat.

        log p(x_0 | x_1) = log N(x_0; x_0_hat, var)

    Lecture 02 (VAE), "Gaussian VAE", with its constant.

    Args: variance: of p(x_0 | x_t), > 0, by default the posterior's of t = 2.
    Returns: a `Decoder`, nats.
    """

    def decode(
        schedule: Schedule, x_0: Array, x_t: Array, x_0_hat: Array, t: Array
    ) -> Array:
        var = variance(schedule, x_t, t, jnp.zeros_like(t))
        return gaussian.log_prob(x_0, x_0_hat, jnp.log(var))

    return decode


def divergence(
    schedule: Schedule,
    x_0: Array,
    x_0_hat: Array,
    x_t: Array,
    t: Array,
    s: Array,
    *,
    variance: Variance = small,
) -> Array:
    r"""One term of the bound, RV3 of the notes.

        KL( q(x_s | x_t, x_0) || p(x_s | x_t) ),
        p = N( posterior mean at x_0_hat, variance )

    With `small` it is 1/2 (SNR_s - SNR_t) ||x_0 - x_0_hat||^2. Blog "Diffusion
    Probabilistic Models", RV3; Ho et al. 2020, eq. 5.

    Args: schedule: tables [T + 1].  x_0, x_0_hat, x_t: [...].  t, s: [], 0 < s < t.
        variance: of p.
    Returns: [] nats.
    """
    _, beta = process.between(schedule, s, t)
    gain = jnp.sqrt(schedule.alpha_bar[s]) * beta / schedule.one_minus_alpha_bar[t]
    log_var_q = jnp.log(small(schedule, x_t, t, s))
    log_var_p = jnp.log(variance(schedule, x_t, t, s))
    # Both means contain the same multiple of x_t; leaving it out saves float32 digits.
    return gaussian.kl(gain * x_0, log_var_q, gain * x_0_hat, log_var_p)


def prior(schedule: Schedule, x_0: Array, t: Array) -> Array:
    r"""The bound's last term, RV2 of the blog: small, but not the 0 it states.

        KL( q(x_t | x_0) || N(0, I) ) = 1/2 sum [ ab_t x_0^2 - ab_t - log(1 - ab_t) ]

    Blog "Diffusion Probabilistic Models", RV2; Ho et al. 2020, eq. 5.

    Args: schedule: tables [T + 1].  x_0: [...].  t: integer [], T unless the chain
        starts below.
    Returns: [] nats.
    """
    mean, _ = process.marginal(schedule, x_0, t)
    ab, noise = schedule.alpha_bar[t], schedule.one_minus_alpha_bar[t]
    log_var = jnp.where(ab < 0.5, jnp.log1p(-ab), jnp.log(noise))
    return gaussian.kl_standard(mean, log_var)


def bound(
    denoise: Denoise,
    schedule: Schedule,
    rng: Array,
    x_0: Array,
    *,
    variance: Variance = small,
    decoder: Decoder | None = None,
    ts: Any = None,
) -> Bound:
    r"""Every term of the variational bound, each estimated with one draw of x_t.

        log p(x_0) >= E log p(x_0 | x_1) - sum_{t=2}^T E KL(q(x_{t-1} | x_t, x_0) || p)
                      - KL(q(x_T | x_0) || N(0, I))

    Blog "Diffusion Probabilistic Models", RV1-RV3; Ho et al. 2020, eq. 5. One scan
    over t: memory does not grow with T. On a sub-grid it is the bound of the strided
    sampler on that grid.

    Args: denoise: one example.  schedule: tables [T + 1].  rng: key, or keys [B].
        x_0: [B, ...].  variance: of the reverse step.  decoder: by default
        `discretized_decoder()`, with the small variance of the grid's next step (t = 2
        if it is whole).  ts: integers descending from T to 0, by default all.
    Returns: Bound of [B], [B, T - 1] for t = 2..T ascending, [B]; nats.
    """
    checks.floating("x_0", x_0)
    ts = full_grid(schedule) if ts is None else checks.grid(schedule.T, ts)
    ascending = jnp.flip(ts)[1:]
    if decoder is None:
        decoder = discretized_decoder(variance=_of_next_step(ascending))

    def of_example(rng: Array, x_0: Array) -> Bound:
        def estimate(t: Array) -> tuple[Array, Array]:
            eps = chain.normal(jax.random.fold_in(rng, t), x_0)
            x_t = process.diffuse(schedule, x_0, eps, t)
            return x_t, denoise(x_t, t)

        def term(_: None, s_t: tuple[Array, Array]) -> tuple[None, Array]:
            s, t = s_t
            x_t, x_0_hat = estimate(t)
            return None, divergence(
                schedule, x_0, x_0_hat, x_t, t, s, variance=variance
            )

        _, divergences = jax.lax.scan(term, None, (ascending[:-1], ascending[1:]))
        first = ascending[0]
        x_1, x_0_hat = estimate(first)
        reconstruction = decoder(schedule, x_0, x_1, x_0_hat, first)
        return Bound(reconstruction, divergences, prior(schedule, x_0, ascending[-1]))

    return jax.vmap(of_example)(chain.example_keys(rng, x_0.shape[0]), x_0)


def _of_next_step(ascending: Array) -> Variance:
    if len(ascending) == 1:
        return large
    return lambda schedule, x_t, t, s: small(schedule, x_t, ascending[1], ascending[0])


def full_grid(schedule: Schedule) -> Array:
    r"""Every step, the grid of the original sampler.

        T, T - 1, ..., 1, 0

    Args: schedule: tables [T + 1].
    Returns: integers [T + 1] (steps, no unit).
    """
    return jnp.arange(schedule.T, -1, -1)


def exact_trace(f: Callable[[Array], Array], x: Array) -> tuple[Array, Array]:
    r"""A function's value and the trace of its Jacobian, at the cost of D tangents.

        f(x),    tr(df/dx) = sum_i e_i^T (df/dx) e_i

    Args: f: [...] -> [...].  x: [...], D entries.
    Returns: value [...], trace [] (unit of f per unit of x).
    """
    value, push = jax.linearize(f, x)
    basis = jnp.eye(x.size, dtype=x.dtype).reshape(x.size, *x.shape)
    return value, jnp.sum(jax.vmap(push)(basis) * basis)


def hutchinson_trace(probes: Array) -> Callable[..., tuple[Array, Array]]:
    r"""A function's value and an unbiased estimate of the trace of its Jacobian.

        tr(df/dx) ~ 1/P sum_p u_p^T (df/dx) u_p,    E[u u^T] = I

    Song et al. 2021 (arXiv:2011.13456), appendix D.2.

    Args: probes: [P, ...], Rademacher (least variance) or Gaussian noise.
    Returns: a function like `exact_trace`, to value [...] and trace [], at the cost of
        P tangents.
    """

    def trace(f: Callable[[Array], Array], x: Array) -> tuple[Array, Array]:
        value, push = jax.linearize(f, x)
        return value, jnp.sum(jax.vmap(push)(probes) * probes) / probes.shape[0]

    return trace


def flow_log_prob(
    denoise: Denoise,
    schedule: Schedule,
    x_0: Array,
    *,
    trace: Callable[..., tuple[Array, Array]] = exact_trace,
    ts: Any = None,
) -> Array:
    r"""Log density of one example under the probability-flow ODE, by Heun's rule.

        dx/dphi = v(x) = (cos(phi) x - x_0_hat) / sin(phi),
        d log p(x)/dphi = -tr(dv/dx),    cos(phi) = sqrt(ab),    sin(phi) = sqrt(1 - ab)

    Song et al. 2021 (arXiv:2011.13456), eq. 39, in the angle of Salimans & Ho 2022,
    where v is the velocity and nothing is infinite at either end. It starts at the
    first step of the grid: what it returns is the density of the data blurred by noise
    of variance (1 - ab_1) / ab_1.

    Args: denoise: one example.  schedule: tables [T + 1].  x_0: [...].  trace: like
        `exact_trace`.  ts: integers descending from T to 0, by default all.
    Returns: [] nats.
    """
    checks.floating("x_0", x_0)
    ts = full_grid(schedule) if ts is None else checks.grid(schedule.T, ts)
    ascending = jnp.flip(ts)[1:]
    cos, sin = jnp.sqrt(schedule.alpha_bar), jnp.sqrt(schedule.one_minus_alpha_bar)
    phi = jnp.arctan2(sin, cos)

    def slope(x: Array, t: Array) -> tuple[Array, Array]:
        x_0_hat, tr = trace(lambda x: denoise(x, t), x)
        return (cos[t] * x - x_0_hat) / sin[t], (cos[t] * x.size - tr) / sin[t]

    def move(carry: Any, s_t: tuple[Array, Array]) -> tuple[Any, None]:
        (x, gained), (s, t) = carry, s_t
        width = phi[t] - phi[s]
        dx_s, spread_s = slope(x, s)
        dx_t, spread_t = slope(x + width * dx_s, t)
        x = x + width * (dx_s + dx_t) / 2
        return (x, gained + width * (spread_s + spread_t) / 2), None

    first = cos[ascending[0]]
    start = (first * x_0, x_0.size * jnp.log(first))
    (x_T, gained), _ = jax.lax.scan(move, start, (ascending[:-1], ascending[1:]))
    return gaussian.log_prob(x_T, jnp.zeros_like(x_T), jnp.zeros(())) + gained
