"""A trained run, read from its directory: JSON and arrays, no code."""

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from diffjax import build, train
from diffjax.train import checkpoint, devices, rundir


class Run(NamedTuple):
    """What a run has come to.

    config: JSON.
    experiment: of the config, laid out on the devices that are here now.
    params: that its sampler, bound and chain take; averaged, if it has averages.
    step: of the checkpoint.
    """

    config: Mapping[str, Any]
    experiment: build.Experiment
    params: Any
    step: int


def read(
    directory: str,
    *,
    model: Mapping[str, Any] | None = None,
    data: Mapping[str, Any] | None = None,
) -> Run:
    r"""The newest intact checkpoint of a run.

        config.json, checkpoints/<step>  ->  Run

    Args: directory: of the run.  model, data: options of these to set otherwise, for
        sampling, and for another split.
    Returns: Run.
    """
    home = Path(directory)
    if not (home / "config.json").is_file():
        raise FileNotFoundError(
            f"expected a run with config.json, got {directory}; give the --workdir of "
            "diffjax train"
        )
    config = rundir.read_config(home)
    # What it was trained on is of no matter here; what is here is.
    here = {"devices": {"name": "mesh"}, "batch_size": jax.device_count()}
    changed = {
        "model": {**config["model"], **(model or {})},
        "data": {**config["data"], **(data or {})},
    }
    experiment = build.experiment({**config, **here, **changed})
    step = checkpoint.newest(home / "checkpoints", print)
    if step is None:
        raise FileNotFoundError(
            f"expected a checkpoint in {home / 'checkpoints'}, got none; train longer"
        )
    with checkpoint.writer(home / "checkpoints", train.Keep()) as manager:
        state, _ = checkpoint.restore(manager, step, _like(config, experiment))
    return Run(config, experiment, trained(experiment, state), step)


def num_parameters(run: Run) -> int:
    r"""The size of a model.

        sum of the sizes of all leaves

    Args: run: Run.
    Returns: how many numbers (no unit).
    """
    return sum(leaf.size for leaf in jax.tree.leaves(run.params))


def trained(experiment: build.Experiment, state: train.State) -> Any:
    r"""The parameters to use of a state: their average, if there is one.

        model.trained(averages["ema"] or params, memory)

    Args: experiment: Experiment.  state: of its training.
    Returns: params, a pytree (units of the model).
    """
    params = state.averages.get("ema", state.params)
    return experiment.model.trained(params, state.memory)


def by_example(
    mesh: Mesh, draw: Callable[[Any, Any, int], Any], size: int
) -> Callable[[Any, int, int], np.ndarray]:
    r"""A sampler whose i-th sample depends on (seed, i) alone, spread over all devices.

        sample i = draw(params, fold_in(seed, i))

    Args: mesh: the devices.  draw: (params, keys [num], num) -> [num,
        ...].  size: drawn at once, rounded up to a multiple of the devices.
    Returns: (params, seed, start) -> samples start .. start + size - 1, [size, ...]
        (unit of draw).
    """
    size = -(-size // mesh.size) * mesh.size
    spread = NamedSharding(mesh, PartitionSpec(*mesh.axis_names))
    whole = NamedSharding(mesh, PartitionSpec())

    def part(params: Any, seed: Any, start: Any) -> Any:
        keys = noise_keys(seed, start, size)
        keys = jax.lax.with_sharding_constraint(keys, spread)
        return draw(params, keys, size)

    compiled = jax.jit(part, out_shardings=whole)
    return lambda params, seed, start: np.asarray(
        compiled(params, jnp.uint32(seed), jnp.uint32(start))
    )


def noise_keys(seed: Any, start: Any, num: int) -> jax.Array:
    r"""The keys of some examples, whatever they are drawn or looked at with.

        key_i = fold_in(seed, start + i)

    Args: seed: of them all.  start: place of the first.  num: how many.
    Returns: keys [num] (no unit).
    """
    fold_in = jax.vmap(jax.random.fold_in, in_axes=(None, 0))
    return fold_in(jax.random.key(seed), start + jnp.arange(num))


def chunks(
    draw: Callable[[Any, int, int], np.ndarray], params: Any, seed: int, num: int
) -> Iterator[np.ndarray]:
    r"""Samples 0 .. num - 1, a part at a time.

        draw(params, seed, 0), draw(params, seed, size), ...

    Args: draw: of `by_example`.  params: of the run.  seed: of all samples.  num: how
        many in all.
    Returns: iterator of [n, ...], n at most the size of a part (unit of draw).
    """
    done = 0
    while done < num:
        part = draw(params, seed, done)[: num - done]
        done += len(part)
        yield part


def _like(config: Mapping[str, Any], experiment: build.Experiment) -> Any:
    batch: Any = build.data.first(experiment.data, batch_size=jax.device_count())
    make = partial(
        train.init_state,
        experiment.model.objective,
        experiment.optimizer,
        jax.random.key(config["seed"]),
        averages=experiment.averages,
    )
    return devices.abstract(experiment.devices.layout, make, batch)
