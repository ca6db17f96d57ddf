"""Metrics on held-out batches, on all devices, as an event of the loop."""

from collections.abc import Callable, Iterable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from diffjax.train.devices import Layout
from diffjax.train.state import State, run_key
from diffjax.train.step import eval_step
from diffjax.types import Array, Batch, Metrics, Objective, StatefulObjective


def evaluation(
    objective: Objective | StatefulObjective,
    layout: Layout,
    batches: Callable[[], Iterable[Batch]],
    *,
    average: str | None = None,
    prefix: str = "eval/",
) -> Callable[[State], dict[str, float]]:
    r"""What an `Event` runs to evaluate.

        mean over batches of eval_step(objective, state, fold_in(rng, i), batch_i)

    The noise is the same at every evaluation, so that two differ by the parameters.

    Args: objective: with the layout's axis_name.  layout: of the run.  batches: makes a
        finite pass over batches of one size, leaves [b, ...] of this process.
        average: of the parameters, by name; None for the parameters themselves.
        prefix: of the metrics' names.
    Returns: state -> metrics (units of the objective).
    """

    def measured(
        state: State, count: Array, batch: Batch, *, axis_name: Any
    ) -> Metrics:
        rng = jax.random.fold_in(run_key(state), jnp.uint32(2**32 - 2))
        rng = jax.random.fold_in(rng, count)
        return eval_step(objective, state, rng, batch, axis_name=axis_name)

    measure = layout.measure(measured)

    def run(state: State) -> dict[str, float]:
        if average is not None:
            state = state._replace(params=state.averages[average])
        found = [
            measure(state, np.int32(i), layout.feed(jax.tree.map(_alone, batch)))
            for i, batch in enumerate(batches())
        ]
        if not found:
            raise ValueError("expected batches to evaluate on, got none; see the split")
        rows = jax.device_get(found)
        return {prefix + k: float(np.mean([row[k] for row in rows])) for k in rows[0]}

    return run


def _alone(leaf: Any) -> Any:
    return np.asarray(leaf)[None]
