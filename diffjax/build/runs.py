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
    """

    config: Mapping[str, Any]
    experiment: Experiment
    params: Any
    step: int


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
    return Run(config, found, trained(found, state), step)


def trained(found: Experiment, state: train.State) -> Any:
    r"""The parameters to use of a state: their average, if there is one.

        model.trained(averages["ema"] or params, memory)

    Args: found: Experiment.  state: of its training.
    Returns: params, a pytree (units of the model).
    """
    params = state.averages.get("ema", state.params)
    return found.model.trained(params, state.memory)


def _like(config: Mapping[str, Any], found: Experiment) -> Any:
    batch: Any = data.first(found.data, batch_size=jax.device_count())
    make = partial(
        train.init_state,
        found.model.objective,
        found.optimizer,
        jax.random.key(config["seed"]),
        averages=found.averages,
    )
    return devices.abstract(found.devices.layout, make, batch)
