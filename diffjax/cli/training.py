"""Training as a configuration says."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax

from diffjax import build
from diffjax import train as engine
from diffjax.cli import events


def run(
    config: Mapping[str, Any], workdir: Path, *, begin: str | None = None
) -> engine.State:
    r"""Train a configuration, or go on with the run in `workdir`.

        workdir/{config.json, checkpoints/, metrics.jsonl, samples/}

    Args: config: JSON.  workdir: of the run.  begin: another run, whose parameters this
        one begins with; None to begin anew.
    Returns: the trained State.
    """
    config, first = build.stages.read(config, str(workdir))
    experiment = build.experiment(config)
    memory = build.stages.memory(experiment, first)
    params = None if begin is None else build.runs.begin(begin, experiment)
    if jax.process_index() == 0:
        num, test = experiment.data.train.num, experiment.data.test.num
        told = f"{num} examples to train on, {test} to test on"
        print(f"{experiment.data.name}: {told}", flush=True)
    batches: Any = build.data.batches(
        experiment.data,
        config["seed"],
        batch_size=config["batch_size"],
        host=jax.process_index(),
        hosts=jax.process_count(),
    )
    state = engine.train(
        experiment.model.objective,
        experiment.optimizer,
        jax.random.key(config["seed"]),
        batches,
        workdir=workdir,
        plan=experiment.plan,
        config=config,
        layout=experiment.devices.layout,
        averages=experiment.averages,
        guard=experiment.guard,
        micro_batches=experiment.devices.micro_batches,
        params=params,
        memory=memory,
        events=events.of_config(config, experiment, workdir),
    )
    batches.close()
    return state
