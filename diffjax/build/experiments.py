"""A whole configuration, from its JSON to everything that a command needs."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import optax

from diffjax import train
from diffjax.build import data, models, tables, training
from diffjax.build.data import Prepared
from diffjax.build.models import Model
from diffjax.build.training import Devices
from diffjax.train.averages import Decay
from diffjax.train.guards import Guard

KEYS = (
    "seed",
    "steps",
    "batch_size",
    "log_every",
    "eval_every",
    "sample_every",
    "checkpoint_every",
    "data",
    "model",
    "net",
    "optimizer",
    "ema",
    "devices",
)
"""Of every configuration, no more and no less."""


class Experiment(NamedTuple):
    """What a configuration stands for.

    data: Prepared.
    model: Model.
    optimizer: of optax.
    averages: of the parameters, by name.
    guard: which steps to skip.
    plan: what happens when.
    devices: how the run is laid out.
    """

    data: Prepared
    model: Model
    optimizer: optax.GradientTransformation
    averages: Mapping[str, Decay]
    guard: Guard
    plan: train.Plan
    devices: Devices


def experiment(config: Mapping[str, Any]) -> Experiment:
    r"""Build all that a configuration names; nothing is trained or written.

        config -> data, model, optimizer, averages, guard, plan, devices

    Args: config: of nested literals, its keys KEYS.
    Returns: Experiment.
    """
    check(config)
    laid_out = training.layout(config["devices"])
    training.check_batch(config["batch_size"], laid_out.micro_batches)
    optimizer = training.optimizer(config["optimizer"], config["steps"])
    guard = training.guard(config["optimizer"])
    averages = training.ema(config["ema"])
    prepared = data.prepare(config["data"])
    axis_name = laid_out.layout.axis_name
    context = models.Context(prepared, config["net"], axis_name)
    plan = train.Plan(
        steps=config["steps"],
        log_every=config["log_every"],
        checkpoint_every=config["checkpoint_every"],
        per_dispatch=laid_out.per_dispatch,
    )
    model = models.model(config["model"], context)
    if model.sampler is None and config["sample_every"]:
        raise ValueError(
            f"expected sample_every = 0, got {config['sample_every']}: nothing can be "
            f"drawn from model {tables.name(config['model'])!r}"
        )
    return Experiment(prepared, model, optimizer, averages, guard, plan, laid_out)


def check(config: Mapping[str, Any]) -> None:
    r"""The keys are right, and numbers are numbers.

        config.keys() = KEYS

    Args: config: of nested literals.
    Returns: nothing (no unit).
    """
    for key in config:
        tables.among("a key of the configuration", key, KEYS)
    missing = [key for key in KEYS if key not in config]
    if missing:
        raise ValueError(
            f"expected the keys {', '.join(KEYS)}, got none of {', '.join(missing)}; "
            "add them to get_config()"
        )
    tables.number("seed", config["seed"], least=0, whole=True)
    for key in ("steps", "batch_size", "log_every", "checkpoint_every"):
        tables.number(key, config[key], least=1, whole=True)
    for key in ("eval_every", "sample_every"):
        tables.number(key, config[key], least=0, whole=True)
