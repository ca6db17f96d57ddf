"""What happens now and then while a run trains: evaluate, draw samples."""

import itertools
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import jax
import numpy as np

from diffjax import build, train
from diffjax.cli import pictures, runs

NUM_SAMPLES = 64
NUM_BATCHES = 16
"""Of the test split: its first ones, the same every time."""


def of_config(
    config: Mapping[str, Any], experiment: build.Experiment, workdir: Path
) -> list[train.Event]:
    r"""The events that a configuration asks for.

        every eval_every steps, every sample_every steps; 0 for never

    Args: config: JSON.  experiment: of it.  workdir: of the run.
    Returns: a list of Event.
    """
    seed = config["seed"]
    runs_of = {"eval_every": evaluation(experiment, seed, config["batch_size"])}
    sampler = experiment.model.sampler
    if sampler is not None:
        folder = workdir / "samples"
        runs_of["sample_every"] = sampling(experiment, sampler, seed, folder)
    return [train.Event(config[k], run) for k, run in runs_of.items() if config[k]]


def evaluation(
    experiment: build.Experiment, seed: int, batch_size: int
) -> Callable[[train.State], Mapping[str, Any] | None]:
    r"""The objective's metrics on the test split.

        eval_name = mean over the first batches

    Args: experiment: Experiment.  seed: of the noise.  batch_size: of the global batch.
    Returns: state -> metrics by name (units of the objective).
    """
    layout, objective = experiment.devices.layout, experiment.model.evaluated
    measure = layout.measure(partial(train.eval_step, objective))
    host, hosts = jax.process_index(), jax.process_count()

    def evaluate(state: train.State) -> dict[str, float]:
        params = state.averages.get("ema", state.params)
        data, rows = experiment.data, []
        batches = build.data.test_batches(
            data, seed, batch_size=batch_size, host=host, hosts=hosts
        )
        for i, batch in enumerate(itertools.islice(batches, NUM_BATCHES)):
            batch.pop("mask")  # an example or two twice change a mean of many little
            leaves: Any = {name: value[None] for name, value in batch.items()}
            fed = layout.feed(leaves)
            rng = jax.random.fold_in(jax.random.key(seed), i)
            rows.append(measure(state._replace(params=params), rng, fed))
        rows = jax.device_get(rows)
        return {f"eval_{k}": float(np.mean([row[k] for row in rows])) for k in rows[0]}

    return evaluate


def sampling(
    experiment: build.Experiment, sampler: Callable[..., Any], seed: int, folder: Path
) -> Callable[[train.State], Mapping[str, Any] | None]:
    r"""A grid of samples, of the same noise every time.

        folder/step_00001000.png

    Args: experiment: Experiment.  sampler: of its model.  seed: of the samples.
        folder: to write to.
    Returns: state -> nothing (no unit).
    """
    mesh = experiment.devices.layout.mesh
    draw = runs.by_example(mesh, sampler, NUM_SAMPLES)

    def write(state: train.State) -> None:
        x = draw(runs.trained(experiment, state), seed, 0)[:NUM_SAMPLES]
        if jax.process_index() == 0:
            name = f"step_{int(state.step):08}"
            pictures.save(folder, name, experiment.data, x, None)

    return write
