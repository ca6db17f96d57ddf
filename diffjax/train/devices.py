"""How a run is laid out over devices: two thin strategies over the same step.

In both the state is one pytree of global arrays, so a checkpoint made with one is read
with the other. A strategy only says how the batch is split and who adds the gradients
up: `pmap`, by name, or the compiler, from how arrays lie on a mesh.
"""

import functools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from diffjax.train import pacing
from diffjax.types import Array, Batch, Metrics

AXIS = "devices"
Step = Callable[..., tuple[Any, Metrics]]
"""(state, batch, *, axis_name) -> (state, metrics): `train_step`, bound."""
Measure = Callable[..., Metrics]
"""(state, number of the batch, batch, *, axis_name) -> metrics: `eval_step`, bound."""
Rule = Callable[[Any, int], PartitionSpec]
"""(array of the state, number of devices) -> how it is cut."""


class Layout(NamedTuple):
    """A strategy.

    axis_name: for objectives with collectives; None where they need none.
    mesh: the devices.
    rule: how arrays of the state are cut.
    feed: (leaves [k, b, ...] of this process) -> k global batches on the devices.
    advance: (step, state) -> a function (state, k batches) -> (state, metrics [k]),
        compiled for states like this one, whose buffers it reuses.
    measure: measure -> (state, number, 1 batch) -> metrics; compiled.
    """

    axis_name: str | None
    mesh: Mesh
    rule: Rule
    feed: Callable[[Batch], Batch]
    advance: Callable[[Step, Any], Callable[[Any, Batch], tuple[Any, Metrics]]]
    measure: Callable[[Measure], Callable[[Any, Any, Batch], Metrics]]


def replicated(leaf: Any, num: int) -> PartitionSpec:
    r"""The rule of data parallelism: every device has all of the state.

        P()

    Args: leaf: array.  num: devices.
    Returns: PartitionSpec (no unit).
    """
    return PartitionSpec()


def fsdp(*, smallest: int = 2**16) -> Rule:
    r"""The rule of fully sharded data parallelism: every device has its part.

        P(..., "devices", ...) along the longest axis that num divides

    Rajbhandari et al. 2019 (ZeRO, arXiv:1910.02054), stage 3.

    Args: smallest: arrays of fewer elements are replicated, as all integers are.
    Returns: Rule (no unit).
    """

    def rule(leaf: Any, num: int) -> PartitionSpec:
        axes = [axis for axis, size in enumerate(leaf.shape) if size % num == 0]
        is_large = leaf.size >= smallest and jnp.issubdtype(leaf.dtype, jnp.inexact)
        if not (is_large and axes):
            return PartitionSpec()
        longest = max(axes, key=lambda axis: leaf.shape[axis])
        return PartitionSpec(*[None] * longest, AXIS)

    return rule


def mesh(
    *, rule: Rule = replicated, devices: Sequence[jax.Device] | None = None
) -> Layout:
    r"""One program over a mesh; the compiler adds the gradients up.

        jit(step), batches cut along "devices", the state by `rule`

    Args: rule: `replicated` or `fsdp()`.  devices: all of them, if None.
    Returns: Layout.
    """
    grid = _grid(devices)
    whole = NamedSharding(grid, PartitionSpec())

    def feed(batch: Batch) -> Batch:
        return _spread(grid, batch, axis=1)

    def advance(step: Step, state: Any) -> Any:
        def one(state: Any, batch: Batch) -> tuple[Any, Metrics]:
            return step(state, batch, axis_name=None)

        places = shardings(state, grid, rule), whole
        return _paced(grid, jax.jit(_many(one), donate_argnums=0, out_shardings=places))

    def measure(function: Measure) -> Any:
        def one(state: Any, count: Any, batch: Batch) -> Metrics:
            return function(state, count, _first(batch), axis_name=None)

        return _paced(grid, jax.jit(one, out_shardings=whole))

    return Layout(None, grid, rule, feed, advance, measure)


def pmap(*, devices: Sequence[jax.Device] | None = None) -> Layout:
    r"""One program for each device; `jax.lax.pmean` adds the gradients up.

        pmap(step, axis_name="devices"), the state replicated

    Objectives with collectives are built with `axis_name="devices"`.

    Args: devices: all of them, if None.
    Returns: Layout.
    """
    grid = _grid(devices)
    local = len(grid.local_devices)
    mapped = functools.partial(jax.pmap, axis_name=AXIS, out_axes=None, devices=devices)

    def feed(batch: Batch) -> Batch:
        _check_divisible(batch, local)
        return jax.tree.map(
            lambda leaf: leaf.reshape(len(leaf), local, -1, *leaf.shape[2:]), batch
        )

    def advance(step: Step, state: Any) -> Any:
        def one(state: Any, batch: Batch) -> tuple[Any, Metrics]:
            return step(state, batch, axis_name=AXIS)

        run = mapped(_many(one), in_axes=(None, 1), donate_argnums=0)
        run = _paced(grid, run)
        if jax.process_count() == 1:
            return run
        return lambda state, batches: _global(grid, run(state, batches))

    def measure(function: Measure) -> Any:
        def one(state: Any, count: Any, batch: Batch) -> Metrics:
            return function(state, count, _first(batch), axis_name=AXIS)

        return _paced(grid, mapped(one, in_axes=(None, None, 1)))

    return Layout(AXIS, grid, replicated, feed, advance, measure)


