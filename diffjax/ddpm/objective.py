"""The only place where a network is seen: anything with `init` and `apply` will do.

A network takes and returns batches: `net.apply(params, x [B, ...], t [B])`, and after
these two a label [B] or a previous estimate [B, ...] where a function here says so.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from diffjax.core.batching import of_example
from diffjax.core.bounds import Bound
from diffjax.core.schedules import Schedule
from diffjax.core.times import Steps
from diffjax.ddpm import (
    guidance,
    likelihood,
    losses,
    predict,
    samplers,
    times,
    weights,
)
from diffjax.ddpm import variance as variances
from diffjax.ddpm.likelihood import Decoder
from diffjax.ddpm.predict import Denoise, Parameterization
from diffjax.ddpm.samplers import Step
from diffjax.ddpm.weights import Weight
from diffjax.types import Array, Batch, Metrics, Net, Objective, Params, Sampler


def example_net(net: Net, params: Params, *extra: Array) -> Denoise:
    r"""A batched network as a function of one example.

        f(x, t) = net(x[None], t[None])[0]

    Args: net: Net.  params: its parameters.  extra: further inputs of one example.
    Returns: (x [...], t []) -> [...], in the unit of the network's output.
    """
    f = of_example(net, params)
    return lambda x, t: f(x, t, *extra)


def objective(
    net: Net,
    schedule: Schedule,
    *,
    parameterization: Parameterization = predict.EPS,
    weight: Weight = weights.uniform,
    times: Steps = times.uniform,
) -> Objective:
    r"""Train a network on the squared error of what it predicts.

        L = E_{t, eps} w_t || target - net(x_t, t) ||^2 / D

    Ho et al. 2020 (arXiv:2006.11239), eq. 14.

    Args: net: (x [B, ...], t [B]) -> [B, ...].  schedule: tables [T + 1].
        parameterization: what the output means.  weight: w_t; those of the module
        `weights` are for EPS, `weights.on` carries them over.  times: how t is drawn.
    Returns: Objective, its loss the mean squared error (unit of the target, squared).
    """

    def init(rng: Array, batch: Batch) -> Params:
        x = batch["x"]
        return net.init(rng, x, jnp.ones(x.shape[0], jnp.int32))

    def loss(params: Params, rng: Array, batch: Batch) -> tuple[Array, Metrics]:
        x_0 = batch["x"]
        t, x_t = losses.noisy_batch(schedule, rng, x_0, times=times)
        output = net.apply(params, x_t, t)
        return regression(parameterization, weight, schedule, x_0, x_t, t, output)

    return Objective(init, loss)


def hybrid_objective(
    net: Net,
    schedule: Schedule,
    *,
    lam: float = 0.001,
    decoder: Callable[..., Decoder] = likelihood.discretized_decoder,
    times: Steps = times.uniform,
) -> Objective:
    r"""Train the noise and the variance of improved DDPM.

        L_hybrid = L_simple + lam L_vlb,    the mean held fixed in L_vlb

    Nichol & Dhariwal 2021 (arXiv:2102.09672), eq. 16.

    Args: net: (x [B, ..., C], t [B]) -> [B, ..., 2 C], eps first, then the place in
        the range of `variance.learned_range`.  schedule: tables [T + 1].  lam: weight
        of the bound in bits/dim.  decoder: variance=... -> `Decoder`, one of
        `likelihood` with its other options bound.  times: how t is drawn.
    Returns: Objective (mean squared error plus lam bits per dimension).
    """
    plain = objective(net, schedule)

    def loss(params: Params, rng: Array, batch: Batch) -> tuple[Array, Metrics]:
        def term(x_0: Array, x_t: Array, t: Array) -> Array:
            output = example_net(net, params)(x_t, t)
            denoise, variance = split(schedule, lambda x_t, t: output)
            return losses.hybrid_term(
                schedule,
                x_0,
                denoise(x_t, t),
                x_t,
                t,
                variance=variance,
                lam=lam,
                decoder=decoder(variance=variance),
            )

        t, x_t = losses.noisy_batch(schedule, rng, batch["x"], times=times)
        value = jnp.mean(jax.vmap(term)(batch["x"], x_t, t))
        return value, {"loss": value}

    return Objective(plain.init, loss)


def split_net(
    net: Net, schedule: Schedule, params: Params
) -> tuple[Denoise, variances.Variance]:
    r"""The denoiser and the variance of a network with twice the channels.

        [eps, u] = net(x_t, t)

    Nichol & Dhariwal 2021, section 3.1. Under jit the two share one network call, but
    not its gradient: a loss is better made of `split`.

    Args: net: (x [B, ..., C], t [B]) -> [B, ..., 2 C].  schedule: tables [T + 1].
        params: of the net.
    Returns: denoise (data units), variance.
    """
    return split(schedule, example_net(net, params))


def split(
    schedule: Schedule, f: Callable[[Array, Array], Array]
) -> tuple[Denoise, variances.Variance]:
    r"""The denoiser and the variance of a function with twice the channels.

        [eps, u] = f(x_t, t)

    Where the output at one (x_t, t) is at hand, `lambda x_t, t: output` asks no network
    again: XLA merges equal calls, but not the gradients of each.

    Args: schedule: tables [T + 1].  f: of one example, (x_t [..., C], t []) ->
        [..., 2 C].
    Returns: denoise (data units), variance.
    """

    def eps(x_t: Array, t: Array) -> Array:
        return jnp.split(f(x_t, t), 2, axis=-1)[0]

    def place(x_t: Array, t: Array) -> Array:
        return jnp.split(f(x_t, t), 2, axis=-1)[1]

    denoise = predict.denoiser_from_eps(schedule, eps)
    return denoise, variances.learned_range(place)


def sampler(
    net: Net,
    schedule: Schedule,
    shape: tuple[int, ...],
    *,
    parameterization: Parameterization = predict.EPS,
    step: Step | None = None,
    ts: Any = None,
    guide: Callable[[Denoise], Denoise] = guidance.unguided,
) -> Sampler:
    r"""Draw with a trained network.

        x_T ~ N(0, I),    x_s ~ p(x_s | x_t) down to x_0

    Ho et al. 2020, algorithm 2.

    Args: net: as trained.  schedule: tables [T + 1].  shape: of one example.
        parameterization: what the output means.  step, ts: as for `samplers.sample`.
        guide: denoise -> denoise, for example `guidance.clipped` for images.
    Returns: Sampler: (params, rng, num) -> [num, *shape] (data units).
    """

    def draw(params: Params, rng: Array, num: int) -> Array:
        denoise = parameterization.denoiser(schedule, example_net(net, params))
        size = (num, *shape)
        return samplers.sample(guide(denoise), schedule, rng, size, step=step, ts=ts)

    return draw


def net_bound(
    net: Net, schedule: Schedule, *, parameterization: Parameterization = predict.EPS
) -> Callable[[Params, Array, Batch], Bound]:
    r"""The exact bound of a trained network.

        (params, rng, batch) -> Bound

    Ho et al. 2020, eq. 5.

    Args: net: as trained.  schedule: tables [T + 1].  parameterization: what the
        output means.
    Returns: a function to Bound of [B], [B, T - 1], [B]; nats.
    """

    def evaluate(params: Params, rng: Array, batch: Batch) -> Bound:
        denoise = parameterization.denoiser(schedule, example_net(net, params))
        return likelihood.bound(denoise, schedule, rng, batch["x"])

    return evaluate


def regression(
    parameterization: Parameterization,
    weight: Weight,
    schedule: Schedule,
    x_0: Array,
    x_t: Array,
    t: Array,
    output: Array,
) -> tuple[Array, Metrics]:
    r"""The loss of a network's output, and what to report of it.

        L = 1/B sum_i w_{t_i} || target_i - output_i ||^2 / D

    Args: parameterization: what the output means.  weight: w_t.  schedule: tables
        [T + 1].  x_0, x_t, output: [B, ...].  t: integer [B].
    Returns: [] loss, and metrics (unit of the target, squared).
    """
    target = jax.vmap(parameterization.target, in_axes=(None, 0, 0, 0))
    error = losses.mean_square(target(schedule, x_t, x_0, t) - output)
    w = jax.vmap(weight, in_axes=(None, 0))(schedule, t)
    value = jnp.mean(w * error)
    return value, {"loss": value, "mse": jnp.mean(error)}
