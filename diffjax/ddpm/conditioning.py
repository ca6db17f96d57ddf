"""Networks that are told more than x_t and t: a class, or their own last estimate."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from diffjax.core import chain
from diffjax.core.schedules import Schedule
from diffjax.core.times import Steps
from diffjax.ddpm import guidance, losses, predict, samplers, times, weights
from diffjax.ddpm.objective import example_net, regression
from diffjax.ddpm.predict import Denoise, Parameterization
from diffjax.ddpm.samplers import Step
from diffjax.ddpm.weights import Weight
from diffjax.types import Array, Batch, Metrics, Net, Objective, Params, Sampler


def conditional_objective(
    net: Net,
    schedule: Schedule,
    *,
    null_label: int,
    drop: float = 0.1,
    parameterization: Parameterization = predict.EPS,
    weight: Weight = weights.uniform,
    times: Steps = times.uniform,
) -> Objective:
    r"""Train one network for every class and for none, for classifier-free guidance.

        L = E w_t || target - net(x_t, t, y') ||^2 / D,
        y' = null_label with probability drop, else y

    Ho & Salimans 2022 (arXiv:2207.12598), algorithm 1.

    Args: net: (x [B, ...], t [B], label [B]) -> [B, ...].  null_label: "no class".
        drop: 0 to 1.  Others as for `objective`; the batch has "label".
    Returns: Objective (unit of the target, squared).
    """

    def init(rng: Array, batch: Batch) -> Params:
        x = batch["x"]
        return net.init(rng, x, jnp.ones(x.shape[0], jnp.int32), batch["label"])

    def loss(params: Params, rng: Array, batch: Batch) -> tuple[Array, Metrics]:
        x_0, label = batch["x"], batch["label"]
        rng, rng_drop = _split(rng, x_0.shape[0])
        t, x_t = losses.noisy_batch(schedule, rng, x_0, times=times)
        dropped = jax.vmap(jax.random.uniform)(rng_drop) < drop
        output = net.apply(params, x_t, t, jnp.where(dropped, null_label, label))
        return regression(parameterization, weight, schedule, x_0, x_t, t, output)

    return Objective(init, loss)


def conditional_sampler(
    net: Net,
    schedule: Schedule,
    shape: tuple[int, ...],
    *,
    label: int,
    null_label: int,
    scale: float | Callable[[Array], Array] = 1.0,
    parameterization: Parameterization = predict.EPS,
    step: Step | None = None,
    ts: Any = None,
    guide: Callable[[Denoise], Denoise] = guidance.unguided,
) -> Sampler:
    r"""Draw one class with classifier-free guidance.

        x_0_hat = u + w (c - u)

    Ho & Salimans 2022, algorithm 2.

    Args: as for `sampler`, with label and null_label as trained, scale w.
    Returns: Sampler: (params, rng, num) -> [num, *shape] (data units).
    """

    def draw(params: Params, rng: Array, num: int) -> Array:
        def denoiser(y: int) -> Denoise:
            f = example_net(net, params, jnp.asarray(y))
            return parameterization.denoiser(schedule, f)

        guided = guidance.classifier_free(denoiser(label), denoiser(null_label), scale)
        size = (num, *shape)
        return samplers.sample(guide(guided), schedule, rng, size, step=step, ts=ts)

    return draw


def self_conditioned_objective(
    net: Net,
    schedule: Schedule,
    *,
    share: float = 0.5,
    parameterization: Parameterization = predict.EPS,
    weight: Weight = weights.uniform,
    times: Steps = times.uniform,
) -> Objective:
    r"""Train a network that is also shown its own previous estimate of x_0.

        L = E w_t || target - net(x_t, t, x_0_prev) ||^2 / D,
        x_0_prev = stop_gradient(x_0_hat(x_t, t, 0)) with probability share, else 0

    Chen et al. 2022 (Analog Bits, arXiv:2208.04202), algorithm 1.

    Args: net: (x [B, ...], t [B], x_0_prev [B, ...]) -> [B, ...].  share: 0 to 1.
        Others as for `objective`.
    Returns: Objective (unit of the target, squared).
    """

    def init(rng: Array, batch: Batch) -> Params:
        x = batch["x"]
        return net.init(rng, x, jnp.ones(x.shape[0], jnp.int32), jnp.zeros_like(x))

    def loss(params: Params, rng: Array, batch: Batch) -> tuple[Array, Metrics]:
        x_0 = batch["x"]
        rng, rng_share = _split(rng, x_0.shape[0])
        t, x_t = losses.noisy_batch(schedule, rng, x_0, times=times)
        nothing = jnp.zeros_like(x_0)
        guess = net.apply(params, x_t, t, nothing)
        previous = jax.lax.stop_gradient(
            _to_x_0(parameterization, schedule, x_t, t, guess)
        )
        shown = jax.vmap(jax.random.uniform)(rng_share) < share
        previous = jax.vmap(jnp.where)(shown, previous, nothing)
        output = net.apply(params, x_t, t, previous)
        return regression(parameterization, weight, schedule, x_0, x_t, t, output)

    return Objective(init, loss)


def self_conditioned_sampler(
    net: Net,
    schedule: Schedule,
    shape: tuple[int, ...],
    *,
    parameterization: Parameterization = predict.EPS,
    step: Step | None = None,
    ts: Any = None,
    guide: Callable[[Denoise], Denoise] = guidance.unguided,
) -> Sampler:
    r"""Draw with a network that is shown its estimate of the step before.

        x_0_hat_t = denoise(x_t, t, x_0_hat of the step before),    0 at the start

    Chen et al. 2022, algorithm 2.

    Args: as for `objective.sampler`.
    Returns: Sampler: (params, rng, num) -> [num, *shape] (data units).
    """

    def draw(params: Params, rng: Array, num: int) -> Array:
        def denoise(x_t: Array, t: Array, previous: Array) -> Array:
            f = example_net(net, params, previous)
            return guide(parameterization.denoiser(schedule, f))(x_t, t)

        move = samplers.self_conditioned(samplers.ancestral if step is None else step)
        size = (num, *shape)
        return samplers.sample(denoise, schedule, rng, size, step=move, ts=ts)

    return draw


def _to_x_0(
    parameterization: Parameterization,
    schedule: Schedule,
    x_t: Array,
    t: Array,
    output: Array,
) -> Array:
    def one(x_t: Array, t: Array, output: Array) -> Array:
        return parameterization.denoiser(schedule, lambda x, t: output)(x_t, t)

    return jax.vmap(one)(x_t, t, output)


def _split(rng: Array, num: int) -> tuple[Array, Array]:
    keys = jax.vmap(jax.random.split)(chain.example_keys(rng, num))
    return keys[:, 0], keys[:, 1]
