"""The numbers that a run has to show, as files in its directory."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from diffjax.evaluate import record
from diffjax.evaluate.record import Record
from diffjax.evaluate.summary import Estimate
from diffjax.train.metrics import read, replace

DIGITS = 7
"""Of what is computed in float32."""


def metrics(directory: Path) -> list[dict[str, Any]]:
    r"""The lines of a run's metrics.

        directory/metrics.jsonl

    Args: directory: of the run.
    Returns: a list of {"step": ..., name: value, ...} (units of the objective).
    """
    path = directory / "metrics.jsonl"
    if not path.is_file():
        raise FileNotFoundError(
            f"expected a run with metrics.jsonl, got {directory}; give the --workdir "
            "of diffjax train"
        )
    return read(path)


def last(rows: list[dict[str, Any]]) -> dict[str, Any]:
    r"""The newest value of every metric.

        the last line that has it

    Args: rows: of `metrics`.
    Returns: name -> value (units of the objective).
    """
    return {name: value for row in rows for name, value in row.items()}


def evaluation(directory: Path) -> dict[str, Any]:
    r"""What `diffjax evaluate` found, if it has been here.

        directory/evaluation.json

    Args: directory: of the run.
    Returns: JSON as `save_evaluation` wrote it, or {} (nats and bits/dim).
    """
    path = directory / "evaluation.json"
    if not path.is_file():
        return {}
    try:
        return dict(json.loads(path.read_text()))
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"expected the JSON of an evaluation in {path}, got {error}; run diffjax "
            f"evaluate {directory} again"
        ) from error


def scores(path: Path) -> list[Record]:
    r"""What was measured, if anything was.

        records  <-  scores.jsonl of samples, floor.jsonl of the data themselves

    Args: path: of the file.
    Returns: a list of Record.
    """
    return record.load(path) if path.is_file() else []


def save_scores(path: Path, found: Sequence[Record]) -> Path:
    r"""Write what was measured; numbers of other names stay.

        path  <-  records

    Args: path: of the file.  found: records, which replace those of their names.
    Returns: the path (no unit).
    """
    new = {(each.metric, each.features) for each in found}
    old = scores(path)
    kept = [each for each in old if (each.metric, each.features) not in new]
    record.save(path, [*kept, *found])
    return path


def save_evaluation(
    directory: Path,
    about: Mapping[str, Any],
    found: Mapping[str, tuple[Estimate, str]],
) -> Path:
    r"""Write an evaluation, a line for each part.

        name: {"mean": ..., "se": ..., "unit": ...}

    Args: directory: of the run.  about: JSON.  found: name -> (Estimate, unit).
    Returns: the path (no unit).
    """
    told = {
        name: {"mean": _plain(e.mean), "se": _plain(e.standard_error), "unit": unit}
        for name, (e, unit) in found.items()
    }
    lines = [
        f"  {json.dumps(k)}: {json.dumps(v)}" for k, v in {**about, **told}.items()
    ]
    path = directory / "evaluation.json"
    replace(path, "{\n" + ",\n".join(lines) + "\n}\n")
    return path


def _plain(values: np.ndarray) -> Any:
    if np.ndim(values):
        return [_plain(value) for value in values]
    return float(f"{values:.{DIGITS}g}")
