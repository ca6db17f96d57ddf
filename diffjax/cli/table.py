"""Runs in one table, for a page and for a terminal."""

import math
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from diffjax.cli.numbers import MISSING, number, with_error
from diffjax.cli.results import last
from diffjax.cli.shown import Shown
from diffjax.evaluate.record import Record

HARMLESS = {"flatten", "tokens", "symmetric", "centred", "unit", "flip"}
"""Transforms that leave a code length comparable."""
ERROR = "reconstruction error"
SPLITS = {"train": "training", "test": "test"}


class Column(NamedTuple):
    """Of a table.

    name: at its head.
    unit: below the name, or "".
    kind: "word" or "num", how it is set.
    """

    name: str
    unit: str
    kind: str


class Row(NamedTuple):
    """Of a table.

    name: of the run.
    cells: one for each column.
    measured: False for the data itself, which bound what a run can reach.
    """

    name: str
    cells: list[str]
    measured: bool = True


class Table(NamedTuple):
    """Runs, a row each, and the data themselves.

    columns: of it.
    rows: as long as the columns.
    """

    columns: list[Column]
    rows: list[Row]


def of_runs(runs: Sequence[Shown]) -> Table:
    r"""Runs side by side; a column that all would leave empty is left out.

        model, parameters, losses, rate, distortion, bits/dim, scores

    The losses of runs are no measure of one another, and are here only where a run was
    not evaluated.

    Args: runs: of `shown.read`.
    Returns: Table.
    """
    measured = dict.fromkeys(
        (s.metric, s.features) for r in runs for s in (*r.scores, *r.floor)
    )
    bits = "bits/char" if any(run.pieces for run in runs) else "bits/dim"
    losses = [
        Column("step", "", "num"),
        Column("loss", "last", "num"),
        Column("test loss", "last", "num"),
    ]
    columns = [
        Column("model", "", "word"),
        Column("parameters", "", "num"),
        *losses,
        Column("error", "squared", "num"),
        Column("rate", "nats", "num"),
        Column("distortion", "nats", "num"),
        Column(bits, "± s.e.", "num"),
        *(Column(metric, features, "num") for metric, features in measured),
    ]
    rows = [Row(_called(run), _cells(run, measured)) for run in runs]
    if all(run.evaluation for run in runs):
        for row in rows:
            row.cells[2:5] = [MISSING] * len(losses)
    rows += _floor(runs, columns)
    return _without_empty(Table(columns, rows))


def text(runs: Sequence[Shown]) -> str:
    r"""Runs for a terminal, a table for each data set.

        of_runs(those of the data set), names to the left, numbers to the right

    Args: runs: as for `of_runs`.
    Returns: lines (no unit).
    """
    return "\n\n".join(_lines(of_runs(group)) for group in by_data(runs).values())


def by_data(runs: Sequence[Shown]) -> dict[str, list[Shown]]:
    r"""Runs that have their data in common.

        name of the data -> runs, both in the order of the runs

    Args: runs: as for `of_runs`.
    Returns: a dict of lists of Shown.
    """
    groups: dict[str, list[Shown]] = {}
    for run in runs:
        groups.setdefault(str(run.config["data"]["name"]), []).append(run)
    return groups


def memorisation(run: Shown) -> float:
    r"""Bits per dimension of the training set itself, by who knows it by heart.

        log2(N) / D

    The finite-data oracle draws one of its N examples and nothing else. Of other data
    it knows nothing: a model below this line on the test split is a wonder, one
    below it on the training split is not.

    Args: run: Shown.
    Returns: bits/dim, NaN where examples have no probability or are changed at random.
    """
    num, dims = run.evaluation.get("train"), run.evaluation.get("dims")
    if not num or not dims or changed(run):
        return math.nan
    return math.log2(num) / dims


def comparable(run: Shown) -> str:
    r"""What the code length of a run is of.

        data, transforms that change it, D

    Args: run: Shown.
    Returns: the same text for runs whose bits/dim compare (no unit).
    """
    dims = run.evaluation.get("dims")
    told = [str(run.config["data"]["name"]), *changed(run)]
    return ", ".join([*told, *([f"D = {dims}"] if dims else [])])


