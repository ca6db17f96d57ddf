"""Runs as one page of HTML: no scripts, nothing loaded from elsewhere."""

import base64
import math
from collections.abc import Sequence
from functools import partial
from html import escape
from pathlib import Path

from diffjax.cli import details, forward, pictures, shown
from diffjax.cli import table as tables
from diffjax.cli.forward import Forward
from diffjax.cli.numbers import MISSING, with_error
from diffjax.cli.shown import Shown
from diffjax.cli.style import CSS
from diffjax.cli.table import Table
from diffjax.train.metrics import replace


def save(path: Path, directories: Sequence[str]) -> Path:
    r"""Write the page.

        path  <-  html of the runs

    Args: path: of the file, its folder made if it is not there.  directories: of runs.
    Returns: the path (no unit).
    """
    if path.is_dir():
        raise ValueError(
            f"expected a file for --html, got the directory {path}; try "
            f"{path / 'report.html'}"
        )
    text = html(shown.read(directories))
    path.parent.mkdir(parents=True, exist_ok=True)
    # In ASCII it reads the same whatever a server or an editor takes it for.
    replace(path, text.encode("ascii", "xmlcharrefreplace").decode())
    return path


def html(runs: Sequence[Shown]) -> str:
    r"""The page.

        the table, code lengths, samples, forward, chains, then each run by itself

    Args: runs: of `shown.read`.
    Returns: HTML (no unit).
    """
    parts = [table(runs), lengths(runs), samples(runs)]
    parts += [forwards(runs), chains(runs), details.section(runs)]
    count = f"{len(runs)} run{'s' * (len(runs) != 1)}"
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>diffjax: {count}</title>\n<style>{CSS}</style></head>\n<body>\n"
        f'<header><h1>diffjax</h1><p class="soft">{count}, side by side</p></header>\n'
        + "\n".join(filter(None, parts))
        + "\n</body></html>\n"
    )


def table(runs: Sequence[Shown]) -> str:
    r"""The runs, a line each, and the data themselves; a table for each data set.

        model, parameters, rate, distortion, bits/dim, scores

    Args: runs: as for `html`.
    Returns: HTML (no unit).
    """
    return "".join(
        f"<h2>{escape(name)}</h2>{_table(tables.of_runs(group))}"
        for name, group in tables.by_data(runs).items()
    )


def lengths(runs: Sequence[Shown]) -> str:
    r"""Bits per dimension of each data set, as bars.

        rate + distortion, over D log 2

    Args: runs: as for `html`.
    Returns: HTML, "" if no run was evaluated (no unit).
    """
    groups: dict[str, list[Shown]] = {}
    for run in runs:
        if "bits/dim" in run.evaluation:
            groups.setdefault(tables.comparable(run), []).append(run)
    if not groups:
        return ""
    cards = "".join(
        f'<div class="card"><h3>{escape(name)}</h3>{_bars(group)}</div>'
        for name, group in groups.items()
    )
    return (
        '<h2>Code lengths</h2><p class="soft">Bits per dimension of the test split: '
        '<i class="key rate"></i>rate, what the latents cost, and '
        '<i class="key distortion"></i>distortion, what is left to say of x. '
        '<i class="key floor"></i>The line is learning by heart, log2 of the number of '
        "training examples, which of other data says nothing. Only runs in one box "
        f'compare.</p><div class="grid">{cards}</div>'
    )


def samples(runs: Sequence[Shown]) -> str:
    r"""Samples of each run, side by side.

        the grid of `diffjax sample`, else the last one of training

    Args: runs: as for `html`.
    Returns: HTML, "" if there are none (no unit).
    """
    figures = []
    for run in sorted(runs, key=lambda run: run.picture is None):
        told = f"<figcaption><b>{_name(run)}</b> {escape(tables.model(run))}"
        told += "</figcaption>"
        if run.picture is not None:
            figures.append(("", f"{image(run.picture, run.name)}{told}"))
        elif run.pieces:
            text = "\n".join(map(escape, run.pieces))
            figures.append((" wide", f"<pre>{text}</pre>{told}"))
    inside = "".join(f'<figure class="card{w}">{f}</figure>' for w, f in figures)
    return f'<h2>Samples</h2><div class="grid samples">{inside}</div>' * bool(inside)


def forwards(runs: Sequence[Shown]) -> str:
    r"""How data become noise, and the law of it where it is a matrix.

        x_t ~ q(x_t | x_0),    Q_bar_t = Q_1 Q_2 ... Q_t

    Args: runs: as for `html`.
    Returns: HTML, "" if there are none (no unit).
    """
    drawn = [
        f"<h3>{_name(run)}</h3>{_forward(run.name, run.forward)}"
        for run in runs
        if run.forward is not None
    ]
    cards = "".join(f'<div class="card">{part}</div>' for part in drawn)
    told = (
        '<p class="soft">Test examples, x<sub>t</sub> drawn from q(x<sub>t</sub> | '
        "x<sub>0</sub>). Of categories also Q̄<sub>t</sub>, whose row x<sub>0</sub> is "
        "the law of x<sub>t</sub>: white 0, dark 1.</p>"
    )
    return (
        f'<h2>From data to noise</h2>{told}<div class="grid two">{cards}</div>'
        * bool(cards)
    )


