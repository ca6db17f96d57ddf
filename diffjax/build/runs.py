"""A trained run, read from its directory: JSON and arrays, no code."""

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import jax

from diffjax import train
from diffjax.build import data
from diffjax.build.experiments import Experiment, experiment
from diffjax.train import checkpoint, devices, rundir


class Run(NamedTuple):
    """What a run has come to.

    config: JSON.
    experiment: of the config, laid out on the devices that are here now.
    params: that its sampler, bound and chain take; averaged, if it has averages.
    step: of the checkpoint.
    averaged: the parameters that were trained, of which `params` are made.
    """

    config: Mapping[str, Any]
    experiment: Experiment
    params: Any
    step: int
    averaged: Any


def read(
    directory: str,
    *,
    model: Mapping[str, Any] | None = None,
    split: str | None = None,
) -> Run:
    r"""The newest intact checkpoint of a run.

        config.json, checkpoints/<step>  ->  Run

    Args: directory: of the run.  model: options of the model to set otherwise, for
        sampling.  split: of the data to test on, None for the configuration's.
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
    told = {} if split is None else {"test": split}
    changed = {
        "model": {**config["model"], **(model or {})},
        "data": {**config["data"], **told},
    }
    found = experiment({**config, **here, **changed})
    step = checkpoint.newest(home / "checkpoints", print)
    if step is None:
        raise FileNotFoundError(
            f"expected a checkpoint in {home / 'checkpoints'}, got none; train longer"
        )
    with checkpoint.writer(home / "checkpoints", train.Keep()) as manager:
        state, _ = checkpoint.restore(manager, step, _like(config, found))
    return Run(config, found, trained(found, state), step, averaged(state))


def trained(found: Experiment, state: train.State) -> Any:
    r"""The parameters to use of a state: their average, if there is one.

        model.trained(averages["ema"] or params, memory)

    Args: found: Experiment.  state: of its training.
    Returns: params, a pytree (units of the model).
    """
    return found.model.trained(averaged(state), state.memory)


def averaged(state: train.State) -> Any:
    r"""The parameters that were trained, or their average if there is one.

        averages["ema"] or params

    Args: state: of a training.
    Returns: params, a pytree (units of the model).
    """
    return state.averages.get("ema", state.params)


def begin(directory: str, experiment: Experiment) -> Any:
    r"""The parameters of another run, to train them further for something else.

        params_0 = averages["ema"] or params, of the other run

    Args: directory: of the other run.  experiment: whose networks must be the same.
    Returns: pytree of arrays of the host (units of the model).
    """
    params: Any = jax.device_get(read(directory).averaged)
    own = jax.eval_shape(_make(0, experiment), _batch(experiment)).params
    here, there = (_shapes(tree) for tree in (own, params))
    different = {name for name, _ in here.items() ^ there.items()}
    if different:
        name = min(different)
        raise ValueError(
            f"expected parameters of the model to train in {directory}, got "
            f"{name} {there.get(name, 'missing')}, here {here.get(name, 'missing')}; "
            "take a run with the same net"
        )
    return params


def _like(config: Mapping[str, Any], found: Experiment) -> Any:
    make = _make(config["seed"], found)
    return devices.abstract(found.devices.layout, make, _batch(found))


def _make(seed: int, found: Experiment) -> Any:
    return partial(
        train.init_state,
        found.model.objective,
        found.optimizer,
        jax.random.key(seed),
        averages=found.averages,
    )


def _batch(found: Experiment) -> Any:
    return data.first(found.data, batch_size=jax.device_count())


def _shapes(tree: Any) -> dict[str, tuple[int, ...]]:
    leaves = jax.tree_util.tree_leaves_with_path(tree)
    return {jax.tree_util.keystr(path): leaf.shape for path, leaf in leaves}