def shardings(state: Any, grid: Mesh, rule: Rule) -> Any:
    r"""How a state lies on the devices.

        leaf -> rule(leaf, num devices)

    Args: state: pytree of arrays or of their shapes.  grid: Mesh.  rule: of the layout.
    Returns: the same tree of NamedSharding (no unit).
    """
    return jax.tree.map(lambda x: NamedSharding(grid, rule(x, grid.size)), state)


def abstract(layout: Layout, make: Callable[[Batch], Any], batch: Batch) -> Any:
    r"""The shapes and places of a state that is not made.

        eval_shape(make, batch), with the layout's shardings

    Args: layout: Layout.  make: batch -> state.  batch: leaves [b, ...] of this
        process.
    Returns: pytree of `jax.ShapeDtypeStruct` (no unit).
    """
    shapes = jax.eval_shape(make, _spread(layout.mesh, batch, axis=0))
    places = shardings(shapes, layout.mesh, layout.rule)
    return jax.tree.map(
        lambda x, at: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=at),
        shapes,
        places,
    )


def place(layout: Layout, make: Callable[[Batch], Any], batch: Batch) -> Any:
    r"""Make a state where it belongs: no device ever holds more than its part.

        jit(make)(batch), with the layout's shardings

    Args: layout, make, batch: as for `abstract`.
    Returns: what `make` returns, pytree of global arrays (units of `make`).
    """
    batch = _spread(layout.mesh, batch, axis=0)
    places = shardings(jax.eval_shape(make, batch), layout.mesh, layout.rule)
    return jax.jit(make, out_shardings=places)(batch)


def put(tree: Any, like: Any) -> Any:
    r"""Arrays of the host, where others of the same shapes are.

        leaf -> the same numbers, laid out and typed as leaf of `like`

    Args: tree: the same on all processes.  like: pytree of global arrays.
    Returns: pytree of global arrays (units of the tree).
    """
    wanted, found = (jax.tree.map(jnp.shape, one) for one in (like, tree))
    if wanted != found:
        raise ValueError(
            f"expected arrays of shapes {wanted}, got {found}; give those of the model "
            "that the objective was built for"
        )

    def one(leaf: Any, like: Array) -> Array:
        place, whole = like.sharding, np.asarray(leaf, like.dtype)
        return jax.make_array_from_callback(like.shape, place, whole.__getitem__)

    return jax.tree.map(one, tree, like)


def connect(
    *, coordinator: str | None = None, num: int | None = None, index: int | None = None
) -> None:
    r"""Join the other hosts of the run, if there are any.

        jax.distributed.initialize(coordinator, num, index)

    Without arguments JAX finds the hosts by itself on Cloud TPU (GCE and GKE), SLURM,
    Open MPI and Kubernetes; where it finds none this process runs alone. To be called
    before anything else of JAX.

    Args: coordinator: "host:port" of process 0.  num: processes.  index: of this one.
    Returns: nothing (no unit).
    """
    if coordinator is None and (num is not None or index is not None):
        raise ValueError(
            f"expected a coordinator with {num} processes, got none; add host:port of "
            "process 0"
        )
    try:
        jax.distributed.initialize(coordinator, num, index)
    except ValueError as error:
        if coordinator is not None or "coordinator_address" not in str(error):
            raise


def _grid(devices: Sequence[jax.Device] | None) -> Mesh:
    return Mesh(np.asarray(jax.devices() if devices is None else devices), (AXIS,))


def _many(one: Any) -> Any:
    """k steps in one dispatch; of a single one no loop remains in the program."""

    def many(state: Any, batches: Batch) -> tuple[Any, Metrics]:
        num = len(jax.tree.leaves(batches)[0])
        if num == 1:
            state, metrics = one(state, _first(batches))
            return state, jax.tree.map(lambda m: jnp.asarray(m)[None], metrics)
        return jax.lax.scan(one, state, batches)

    return many


def _paced(grid: Mesh, run: Any) -> Any:
    """Simulated devices share a pool of threads, where two programs in flight can wait
    for each other for ever; so there each is waited for."""
    if grid.size == 1 or grid.devices.flat[0].platform != "cpu":
        return pacing.limited(run)
    return lambda *args: jax.block_until_ready(run(*args))


def _global(grid: Mesh, tree: Any) -> Any:
    """What pmap leaves on this process's devices, alike on all, as global arrays."""
    whole = NamedSharding(grid, PartitionSpec())

    def joined(leaf: Array) -> Array:
        parts = [shard.data for shard in leaf.addressable_shards]
        return jax.make_array_from_single_device_arrays(leaf.shape, whole, parts)

    return jax.tree.map(joined, tree)


def _first(batches: Batch) -> Batch:
    return jax.tree.map(lambda leaf: leaf[0], batches)


def _spread(grid: Mesh, batch: Batch, *, axis: int) -> Batch:
    """Leaves whose `axis` counts examples of this process -> global arrays."""
    _check_divisible(batch, len(grid.local_devices), axis=axis)
    where = NamedSharding(grid, PartitionSpec(*[None] * axis, AXIS))

    def globally(leaf: Any) -> Array:
        return jax.make_array_from_process_local_data(where, np.asarray(leaf))

    return jax.tree.map(globally, dict(batch))


def _check_divisible(batch: Batch, num: int, *, axis: int = 1) -> None:
    sizes = {leaf.shape[axis] for leaf in jax.tree.leaves(dict(batch))}
    if len(sizes) != 1 or max(sizes) % num:
        raise ValueError(
            f"expected batches divisible by the {num} devices of this process, got "
            f"{sorted(sizes)} examples; change batch_size"
        )