def changed(run: Shown) -> list[str]:
    r"""What makes the code length of a run unlike that of the data as they are.

        transforms, "densities"

    Args: run: Shown.
    Returns: their names (no unit).
    """
    data, model = run.config["data"], run.config["model"]
    steps = [*data.get("once", ()), *data.get("transforms", ())]
    names = [step["name"] if isinstance(step, dict) else step for step in steps]
    found = [name for name in names if name not in HARMLESS]
    if model.get("likelihood") == "gaussian":
        found.append("densities")
    return found


def model(run: Shown) -> str:
    r"""A model by its name and what sets it apart.

        d3pm absorbing, ae contractive

    Args: run: Shown.
    Returns: a few words (no unit).
    """
    spec = run.config["model"]
    parts = [spec["name"], spec.get("transitions")]
    if spec["name"] == "ae":
        parts.append(spec.get("loss"))
    names = [part.get("name") if isinstance(part, dict) else part for part in parts]
    return " ".join(str(name) for name in names if name)


def part(found: Any, name: str) -> tuple[Any, Any]:
    r"""A number of an evaluation, with its error.

        (mean, s.e.)

    Args: found: JSON of an evaluation.  name: of the number.
    Returns: both, or None twice (units of the evaluation).
    """
    each = found.get(name, {})
    return each.get("mean"), each.get("se")


def _called(run: Shown) -> str:
    """The run's name, and what of it was evaluated if it was trained on since."""
    evaluated, trained = run.evaluation.get("step"), last(run.rows).get("step")
    if evaluated is None or trained is None or evaluated >= trained:
        return run.name
    return f"{run.name} (evaluated at step {evaluated} of {trained})"


def _cells(run: Shown, measured: Iterable[tuple[str, str]]) -> list[str]:
    found, newest = run.evaluation, last(run.rows)
    size = found.get("parameters")
    scores = _by_name(run.scores)
    return [
        model(run),
        MISSING if size is None else f"{size:,}",
        str(newest.get("step", MISSING)),
        number(newest.get("loss")),
        number(newest.get("eval_loss")),
        with_error(*part(found, ERROR)),
        *(number(part(found, name)[0]) for name in ("rate", "distortion")),
        with_error(*part(found, "bits/dim")),
        *(with_error(*scores.get(key, (None, None))) for key in measured),
    ]


def _floor(runs: Sequence[Shown], columns: Sequence[Column]) -> list[Row]:
    """The data as if they were a model: what is drawn and known by who has them."""
    rows = []
    for name, group in by_data([run for run in runs if run.floor]).items():
        floor = group[0].floor
        scores, split = _by_name(floor), floor[0].split
        known = filter(math.isfinite, map(memorisation, group))
        told = {"bits/dim": number(next(known, None))} if split == "train" else {}
        cells = [
            told.get(column.name)
            or with_error(*scores.get((column.name, column.unit), (None, None)))
            for column in columns
        ]
        rows.append(Row(f"{SPLITS.get(split, split)} {name}", cells, False))
    return rows


def _lines(table: Table) -> str:
    shown = [i for i, column in enumerate(table.columns) if column.kind == "num"]
    lines = [["", *(table.columns[i].name for i in shown)]]
    lines += [[row.name, *(row.cells[i] for i in shown)] for row in table.rows]
    widths = [max(map(len, cells)) for cells in zip(*lines, strict=True)]
    told = []
    for name, *cells in lines:
        right = [c.rjust(w) for c, w in zip(cells, widths[1:], strict=True)]
        told.append("  ".join([name.ljust(widths[0]), *right]).rstrip())
    return "\n".join([told[0], "-" * max(map(len, told)), *told[1:]])


def _by_name(records: Iterable[Record]) -> dict[tuple[str, str], tuple[Any, Any]]:
    return {(r.metric, r.features): (r.value, r.standard_error) for r in records}


def _without_empty(table: Table) -> Table:
    kept = [
        i
        for i, column in enumerate(table.columns)
        if any(row.cells[i] != MISSING for row in table.rows)
    ]
    rows = [row._replace(cells=[row.cells[i] for i in kept]) for row in table.rows]
    return Table([table.columns[i] for i in kept], rows)
