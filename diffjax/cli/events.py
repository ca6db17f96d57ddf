"""What happens now and then while a run trains: evaluate, draw samples."""

import itertools
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import jax

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

    Args: experiment: Experiment.  seed: of the order.  batch_size: of the global batch.
    Returns: state -> metrics by name (units of the objective).
    """

    def batches() -> Iterator[Mapping[str, Any]]:
        whole = build.data.test_batches(
            experiment.data,
            seed,
            batch_size=batch_size,
            host=jax.process_index(),
            hosts=jax.process_count(),
        )
        # An example or two seen twice change a mean of many little: no mask.
        for batch in itertools.islice(whole, NUM_BATCHES):
            yield {name: leaf for name, leaf in batch.items() if name != "mask"}

    return train.evaluation(
        experiment.model.evaluated,
        experiment.devices.layout,
        batches,
        average="ema" if "ema" in experiment.averages else None,
        prefix="eval_",
    )


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
