"""Training losses of a denoiser: the mean over a batch; weights act here only."""

from typing import Any

import jax
import jax.numpy as jnp

from diffjax.core import chain, checks
from diffjax.core.bounds import bits_per_dim
from diffjax.core.schedules import Schedule
from diffjax.core.times import Steps
from diffjax.ddpm import predict, process, times, weights
from diffjax.ddpm.likelihood import Decoder, discretized_decoder, divergence, prior
from diffjax.ddpm.predict import Denoise, Parameterization
from diffjax.ddpm.variance import Variance, small
from diffjax.ddpm.weights import Weight
from diffjax.types import Array


def simple_loss(
    denoise: Denoise,
    schedule: Schedule,
    rng: Array,
    x_0: Array,
    *,
    weight: Weight = weights.uniform,
    times: Steps = times.uniform,
) -> Array:
    r"""The loss of DDPM: how well the noise is guessed.

        L_simple = E_{t, eps} w_t || eps - eps_hat(x_t, t) ||^2 / D

    Ho et al. 2020 (arXiv:2006.11239), eq. 14, as the mean over dimensions.

    Args: denoise: one example.  schedule: tables [T + 1].  rng: key, or keys [B].
        x_0: [B, ...].  weight: w_t.  times: how t is drawn.
    Returns: [] mean squared error of eps (no unit).
    """
    return matching_loss(
        denoise, predict.EPS, schedule, rng, x_0, weight=weight, times=times
    )


def x_0_loss(
    denoise: Denoise,
    schedule: Schedule,
    rng: Array,
    x_0: Array,
    *,
    weight: Weight = weights.uniform,
    times: Steps = times.uniform,
) -> Array:
    r"""How well the data is guessed.

        L = E_{t, eps} w_t || x_0 - x_0_hat(x_t, t) ||^2 / D

    Blog "Diffusion Probabilistic Models", Objective Function.

    Args: as for `simple_loss`.
    Returns: [] mean squared error of x_0 (data units squared).
    """
    return matching_loss(
        denoise, predict.X_0, schedule, rng, x_0, weight=weight, times=times
    )


def v_loss(
    denoise: Denoise,
    schedule: Schedule,
    rng: Array,
    x_0: Array,
    *,
    weight: Weight = weights.uniform,
    times: Steps = times.uniform,
) -> Array:
    r"""How well the velocity is guessed: the errors of x_0 and eps added up.

        L = E_{t, eps} w_t || v - v_hat(x_t, t) ||^2 / D

    Salimans & Ho 2022 (arXiv:2202.00512), section 4 ("SNR + 1 weighting").

    Args: as for `simple_loss`.
    Returns: [] mean squared error of v (data units squared).
    """
    return matching_loss(
        denoise, predict.V, schedule, rng, x_0, weight=weight, times=times
    )


def matching_loss(
    denoise: Denoise,
    parameterization: Parameterization,
    schedule: Schedule,
    rng: Array,
    x_0: Array,
    *,
    weight: Weight = weights.uniform,
    times: Steps = times.uniform,
) -> Array:
    r"""The squared error of any target, of a denoiser.

        L = E_{t, eps} w_t || target(x_t, x_0, t) - target(x_t, x_0_hat, t) ||^2 / D

    Args: as for `simple_loss`.  parameterization: whose target.
    Returns: [] mean squared error (unit of the target, squared).
    """
    t, x_t = noisy_batch(schedule, rng, x_0, times=times)
    x_0_hat = jax.vmap(denoise)(x_t, t)
    target = jax.vmap(parameterization.target, in_axes=(None, 0, 0, 0))
    error = target(schedule, x_t, x_0, t) - target(schedule, x_t, x_0_hat, t)
    w = jax.vmap(weight, in_axes=(None, 0))(schedule, t)
    return jnp.mean(w * mean_square(error))


def vlb_loss(
    denoise: Denoise,
    schedule: Schedule,
    rng: Array,
    x_0: Array,
    *,
    variance: Variance = small,
    decoder: Decoder | None = None,
    times: Steps = times.uniform,
) -> Array:
    r"""An unbiased estimate of -elbo from one step an example.

        L = E_t T L_{t-1} + L_T,    L_0 = -log p(x_0 | x_1)

    Nichol & Dhariwal 2021 (arXiv:2102.09672), section 2.2 and eq. 4.

    Args: as for `simple_loss`.  variance: of the reverse step.  decoder: by default
        `likelihood.discretized_decoder()`.
    Returns: [] nats per example.
    """
    t, x_t = noisy_batch(schedule, rng, x_0, times=times)
    options: dict[str, Any] = {"variance": variance, "decoder": decoder}

    def term(x_0: Array, x_t: Array, t: Array) -> Array:
        return bound_term(schedule, x_0, denoise(x_t, t), x_t, t, **options)

    terms = jax.vmap(term)(x_0, x_t, t)
    at_T = jax.vmap(prior, in_axes=(None, 0, None))
    return jnp.mean(schedule.T * terms + at_T(schedule, x_0, jnp.asarray(schedule.T)))