def chains(runs: Sequence[Shown]) -> str:
    r"""How samples come to be, from noise to data.

        x_T, ..., x_0

    Args: runs: as for `html`.
    Returns: HTML, "" if there are none (no unit).
    """
    found = []
    for run in runs:
        title = f"<h3>{_name(run)}</h3>"
        if run.frames:
            number = len(run.frames)
            told = ["x_T", *[""] * (number - 2), "x_0"][-number:]
            found.append(title + _strip(run.name, run.frames, told))
        elif run.chain:
            text = "\n\n".join(map(escape, run.chain))
            found.append(f"{title}<pre>{text}</pre>")
    cards = "".join(f'<div class="card">{part}</div>' for part in found)
    return f'<h2>From noise to data</h2><div class="grid">{cards}</div>' * bool(cards)


def image(png: bytes, told: str) -> str:
    r"""A picture within the page.

        data:image/png;base64,...

    Args: png: the file.  told: for readers who do not see.
    Returns: HTML (no unit).
    """
    data = base64.b64encode(png).decode()
    return f'<img alt="{escape(told)}" src="data:image/png;base64,{data}">'


def _table(found: Table) -> str:
    head = "".join(
        f'<th class="{kind}">{escape(name)}<small>{escape(unit)}</small></th>'
        for name, unit, kind in found.columns
    )
    lines = []
    for name, cells, measured in found.rows:
        told = "".join(
            f'<td class="{column.kind}{" none" * (cell == MISSING)}" data-name='
            f'"{escape(column.name)}">{escape(cell)}</td>'
            for column, cell in zip(found.columns, cells, strict=True)
        )
        kind = "" if measured else ' class="floor"'
        lines.append(f"<tr{kind}><td>{_broken(name)}</td>{told}</tr>")
    return (
        f'<div class="card scroll"><table><thead><tr><th>run</th>{head}</tr></thead>'
        f"<tbody>{''.join(lines)}</tbody></table></div>"
    )


def _name(run: Shown) -> str:
    return _broken(run.name)


def _broken(name: str) -> str:
    """A name that may go on in the next line, after any _ of it."""
    return escape(name).replace("_", "_<wbr>")


def _strip(
    name: str, pngs: Sequence[bytes], labels: Sequence[str], *, kind: str = "strip"
) -> str:
    inside = "".join(
        f"<figure>{image(png, f'{name}, {i + 1} of {len(pngs)}')}"
        f"<span>{_subscript(label)}</span></figure>"
        for i, (png, label) in enumerate(zip(pngs, labels, strict=True))
    )
    return f'<div class="{kind}">{inside}</div>'


def _forward(name: str, found: Forward) -> str:
    parts = []
    labels = [f"t = {t}" for t in found.ts]
    six = partial(_strip, kind="strip six")
    if found.tiles.size:
        parts.append(six(name, list(map(pictures.png, found.tiles)), labels))
    if found.pieces.size:
        width = max(map(len, labels))
        told = zip(labels, found.pieces, strict=True)
        text = "\n".join(f"{label:<{width}}  {piece}" for label, piece in told)
        parts.append(f"<pre>{escape(text)}</pre>")
    if found.matrices.size:
        drawn = [pictures.png(forward.heat(each)[None]) for each in found.matrices]
        parts.append(six(f"{name}, Q", drawn, [f"Q̄_{t}" for t in found.ts]))
    return "".join(parts)


def _subscript(name: str) -> str:
    letter, _, index = name.partition("_")
    return f"{letter}<sub>{index}</sub>" if index else letter or "&nbsp;"


def _bars(group: Sequence[Shown]) -> str:
    means = [tables.part(run.evaluation, "bits/dim")[0] for run in group]
    most = max((m for m in means if math.isfinite(m)), default=1.0)
    known = next(filter(math.isfinite, map(tables.memorisation, group)), None)
    mark = ""
    if known is not None:
        most = max(most, known)
        mark = f'<i class="floor" style="left:{100 * known / most:.2f}%"></i>'
    lines = []
    for run, bits in zip(group, means, strict=True):
        found = run.evaluation
        nats = [tables.part(found, name)[0] for name in ("rate", "distortion")]
        parts = ""
        if math.isfinite(bits) and sum(nats) > 0 and min(nats) >= 0:
            shares = [100 * bits / most * part / sum(nats) for part in nats]
            names = ("rate", "distortion")
            parts = "".join(
                f'<i class="{name}" style="width:{share:.2f}%"></i>'
                for name, share in zip(names, shares, strict=True)
            )
        told = with_error(*tables.part(found, "bits/dim"))
        lines.append(
            f'<div class="length"><b>{_name(run)}</b><div class="track">{parts}{mark}'
            f'</div><span class="num">{told}</span></div>'
        )
    return "".join(lines)
