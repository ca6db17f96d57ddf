"""The loop: batches in, a trained state out; a kill at any moment costs only time."""

import contextlib
import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
import optax

from diffjax.train import checkpoint, devices, guards, interrupts, metrics, rundir
from diffjax.train.averages import Decay
from diffjax.train.checkpoint import Keep
from diffjax.train.devices import Layout
from diffjax.train.guards import Guard
from diffjax.train.plan import Batches, Event, Plan, check
from diffjax.train.progress import Progress, progress
from diffjax.train.state import State, init_state
from diffjax.train.step import train_step
from diffjax.types import Array, Batch, Objective, StatefulObjective


def train(
    objective: Objective | StatefulObjective,
    optimizer: optax.GradientTransformation,
    rng: Array,
    batches: Batches,
    *,
    workdir: str | Path,
    plan: Plan,
    config: Mapping[str, Any] | None = None,
    layout: Layout | None = None,
    averages: Mapping[str, Decay] | None = None,
    guard: Guard | None = None,
    micro_batches: int = 1,
    params: Any = None,
    memory: Any = None,
    events: Sequence[Event] = (),
    keep: Keep = Keep(),  # noqa: B008
) -> State:
    r"""Train, or go on where the run in `workdir` was.

        state_{s+1} = train_step(state_s, batch_s),    s = 0 .. steps - 1

    The result does not depend on when and how often the run was stopped. SIGTERM and
    Ctrl-C save a checkpoint and return early; then state.step < plan.steps.

    Args: objective: with the layout's axis_name, if it has collectives.  optimizer: of
        optax.  rng: a key, of the whole run.  batches: of this process.  workdir: of
        the run; all hosts see it.  plan: Plan.  config: JSON, kept with the run; with
        another one the run is refused.  layout: `devices.mesh()` if None.  averages,
        micro_batches: as for `train_step`.  guard: `guards.adaptive()` if None.
        params, memory: to begin with instead of the objective's own: arrays of the same
        shapes, such as those of another run to fine-tune, or a frozen model for
        `on_frozen`; a run that goes on has its own.
        events: Event, each at its steps.  keep: which checkpoints.
    Returns: State.
    """
    layout = devices.mesh() if layout is None else layout
    check(plan, events)
    step = partial(
        train_step,
        objective,
        optimizer,
        averages=averages,
        guard=guards.adaptive() if guard is None else guard,
        micro_batches=micro_batches,
    )
    make = partial(init_state, objective, optimizer, rng, averages=averages)
    with contextlib.ExitStack() as stack:
        shown = stack.enter_context(progress(plan.steps))
        home = rundir.prepare(workdir, config or {}, shown.tell)
        last = checkpoint.newest(home / "checkpoints", shown.tell)
        writer = stack.enter_context(checkpoint.writer(home / "checkpoints", keep))
        origin, first = batches.get_state(), next(batches)
        batches.set_state(origin)
        fixed = _Fixed(
            plan, layout, batches, first, writer, shown, events, keep, config or {}
        )
        point = _start(fixed, make, last, {"params": params, "memory": memory})
        if jax.process_index() == 0:
            log = stack.enter_context(metrics.opened(home, step=point.done))
            fixed = fixed._replace(log=log)
        return _loop(fixed, step, point).state


class _Fixed(NamedTuple):
    """What a run never changes."""

    plan: Plan
    layout: Layout
    batches: Batches
    first: Batch
    writer: Any
    shown: Progress
    events: Sequence[Event]
    keep: Keep
    config: Mapping[str, Any]
    log: metrics.Log | None = None


class _Point(NamedTuple):
    """Where a run is: what a checkpoint holds, on the devices and as JSON."""

    done: int
    state: State
    pending: list[Any]  # of the steps since the last line, still on the devices
    scores: Mapping[str, float]  # the last of every event's metrics


def _start(
    fixed: _Fixed,
    make: Callable[[Batch], State],
    last: int | None,
    given: Mapping[str, Any],
) -> _Point:
    """The beginning, or where the checkpoint of step `last` is."""
    if last is None:
        state = devices.place(fixed.layout, make, fixed.first)
        return _Point(0, _with(state, given), [], {})
    like = devices.abstract(fixed.layout, make, fixed.first)
    state, info = checkpoint.restore(fixed.writer, last, like)
    fixed.batches.set_state(info["position"])
    fixed.shown.tell(f"going on from the checkpoint of step {last}")
    return _Point(last, state, info["pending"], info["scores"])


def _with(state: State, given: Mapping[str, Any]) -> State:
    """What is given instead of the state's own; averages begin at the parameters."""
    for name, tree in given.items():
        if tree is not None:
            found = devices.put(tree, getattr(state, name))
            state = state._replace(**{name: found})
    if given["params"] is None:
        return state
    averages = {n: devices.put(given["params"], a) for n, a in state.averages.items()}
    return state._replace(averages=averages)


