"""All that training carries from step to step, and all that a checkpoint holds."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from diffjax.train import guards
from diffjax.train.averages import Decay
from diffjax.types import Array, Batch, Objective, Params, StatefulObjective


class State(NamedTuple):
    """A point in training.

    step: steps done, skipped ones too, integer [].
    words: of the key of the run, uint32 [2]; plain words cross to all hosts unread.
    params: what the gradient trains.
    opt_state: of the optimizer.
    averages: of the parameters, by name.
    memory: what the objective keeps and no gradient trains; None if nothing.
    watch: what the guard has seen.
    """

    step: Array
    words: Array
    params: Params
    opt_state: Any
    averages: Mapping[str, Params]
    memory: Any
    watch: guards.Watch


def init_state(
    objective: Objective | StatefulObjective,
    optimizer: optax.GradientTransformation,
    rng: Array,
    batch: Batch,
    *,
    averages: Mapping[str, Decay] | None = None,
) -> State:
    r"""Where training starts.

        params_0 = init(rng', batch),    averages_0 = params_0,    step = 0

    Args: objective: with or without a memory.  optimizer: of optax.  rng: a key, of
        the whole run.  batch: [B, ...], the first one.  averages: name -> decay.
    Returns: State.
    """
    # Steps fold small numbers into `rng`; this one is none of theirs.
    first = jax.random.fold_in(rng, jnp.uint32(2**32 - 1))
    params, memory = stateful(objective).init(first, with_step(batch, jnp.int32(0)))
    state = State(
        step=jnp.zeros((), jnp.int32),
        words=_words(rng),
        params=params,
        opt_state=optimizer.init(params),
        averages={n: jax.tree.map(jnp.copy, params) for n in sorted(averages or {})},
        memory=memory,
        watch=guards.start(),
    )
    return jax.tree.map(_firm, state)


def stateful(objective: Objective | StatefulObjective) -> StatefulObjective:
    r"""Any objective as one with a memory, which may be empty.

        (params, rng, batch)  ->  (params, None, rng, batch)

    Args: objective: with or without a memory; with one it is returned as it is.
    Returns: StatefulObjective.
    """
    if isinstance(objective, StatefulObjective):
        return objective

    def init(rng: Array, batch: Batch) -> tuple[Params, None]:
        return objective.init(rng, batch), None

    def loss(params: Params, memory: None, rng: Array, batch: Batch) -> Any:
        value, metrics = objective.loss(params, rng, batch)
        return value, (metrics, memory)

    return StatefulObjective(init, loss)


def run_key(state: State) -> Array:
    r"""The key of the run; step s uses fold_in(key, s).

        key = wrap(state.words)

    Args: state: State.
    Returns: key (no unit).
    """
    return jax.random.wrap_key_data(state.words)


def with_step(batch: Batch, step: Array) -> Batch:
    r"""The batch, and for annealed objectives the step it is of.

        batch["step"] = [step, ..., step]

    Args: batch: leaves [B, ...].  step: integer [].
    Returns: batch with "step", integer [B].
    """
    size = jax.tree.leaves(dict(batch))[0].shape[0]
    return {**batch, "step": jnp.full(size, step)}


def _words(rng: Array) -> Array:
    if not jnp.issubdtype(rng.dtype, jax.dtypes.prng_key):
        return rng
    if jax.random.key(0).dtype != rng.dtype:
        raise ValueError(
            f"expected a key of JAX's default generator, got {rng.dtype}; set "
            "jax_default_prng_impl instead"
        )
    return jax.random.key_data(rng)


def _firm(leaf: Any) -> Array:
    """A weakly typed leaf would change its type, and so the program, after a step."""
    leaf = jnp.asarray(leaf)
    return (
        jax.lax.convert_element_type(leaf, leaf.dtype)
        if getattr(leaf, "weak_type", False)
        else leaf
    )
