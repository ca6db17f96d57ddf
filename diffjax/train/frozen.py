"""A second stage: training on what a frozen model makes of the data."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from diffjax.types import (
    Array,
    Batch,
    Metrics,
    Objective,
    Params,
    StatefulObjective,
    example_keys,
)


def on_frozen(
    objective: Objective,
    frozen: Callable[[Array, Batch], Any],
    see: Callable[[Any, Array, Batch], Batch],
) -> StatefulObjective:
    r"""Train on the latents of a model that stays as it is.

        L(params) = objective.loss(params, see(memory, batch)),    memory' = memory

    The memory is all that `see` needs of the first stage, so that no gradient and no
    state of an optimizer is made for it, and a checkpoint holds it. It starts as NaN:
    give the trained one to `train`, which skips every step of a run that forgot to.

    Args: objective: of the second stage.  frozen: (rng, batch) -> the memory, with any
        values: only its shapes are used.  see: (memory, rng, batch) -> batch of the
        second stage; rng is a key, or keys [B].
    Returns: StatefulObjective (in the unit of the objective).
    """

    def init(rng: Array, batch: Batch) -> tuple[Params, Any]:
        for_frozen, for_see, for_init = jax.random.split(rng, 3)
        shapes = jax.eval_shape(frozen, for_frozen, batch)
        seen = jax.eval_shape(see, shapes, for_see, batch)
        blank = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), seen)
        return objective.init(for_init, blank), jax.tree.map(_unknown, shapes)

    def loss(params: Params, memory: Any, rng: Array, batch: Batch) -> Any:
        size = jax.tree.leaves(dict(batch))[0].shape[0]
        keys = jax.vmap(jax.random.split)(example_keys(rng, size))
        seen = see(memory, keys[:, 0], batch)
        value: tuple[Array, Metrics] = objective.loss(params, keys[:, 1], seen)
        return value[0], (value[1], memory)

    return StatefulObjective(init, loss)


def _unknown(leaf: Any) -> Array:
    is_real = jnp.issubdtype(leaf.dtype, jnp.inexact)
    return jnp.full(leaf.shape, jnp.nan if is_real else 0, leaf.dtype)