def _loop(fixed: _Fixed, step: devices.Step, point: _Point) -> _Point:
    plan, tell = fixed.plan, fixed.shown.tell
    if point.done >= plan.steps:
        tell(f"nothing to do: step {point.done} of {plan.steps} is done")
    advance = fixed.layout.advance(step, point.state)
    fixed.shown.show(point.done, {})
    stops = False
    with interrupts.watched(tell) as stop:
        while point.done < plan.steps and not stops:
            point = _dispatch(fixed, advance, point)
            ends = point.done >= plan.steps
            if ends or point.done % plan.log_every == 0:
                point = _log(fixed, point)
            point = _happen(fixed, point, ends)
            stops = stop(point.done // plan.per_dispatch)
            if stops or ends or point.done % plan.checkpoint_every == 0:
                point = _save(fixed, point)
    checkpoint.finish(fixed.writer)
    if stops:
        tell(f"stopped and saved at step {point.done}; the same command goes on")
    return point


def _dispatch(fixed: _Fixed, advance: Any, point: _Point) -> _Point:
    num = fixed.plan.per_dispatch
    state, told = advance(point.state, fixed.layout.feed(_next(fixed)))
    return _Point(point.done + num, state, [*point.pending, told], point.scores)


def _log(fixed: _Fixed, point: _Point) -> _Point:
    """The interval's line of metrics: the one time the host waits for the devices."""
    values = _summary(_fetch(fixed, point).pending)
    checkpoint.finish(fixed.writer, wait=False)
    rate = fixed.shown.show(point.done, values)
    if fixed.log is not None:
        metrics.write(fixed.log, point.done, values)
        metrics.scalars(fixed.log, point.done, {"steps_per_second": rate})
    return point._replace(pending=[])


def _happen(fixed: _Fixed, point: _Point, ends: bool) -> _Point:
    for event in fixed.events:
        is_due = ends or point.done % event.every == 0
        values = event.run(point.state) if is_due else None
        if values:
            scores = {k: float(v) for k, v in jax.device_get(dict(values)).items()}
            point = point._replace(scores={**point.scores, **scores})
            if fixed.log is not None:
                metrics.write(fixed.log, point.done, scores)
    return point


def _save(fixed: _Fixed, point: _Point) -> _Point:
    point = _fetch(fixed, point)
    if fixed.log is not None:
        metrics.sync(fixed.log)
    info = {
        "config": dict(fixed.config),
        "position": fixed.batches.get_state(),
        "pending": point.pending,
        "scores": dict(point.scores),
    }
    metric = point.scores.get(fixed.keep.best) if fixed.keep.best else None
    checkpoint.save(fixed.writer, point.done, point.state, info, metric=metric)
    return point


def _fetch(fixed: _Fixed, point: _Point) -> _Point:
    """The pending metrics as plain lists; ends a run that has come to nothing."""
    pending = jax.tree.map(
        lambda value: np.asarray(value).tolist(), jax.device_get(point.pending)
    )
    skipped = [n for told in pending for n in told["in_a_row"]]
    if max(skipped, default=0) >= fixed.plan.most_skipped:
        checkpoint.finish(fixed.writer)
        good, told = fixed.writer.latest_step(), pending[-1]
        raise RuntimeError(
            f"expected gradients that are finite and of the usual size, got "
            f"{max(skipped)} steps skipped in a row by step {point.done} (loss "
            f"{told.get('loss', ['?'])[-1]}, gradient {told['grad_norm'][-1]}); "
            f"{f'the last checkpoint is of step {good}' if good else 'none is saved'}; "
            "look at the data, or lower the learning rate"
        )
    return point._replace(pending=pending)


def _summary(pending: Sequence[Mapping[str, list[float]]]) -> dict[str, float]:
    """Means over the steps that were kept; NaN where none was."""
    rows = {k: np.concatenate([told[k] for told in pending]) for k in pending[0]}
    kept = rows.pop("in_a_row") == 0
    skipped = int(rows.pop("skipped")[-1])
    means = {
        k: float(v[kept].mean()) if any(kept) else math.nan for k, v in rows.items()
    }
    return {**means, "skipped": skipped}


def _next(fixed: _Fixed) -> Batch:
    """The batches of one dispatch, stacked on a new first axis."""
    drawn: list[Any] = [
        next(fixed.batches, None) for _ in range(fixed.plan.per_dispatch)
    ]
    if None in drawn:
        raise ValueError("expected endless batches, got an end; repeat the data")
    for batch in drawn:
        if _kind(batch) != _kind(fixed.first):
            raise ValueError(
                f"expected batches all alike, {_kind(fixed.first)}, got "
                f"{_kind(batch)}; pad or drop the rest"
            )
    return jax.tree.map(lambda *leaves: np.stack(leaves), *drawn)


def _kind(batch: Batch) -> dict[str, Any]:
    return {name: (leaf.shape, leaf.dtype) for name, leaf in batch.items()}