def hybrid_loss(
    denoise: Denoise,
    schedule: Schedule,
    rng: Array,
    x_0: Array,
    *,
    variance: Variance,
    lam: float = 0.001,
    decoder: Decoder | None = None,
    times: Steps = times.uniform,
) -> Array:
    r"""The simple loss for the mean and the bound for the variance.

        L_hybrid = L_simple + lam L_vlb,    the mean held fixed in L_vlb

    where L_vlb is in bits per dimension, without its constant last term. Nichol &
    Dhariwal 2021, eq. 16.

    Args: as for `vlb_loss`.  variance: learned.  lam: weight of the bound.  decoder: by
        default `likelihood.discretized_decoder` with this variance.
    Returns: [] mean squared error plus lam bits per dimension.
    """
    t, x_t = noisy_batch(schedule, rng, x_0, times=times)
    options: dict[str, Any] = {"variance": variance, "lam": lam, "decoder": decoder}

    def term(x_0: Array, x_t: Array, t: Array) -> Array:
        return hybrid_term(schedule, x_0, denoise(x_t, t), x_t, t, **options)

    return jnp.mean(jax.vmap(term)(x_0, x_t, t))


def hybrid_term(
    schedule: Schedule,
    x_0: Array,
    x_0_hat: Array,
    x_t: Array,
    t: Array,
    *,
    variance: Variance,
    lam: float = 0.001,
    decoder: Decoder | None = None,
) -> Array:
    r"""The hybrid loss of one example at its t.

        || eps - eps_hat ||^2 / D + lam T L_{t-1} in bits/dim,    x_0_hat fixed in L

    Nichol & Dhariwal 2021, eq. 16.

    Args: schedule: tables [T + 1].  x_0, x_0_hat, x_t: [...].  t: integer [].
        variance, lam, decoder: as for `hybrid_loss`.
    Returns: [] mean squared error plus lam bits per dimension.
    """
    if decoder is None:
        decoder = discretized_decoder(variance=variance)
    eps, eps_hat = (predict.eps_from_x_0(schedule, x_t, x, t) for x in (x_0, x_0_hat))
    fixed = jax.lax.stop_gradient(x_0_hat)
    term = bound_term(schedule, x_0, fixed, x_t, t, variance=variance, decoder=decoder)
    vlb = bits_per_dim(schedule.T * term, x_0.size)
    return jnp.mean(jnp.square(eps - eps_hat)) + lam * vlb


def bound_term(
    schedule: Schedule,
    x_0: Array,
    x_0_hat: Array,
    x_t: Array,
    t: Array,
    *,
    variance: Variance = small,
    decoder: Decoder | None = None,
) -> Array:
    r"""The bound's term of one example at its t, positive when it costs.

        L_{t-1} = KL( q(x_{t-1} | x_t, x_0) || p ), t >= 2;    L_0 = -log p(x_0 | x_1)

    Ho et al. 2020, eq. 5.

    Args: schedule: tables [T + 1].  x_0, x_0_hat, x_t: [...].  t: integer [].
        variance, decoder: as for `vlb_loss`.
    Returns: [] nats.
    """
    decode = discretized_decoder() if decoder is None else decoder
    first = -decode(schedule, x_0, x_t, x_0_hat, t)
    if schedule.T == 1:
        return first
    # Both branches are differentiated, so at t = 1 the tables are read at t = 2; a
    # network in `variance` is still asked at t, in the call it shares with x_0_hat.
    var = jnp.where(t > 1, variance(schedule, x_t, t, t - 1), 1)
    upper = jnp.maximum(t, 2)
    rest = divergence(
        schedule,
        x_0,
        x_0_hat,
        x_t,
        upper,
        upper - 1,
        variance=lambda schedule, x_t, t, s: var,
    )
    return jnp.where(t == 1, first, rest)


def noisy_batch(
    schedule: Schedule, rng: Array, x_0: Array, *, times: Steps = times.uniform
) -> tuple[Array, Array]:
    r"""A step and a noisy version for every example.

        t_i = times(u)_i,    x_t = sqrt(ab_t) x_0 + sqrt(1 - ab_t) eps

    Ho et al. 2020, algorithm 1, lines 2-4.

    Args: schedule: tables [T + 1].  rng: key, or keys [B].  x_0: [B, ...].  times: how
        t is drawn.
    Returns: t integer [B], x_t [B, ...] (data units).
    """
    checks.floating("x_0", x_0)
    u, eps = _draws(rng, x_0)
    t = times(u, schedule.T)
    return t, jax.vmap(process.diffuse, in_axes=(None, 0, 0, 0))(schedule, x_0, eps, t)


def mean_square(error: Array) -> Array:
    r"""The squared error of each example, as the mean over its dimensions.

        1/D sum_i error_i^2

    Args: error: [B, ...].
    Returns: [B] (unit of the error, squared).
    """
    return jnp.mean(jnp.square(error), axis=tuple(range(1, error.ndim)))


def _draws(rng: Array, x_0: Array) -> tuple[Array, Array]:
    keys = jax.vmap(jax.random.split)(chain.example_keys(rng, x_0.shape[0]))
    u = jax.vmap(jax.random.uniform)(keys[:, 0])
    return u, jax.vmap(chain.normal)(keys[:, 1], x_0)
