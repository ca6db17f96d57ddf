"""Numbers with what they are numbers of, as data and as a file."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple


class Record(NamedTuple):
    """One measured number; two of them compare if all but the value agrees.

    metric: its name, with the unit if it has one.
    value: of it.
    standard_error: of the value, None where there is no honest one.
    n: examples that it was measured on.
    split: of the data that it was measured on or against, "" where there is none.
    features: name of the function, "" where none is used.
    """

    metric: str
    value: float
    standard_error: float | None
    n: int
    split: str
    features: str = ""


def save(path: str | Path, records: Iterable[Record]) -> None:
    r"""Write records, one a line.

        path  <-  {"metric": ..., "value": ..., ...}

    Args: path: of the file, replaced.  records: any number.
    Returns: nothing (no unit).
    """
    lines = [json.dumps(record._asdict()) + "\n" for record in records]
    Path(path).write_text("".join(lines))


def load(path: str | Path) -> list[Record]:
    r"""Read what `save` wrote.

        records  <-  path

    Args: path: of the file.
    Returns: a list of Record.
    """
    lines = Path(path).read_text().splitlines()
    try:
        return [Record(**json.loads(line)) for line in lines]
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"expected a record a line in {path}, got {error}; write it again"
        ) from error
