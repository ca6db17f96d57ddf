"""All that a configuration can name, for `diffjax list`."""

import inspect
from collections.abc import Callable
from typing import Any

from diffjax.build import (
    autoencoders,
    diffusions,
    latents,
    learned,
    masking,
    models,
    nets,
    sets,
    tables,
    training,
    variational,
)


def entries() -> dict[str, dict[str, str]]:
    r"""Every table of constructors.

        part of the configuration -> name -> "option=default, ..."

    Returns: a dict of dicts (no unit).
    """
    context = {"context"}
    given = {"context", "net", "table", "decoder"}
    law = {"betas", "K", "mask"}
    image = {"shape", "out_channels", "channels", "K", *nets.WITHOUT, "parent", "name"}
    pair = {"shape", "channels", "said", "dropout"}
    parts: dict[str, tuple[tables.Table, set[str]]] = {
        "data": (sets.DATA, set()),
        "data.augment, data.transforms, data.once": (sets.TRANSFORMS, {"levels"}),
        "model": (models.MODELS, context),
        "model.loss of ae": (autoencoders.LOSSES, set()),
        "model.loss of vae": (latents.LOSSES, set()),
        "model.loss.corruption of ae": (autoencoders.CORRUPTIONS, set()),
        "model.loss of ddpm": (learned.LOSSES, given),
        "model.gamma of vdm": (variational.GAMMAS, set()),
        "model.alpha of masked": (masking.ALPHAS, set()),
        "model.schedule of every ddpm and d3pm": (diffusions.SCHEDULES, set()),
        "model.step of ddpm and latent_ddpm": (diffusions.STEPS, set()),
        "model.transitions of d3pm and d3pm_codes": (diffusions.FAMILIES, law),
        "model.loss of d3pm and d3pm_codes": (diffusions.LOSSES, set()),
        "net of ddpm and latent_ddpm": (nets.DENOISERS, image),
        "net of d3pm and d3pm_codes": (nets.CATEGORICAL, image),
        "net of ar": (nets.CAUSAL, image),
        "net of ae, vae and vqvae": (nets.PAIRS, pair),
        "net of hvae": (nets.LADDERS, pair),
        "optimizer": (training.OPTIMIZERS, {"learning_rate"}),
        "devices": (training.LAYOUTS, set()),
    }
    found = {
        title: {name: _told(each, given) for name, each in table.items()}
        for title, (table, given) in parts.items()
    }
    common = {f"every {title}": options for title, options in BESIDE.items()}
    return {**found, "beside these": common}


BESIDE = {
    "data": "augment=(), transforms=(), once=(), in_memory=False, threads=2, workers=0",
    "optimizer": (
        "learning_rate, warmup=0, decay=none|cosine|linear|rsqrt, clip=0.0, skip=0.0"
    ),
    "devices": "per_dispatch=1, micro_batches=1",
    "net, where the loss is a mean over examples": "dropout=0.0",
    "ema": "decay, warm_up=True; or nothing at all",
}


def _told(constructor: Callable[..., Any], given: set[str]) -> str:
    parameters = inspect.signature(constructor).parameters
    return ", ".join(_option(p) for n, p in parameters.items() if n not in given)


def _option(parameter: inspect.Parameter) -> str:
    name, default = parameter.name, parameter.default
    choices = {**diffusions.CHOICES, **nets.CHOICES}.get(name)
    if choices is not None:
        return f"{name}={'|'.join(choices)}"
    if default is inspect.Parameter.empty:
        return name
    plain = isinstance(default, int | float | str | tuple | type(None))
    return f"{name}={default!r}" if plain else f"{name}=..."
