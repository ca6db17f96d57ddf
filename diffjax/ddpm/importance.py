"""The bound as a loss, its steps drawn by how much each of them has cost lately."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from diffjax.core import chain, checks
from diffjax.core.bounds import bits_per_dim
from diffjax.core.schedules import Schedule
from diffjax.ddpm import process, times
from diffjax.ddpm.likelihood import Decoder, discretized_decoder, prior
from diffjax.ddpm.losses import bound_term
from diffjax.ddpm.objective import example_net, objective, split
from diffjax.ddpm.predict import Denoise
from diffjax.ddpm.times import History
from diffjax.ddpm.variance import Variance, small
from diffjax.types import Array, Batch, Net, Params, StatefulObjective

Terms = Callable[[Array, Array, Array, Array], Array]
"""(keys [B], x_0 [B, ...], x_t [B, ...], t [B]) -> L_{t-1} [B] nats."""


def importance_loss(
    terms: Terms,
    schedule: Schedule,
    rng: Array,
    x_0: Array,
    history: History,
    *,
    axis_name: str | None = None,
) -> tuple[Array, History]:
    r"""The bound of any terms, one step an example, and the history after it.

        L = E_{t ~ p} (T L_{t-1}) / (T p_t) + L_T,    p_t proportional to sqrt(E[L_t^2])

    Nichol & Dhariwal 2021 (arXiv:2102.09672), eq. 18.

    Args: terms: of a batch; its keys are for masks of dropout.  schedule: tables
        [T + 1].  rng: key, or keys [B].  x_0: [B, ...].  history: `times.History`, its
        state so far.  axis_name: of the devices among which the batch is split.
    Returns: [] nats per example, and the History after this batch.
    """
    checks.floating("x_0", x_0)
    keys = jax.vmap(lambda k: jax.random.split(k, 3))(chain.example_keys(rng, len(x_0)))
    u = jax.vmap(jax.random.uniform)(keys[:, 0])
    eps = jax.vmap(chain.normal)(keys[:, 1], x_0)
    t, weight = times.importance(history, u)
    x_t = jax.vmap(process.diffuse, in_axes=(None, 0, 0, 0))(schedule, x_0, eps, t)
    costs = schedule.T * terms(keys[:, 2], x_0, x_t, t)
    at_T = jax.vmap(prior, in_axes=(None, 0, None))
    last = at_T(schedule, x_0, jnp.asarray(schedule.T))
    seen = jax.lax.stop_gradient(costs)
    history = times.history_update(history, t, seen, axis_name=axis_name)
    return jnp.mean(weight * costs + last), history


def importance_vlb_loss(
    denoise: Denoise,
    schedule: Schedule,
    rng: Array,
    x_0: Array,
    history: History,
    *,
    variance: Variance = small,
    decoder: Decoder | None = None,
    axis_name: str | None = None,
) -> tuple[Array, History]:
    r"""`vlb_loss` with the steps that matter drawn more often, and their history.

        L = E_{t ~ p} (T L_{t-1}) / (T p_t) + L_T

    Nichol & Dhariwal 2021, eq. 18.

    Args: denoise, variance, decoder: as for `vlb_loss`.  schedule, rng, x_0, history,
        axis_name: as for `importance_loss`.
    Returns: [] nats per example, and the History after this batch.
    """
    options: dict[str, Any] = {"variance": variance, "decoder": decoder}

    def term(key: Array, x_0: Array, x_t: Array, t: Array) -> Array:
        return bound_term(schedule, x_0, denoise(x_t, t), x_t, t, **options)

    return importance_loss(
        jax.vmap(term), schedule, rng, x_0, history, axis_name=axis_name
    )


def importance_objective(
    net: Net,
    schedule: Schedule,
    *,
    decoder: Callable[..., Decoder] = discretized_decoder,
    length: int = 10,
    masked: Callable[[Net, Array], Net] = lambda net, rng: net,
    axis_name: str | None = None,
) -> StatefulObjective:
    r"""Train the noise and the variance of improved DDPM on the bound itself.

        L_vlb = E_{t ~ p} (T L_{t-1}) / (T p_t) + L_T

    Nichol & Dhariwal 2021, section 3.3. The history of the losses is the memory.

    Args: net, decoder: as for `hybrid_objective`.  schedule: tables [T + 1].  length:
        losses kept for each t.  masked: (net, key) -> the net with the dropout of one
        example, as `train.masked`.  axis_name: as for `importance_loss`.
    Returns: StatefulObjective (nats per example).
    """
    plain = objective(net, schedule)

    def init(rng: Array, batch: Batch) -> tuple[Params, History]:
        return plain.init(rng, batch), times.history_init(schedule.T, length=length)

    def loss(params: Params, history: History, rng: Array, batch: Batch) -> Any:
        def term(key: Array, x_0: Array, x_t: Array, t: Array) -> Array:
            output = example_net(masked(net, key), params)(x_t, t)
            denoise, variance = split(schedule, lambda x_t, t: output)
            return bound_term(
                schedule,
                x_0,
                denoise(x_t, t),
                x_t,
                t,
                variance=variance,
                decoder=decoder(variance=variance),
            )

        value, history = importance_loss(
            jax.vmap(term), schedule, rng, batch["x"], history, axis_name=axis_name
        )
        bits = bits_per_dim(value, batch["x"][0].size)
        return value, ({"loss": value, "bits_per_dim": bits}, history)

    return StatefulObjective(init, loss)
