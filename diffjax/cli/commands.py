"""What the commands do."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from diffjax.cli import told


class Hosts(NamedTuple):
    """Where the other hosts are, if JAX cannot find out.

    coordinator: host:port of host 0, or None.
    num: how many, or None.
    number: of this one, or None.
    """

    coordinator: str | None
    num: int | None
    number: int | None


def train(
    file: str,
    workdir: str,
    overrides: Sequence[str],
    hosts: Hosts,
    *,
    begin: str | None = None,
) -> None:
    r"""Train a configuration, or go on with the run in `workdir`.

        workdir/{config.json, checkpoints/, metrics.jsonl, samples/}

    Args: file: Python, with get_config().  workdir: of the run.  overrides: words
        "--config.a.b=value".  hosts: Hosts.  begin: another run to begin with.
    Returns: nothing (no unit).
    """
    from diffjax import train as engine
    from diffjax.cli import configs, training

    config = configs.load(file, overrides)
    engine.connect(coordinator=hosts.coordinator, num=hosts.num, index=hosts.number)
    training.run(config, Path(workdir), begin=begin)


def report(directories: Sequence[str], html: str | None) -> None:
    r"""The last metrics of runs, side by side.

        the last line of each metrics.jsonl; all there is to see, as a page

    Args: directories: of runs.  html: file to write the page to, or None.
    Returns: nothing (no unit).
    """
    from diffjax.cli import results

    if html is not None:  # "runs/*" may hold the page of last time
        directories = [d for d in directories if Path(d) != Path(html)]
    rows = [results.last(results.metrics(Path(d))) for d in directories]
    names = list(dict.fromkeys(name for row in rows for name in row))
    table = [["run", *names]]
    for directory, row in zip(directories, rows, strict=True):
        table.append([directory, *(_cell(row.get(name)) for name in names)])
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    for line in table:
        cells = [line[0].ljust(widths[0])]
        cells += [c.rjust(w) for c, w in zip(line[1:], widths[1:], strict=True)]
        print("  ".join(cells).rstrip())
    if html is not None:
        from diffjax.cli import page

        told.written([page.save(Path(html), directories)])


def listing() -> None:
    r"""The names that a configuration can use, and their options.

        name: option=default, ...

    Returns: nothing (no unit).
    """
    from diffjax.build import catalogue

    for title, entries in catalogue.entries().items():
        print(f"{title}:")
        for name, options in entries.items():
            print(f"  {name:<24} {options}".rstrip())
        print()


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    is_whole = isinstance(value, int) or (math.isfinite(value) and value == int(value))
    return str(int(value)) if is_whole else f"{value:.4g}"
