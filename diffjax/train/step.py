"""One step of training and of evaluation, the same on one device and on many."""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import optax

from diffjax import types
from diffjax.train import averages as moving
from diffjax.train import guards
from diffjax.train.averages import Decay
from diffjax.train.guards import Guard
from diffjax.train.state import State, run_key, stateful, with_step
from diffjax.types import Array, Batch, Metrics, Objective, StatefulObjective


def train_step(
    objective: Objective | StatefulObjective,
    optimizer: optax.GradientTransformation,
    state: State,
    batch: Batch,
    *,
    axis_name: str | None = None,
    averages: Mapping[str, Decay] | None = None,
    guard: Guard = guards.finite,
    micro_batches: int = 1,
) -> tuple[State, Metrics]:
    r"""One step of stochastic gradient descent, or none where the guard forbids it.

        key_i = fold_in(fold_in(rng, step), i)
        g = 1/B sum_i grad loss(params, key_i, x_i)
        params <- params + optimizer(g)

    where i counts through the global batch, so that the result does not depend on how
    the batch is split. Clip by `optax.chain(optax.clip_by_global_norm(1.0), ...)`.

    Args: objective: its collectives, if any, over `axis_name`.  optimizer: of optax.
        state: as `init_state` made it.  batch: leaves [B, ...], this device's part.
        axis_name: of the devices among which the batch is split, or None.  averages:
        name -> decay.  guard: of `guards`.  micro_batches: parts of the batch whose
        gradients are computed one after another; a memory sees them one by one.
    Returns: State, and metrics [] of the global batch (units of the objective), with
        "grad_norm" before clipping, and "skipped" and "in_a_row" as `Watch` counts.
    """
    keys = example_keys(run_key(state), state.step, batch, axis_name=axis_name)
    value, grads, metrics, memory = _gradient(
        stateful(objective), state, keys, batch, micro_batches
    )
    if axis_name is not None:
        value, grads, metrics = jax.lax.pmean((value, grads, metrics), axis_name)
    norm = optax.tree.norm(grads)
    sane = jnp.isfinite(value) & _finite(memory)
    keep, level = guard(state.watch, jnp.where(sane, norm, jnp.inf))

    updates, opt_state = optimizer.update(grads, state.opt_state, state.params)
    params = optax.apply_updates(state.params, updates)
    averaged = moving.update(averages or {}, state.averages, params, state.watch.kept)
    watch = guards.record(state.watch, keep, level)
    moved = {
        "params": params,
        "opt_state": opt_state,
        "averages": averaged,
        "memory": memory,
    }
    held = {name: getattr(state, name) for name in moved}
    chosen = jax.tree.map(lambda new, old: jnp.where(keep, new, old), moved, held)
    state = state._replace(step=state.step + 1, watch=watch, **chosen)
    told = {"grad_norm": norm, "skipped": watch.skipped, "in_a_row": watch.in_a_row}
    return state, {**metrics, **told}


def eval_step(
    objective: Objective | StatefulObjective,
    state: State,
    rng: Array,
    batch: Batch,
    *,
    axis_name: str | None = None,
) -> Metrics:
    r"""The objective's metrics, nothing learned.

        1/B sum_i loss(params, fold_in(rng, i), x_i)

    For an average: `state._replace(params=state.averages["ema"])`.

    Args: objective, axis_name: as for `train_step`.  state: read only.  rng: a key.
        batch: leaves [B, ...], this device's part.
    Returns: metrics [] of the global batch (units of the objective).
    """
    keys = _fold_all(rng, batch, axis_name)
    batch = with_step(batch, state.step)
    loss = stateful(objective).loss
    _, (metrics, _) = loss(state.params, state.memory, keys, batch)
    return metrics if axis_name is None else jax.lax.pmean(metrics, axis_name)


def example_keys(
    rng: Array, step: Array, batch: Batch, *, axis_name: str | None = None
) -> Array:
    r"""A key for each example, whatever device it is on.

        key_i = fold_in(fold_in(rng, step), i)

    Args: rng: of the run.  step: integer [].  batch: leaves [B, ...], this device's
        part.  axis_name: of the devices, or None.
    Returns: keys [B].
    """
    return _fold_all(jax.random.fold_in(rng, step), batch, axis_name)


def _fold_all(rng: Array, batch: Batch, axis_name: str | None) -> Array:
    size = jax.tree.leaves(dict(batch))[0].shape[0]
    first = 0 if axis_name is None else jax.lax.axis_index(axis_name) * size
    return types.example_keys(rng, size, first=first)


def _gradient(
    objective: StatefulObjective, state: State, keys: Array, batch: Batch, parts: int
) -> Any:
    """Loss, gradient and metrics, means over the parts; and the memory after them."""
    batch = with_step(batch, state.step)
    slope = jax.value_and_grad(objective.loss, has_aux=True)
    if parts == 1:
        (value, (metrics, memory)), grads = slope(
            state.params, state.memory, keys, batch
        )
        return value, grads, metrics, memory

    def accumulate(carry: Any, part: Any) -> Any:
        memory, total = carry
        (value, (metrics, memory)), grads = slope(state.params, memory, *part)
        return (memory, jax.tree.map(jnp.add, total, (value, grads, metrics))), None

    pieces = jax.tree.map(lambda leaf: _split(leaf, parts), (keys, batch))
    (value, (metrics, _)), grads = jax.eval_shape(
        slope, state.params, state.memory, *jax.tree.map(lambda leaf: leaf[0], pieces)
    )
    zeros = optax.tree.zeros_like((value, grads, metrics))
    (memory, total), _ = jax.lax.scan(accumulate, (state.memory, zeros), pieces)
    return (*jax.tree.map(lambda leaf: leaf / parts, total), memory)


def _split(leaf: Array, parts: int) -> Array:
    """[B, ...] -> [parts, B / parts, ...]. Part j has the examples j, j + parts, ...:
    of a batch that is spread over a mesh, each device then splits what it has."""
    if leaf.shape[0] % parts:
        raise ValueError(
            f"expected a batch divisible by micro_batches, got {leaf.shape[0]} "
            f"examples on a device and {parts}; change one of them"
        )
    return jnp.swapaxes(leaf.reshape(-1, parts, *leaf.shape[1:]), 0, 1)


def _finite(tree: Any) -> Array:
    floats = [x for x in jax.tree.leaves(tree) if jnp.issubdtype(x.dtype, jnp.inexact)]
    return jnp.all(jnp.array([jnp.all(jnp.isfinite(x)) for x in floats], bool))
