"""From a configuration to objects: where maths, networks, data and training meet.

    experiment = build.experiment(config)

Each part of a configuration names its constructor in one explicit table, and the
constructor's own arguments are the options: nothing is looked up anywhere else.
"""

from diffjax.build import (
    autoencoders,
    compositions,
    data,
    diffusions,
    judges,
    latents,
    model,
    models,
    nets,
    runs,
    stages,
    tables,
    training,
)
from diffjax.build.experiments import KEYS, Experiment, experiment

__all__ = [
    "KEYS",
    "Experiment",
    "autoencoders",
    "compositions",
    "data",
    "diffusions",
    "experiment",
    "judges",
    "latents",
    "model",
    "models",
    "nets",
    "runs",
    "stages",
    "tables",
    "training",
]
