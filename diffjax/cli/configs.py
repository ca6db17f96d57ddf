"""A configuration: a Python file of one's own for training, JSON ever after."""

import ast
import json
import runpy
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import ml_collections

from diffjax.build import tables


def load(file: str, overrides: Sequence[str]) -> dict[str, Any]:
    r"""The configuration of a file, with what the command line changes.

        get_config(),    then config.a.b = value for each --config.a.b=value

    Args: file: Python, with a function get_config() that returns nested literals.
        overrides: words "--config.a.b=value"; a is there, b may be new: that a has such
        an option is seen when the experiment is built.
    Returns: JSON (no unit).
    """
    config = ml_collections.ConfigDict(_executed(file))
    config.lock()
    for word in overrides:
        _override(config, word)
    try:
        return json.loads(json.dumps(config.to_dict(), allow_nan=False))
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"expected nested literals from get_config() of {file}, got: {error}; "
            "name functions, do not give them"
        ) from error


def _executed(file: str) -> Mapping[str, Any]:
    if not Path(file).is_file():
        raise FileNotFoundError(
            f"expected a Python file with get_config(), got {file}; see experiments/"
        )
    try:
        found = runpy.run_path(file)
        config = found["get_config"]() if "get_config" in found else None
    except Exception as error:
        raise ValueError(
            f"expected {file} to run, got {type(error).__name__}: {error}; correct it"
        ) from error
    if isinstance(config, ml_collections.ConfigDict):
        config = config.to_dict()
    if not isinstance(config, Mapping):
        raise ValueError(
            f"expected get_config() in {file} that returns a dict, got "
            f"{type(config).__name__}; see experiments/"
        )
    return config


def _override(config: ml_collections.ConfigDict, word: str) -> None:
    path, equals, text = word.removeprefix("--config.").partition("=")
    if not equals:
        raise ValueError(f"expected {word}=VALUE, got no value; write it with =")
    *parents, key = path.split(".")
    place = config
    for i, name in enumerate([*parents, key]):
        where = ".".join(["config", *parents[:i]])
        if not isinstance(place, ml_collections.ConfigDict):
            raise ValueError(f"expected {where} to have parts, got a value; shorten it")
        if i < len(parents) or not parents:
            tables.among(f"{where}.*", name, place.keys())
        place = place[name] if i < len(parents) else place
    try:
        value = ast.literal_eval(text)
    except (ValueError, SyntaxError):
        value = text
    try:
        with place.unlocked():
            place[key] = value
    except TypeError as error:
        raise ValueError(
            f"expected config.{path} like {place[key]!r}, got {value!r}; keep its type"
        ) from error
