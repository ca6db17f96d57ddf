"""The directory of a run: config.json, checkpoints/, metrics.jsonl, samples/."""

import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import jax

from diffjax.train.metrics import replace

FREE = (
    "devices",
    "steps",
    "log_every",
    "eval_every",
    "sample_every",
    "checkpoint_every",
)
"""What a run that goes on may change: how long, where and how often it is looked at."""


def prepare(
    workdir: str | Path, config: Mapping[str, Any], tell: Callable[[str], None]
) -> Path:
    r"""Make the directory of a run, or see that it is of the same run.

        workdir/config.json  <-  config

    Args: workdir: on a file system that all hosts see.  config: JSON.  tell: is told
        what changed that may change.
    Returns: the path (no unit).
    """
    if "://" in str(workdir):
        raise ValueError(
            f"expected a path of a mounted file system, got {workdir}; mount the "
            "bucket (gcsfuse, s3fs) and give its path"
        )
    path = Path(workdir).absolute()
    config = json.loads(json.dumps(config))
    text = json.dumps(config, indent=2, sort_keys=True) + "\n"
    try:
        (path / "checkpoints").mkdir(parents=True, exist_ok=True)
        found = read_config(path) if (path / "config.json").exists() else None
        if found is not None:
            _compare(path, found, config, tell)
        if found != config and jax.process_index() == 0:
            replace(path / "config.json", text)
    except OSError as error:
        raise type(error)(
            error.errno,
            f"expected a directory that can be written, got {path}: {error.strerror}; "
            "choose another --workdir",
        ) from error
    return path


def read_config(path: Path) -> dict[str, Any]:
    r"""The config of a run, read as data, never executed.

        json(workdir/config.json)

    Args: path: of the run.
    Returns: the config (no unit).
    """
    try:
        return json.loads((path / "config.json").read_text())
    except ValueError as error:
        raise ValueError(
            f"expected JSON in {path / 'config.json'}, got {error}; bring it back, or "
            "choose another --workdir"
        ) from error


def changes(old: Any, new: Any, *, name: str = "") -> Iterator[tuple[str, Any, Any]]:
    r"""Where two configs differ.

        (name, old, new) for each leaf

    Args: old, new: JSON.  name: of this part of them.
    Returns: an iterator of dotted names and values (no unit).
    """
    if isinstance(old, dict) and isinstance(new, dict):
        for key in sorted(old.keys() | new.keys()):
            inner = f"{name}.{key}" if name else key
            yield from changes(old.get(key), new.get(key), name=inner)
    elif old != new:
        yield name, old, new


def _compare(path: Path, old: Any, new: Any, tell: Callable[[str], None]) -> None:
    found = list(changes(old, new))
    fixed = [f"{n}: {a} -> {b}" for n, a, b in found if n.split(".")[0] not in FREE]
    if fixed:
        raise ValueError(
            f"expected the config of the run in {path}, got another: "
            f"{'; '.join(fixed)}; choose another --workdir"
        )
    for name, a, b in found:
        tell(f"config: {name}: {a} -> {b}")
