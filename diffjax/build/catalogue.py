"""All that a configuration can name, for `diffjax list`."""

import inspect
from collections.abc import Callable
from typing import Any

from diffjax.build import data, diffusions, models, nets, tables, training


def entries() -> dict[str, dict[str, str]]:
    r"""Every table of constructors.

        part of the configuration -> name -> "option=default, ..."

    Returns: a dict of dicts (no unit).
    """
    parts: dict[str, tables.Table] = {
        "data": data.DATA,
        "data.transforms": data.TRANSFORMS,
        "model": models.MODELS,
        "model.schedule (ddpm, d3pm)": diffusions.SCHEDULES,
        "model.step (ddpm)": diffusions.STEPS,
        "model.transitions (d3pm)": diffusions.FAMILIES,
        "model.loss (d3pm)": diffusions.LOSSES,
        "net (ddpm)": nets.DENOISERS,
        "net (d3pm)": nets.CATEGORICAL,
        "net (vae, vqvae)": nets.PAIRS,
        "net (hvae)": nets.LADDERS,
        "optimizer": training.OPTIMIZERS,
        "devices": training.LAYOUTS,
    }
    return {title: {n: _told(c) for n, c in t.items()} for title, t in parts.items()}


GIVEN = {"context", "shape", "said", "channels", "levels", "betas", "K", "mask"}
GIVEN |= {"out_channels", "learning_rate", "parent", "name"}
"""What the library gives by itself."""


def _told(constructor: Callable[..., Any]) -> str:
    parameters = inspect.signature(constructor).parameters
    return ", ".join(_option(p) for n, p in parameters.items() if n not in GIVEN)


def _option(parameter: inspect.Parameter) -> str:
    default = parameter.default
    if default is inspect.Parameter.empty:
        return parameter.name
    if callable(default) or not isinstance(
        default, int | float | str | tuple | type(None)
    ):
        return f"{parameter.name}=..."
    return f"{parameter.name}={default!r}"
