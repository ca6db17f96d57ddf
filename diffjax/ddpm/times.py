"""Which steps t a batch trains on: functions of uniform noise, so keys stay outside."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from diffjax.core.times import stratified as stratified
from diffjax.core.times import uniform as uniform
from diffjax.types import Array


class History(NamedTuple):
    """The last losses of every step, what importance sampling learns from.

    losses: [T, H] a ring for each t = 1..T, in the unit of the losses recorded.
    counts: integer [T] losses seen so far.
    """

    losses: Array
    counts: Array


def history_init(T: int, *, length: int = 10) -> History:
    r"""A history that has seen nothing.

        counts_t = 0

    Nichol & Dhariwal 2021 (arXiv:2102.09672), section 3.3.

    Args: T: number of steps.  length: losses kept for each, H.
    Returns: History (unit of the losses).
    """
    return History(jnp.zeros((T, length)), jnp.zeros(T, jnp.int32))


def history_update(
    history: History, t: Array, losses: Array, *, axis_name: str | None = None
) -> History:
    r"""The history after a batch of losses, the same on every device.

        losses[t_i, counts_{t_i} mod H] <- loss_i, one after the other

    Nichol & Dhariwal 2021, section 3.3.

    Args: history: History.  t: integer [B].  losses: [B].  axis_name: of the devices
        among which the batch is split.
    Returns: History (unit of the losses).
    """
    if axis_name is not None:
        t, losses = (jax.lax.all_gather(v, axis_name, tiled=True) for v in (t, losses))

    def record(history: History, t_loss: tuple[Array, Array]) -> tuple[History, None]:
        (values, counts), (t, loss) = history, t_loss
        place = counts[t - 1] % values.shape[1]
        values = values.at[t - 1, place].set(loss)
        return History(values, counts.at[t - 1].add(1)), None

    return jax.lax.scan(record, history, (t, losses))[0]


def importance(
    history: History, u: Array, *, uniform_share: float = 0.001
) -> tuple[Array, Array]:
    r"""Steps drawn in proportion to the root mean square of their losses.

        p_t = (1 - c) sqrt(E[L_t^2]) / sum + c / T,    weight_i = 1 / (T p_{t_i})

    uniform until every step has a full history. The mean of weight * loss is unbiased.
    Nichol & Dhariwal 2021, eq. 18.

    Args: history: History.  u: [B] uniform on [0, 1).  uniform_share: c.
    Returns: t integer [B] in 1..T, weight [B] (no unit).
    """
    T, length = history.losses.shape
    size = jnp.sqrt(jnp.mean(jnp.square(history.losses), axis=1))
    p = (1 - uniform_share) * size / jnp.sum(size) + uniform_share / T
    ready = jnp.all(history.counts >= length) & (jnp.sum(size) > 0)
    p = jnp.where(ready, p, 1 / T)
    index = jnp.minimum(jnp.searchsorted(jnp.cumsum(p), u, side="right"), T - 1)
    return 1 + index.astype(jnp.int32), 1 / (T * p[index])
