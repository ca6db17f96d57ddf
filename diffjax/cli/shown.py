"""All that a run has to show, gathered for a page: numbers, pictures, text."""

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from diffjax.cli import forward, results
from diffjax.cli.forward import Forward
from diffjax.evaluate.record import Record
from diffjax.train import rundir

FRAMES = 8
"""Of a chain, first and last among them."""
PIECES = 6
"""Of text."""
BETWEEN = "How the first one came to be:"
"""Where a file of text turns from samples to the chain of one."""


class Shown(NamedTuple):
    """A run.

    name: short, unlike the others'.
    config: JSON.
    rows: of its metrics.
    evaluation: JSON, or {}.
    scores: of its samples.
    floor: of the data themselves, as if they were samples.
    picture: PNG of samples, or None.
    frames: PNGs of a chain, noisiest first.
    pieces: of text drawn.
    chain: one text, noisiest first.
    forward: Forward, the other way, or None.
    """

    name: str
    config: Mapping[str, Any]
    rows: list[dict[str, Any]]
    evaluation: Mapping[str, Any]
    scores: list[Record]
    floor: list[Record]
    picture: bytes | None
    frames: list[bytes]
    pieces: list[str]
    chain: list[str]
    forward: Forward | None


def read(directories: Sequence[str]) -> list[Shown]:
    r"""Runs, from their directories alone.

        config.json, metrics.jsonl, evaluation.json, {scores, floor}.jsonl, samples/

    Args: directories: of runs.
    Returns: a list of Shown.
    """
    paths = [Path(directory) for directory in directories]
    short = [path.absolute().name for path in paths]
    names = short if len(set(short)) == len(short) else list(map(str, paths))
    return [_read(name, path) for name, path in zip(names, paths, strict=True)]


def _read(name: str, path: Path) -> Shown:
    rows = results.metrics(path)
    if not (path / "config.json").is_file():
        raise FileNotFoundError(
            f"expected a run with config.json, got {path}; give the --workdir of "
            "diffjax train"
        )
    pieces, chain = _text(path / "samples")
    return Shown(
        name=name,
        config=rundir.read_config(path),
        rows=rows,
        evaluation=results.evaluation(path),
        scores=results.scores(path / "scores.jsonl"),
        floor=results.scores(path / "floor.jsonl"),
        picture=_picture(path / "samples"),
        frames=_frames(path / "samples" / "samples.gif"),
        pieces=pieces,
        chain=chain,
        forward=forward.read(path),
    )


def _newest(folder: Path, suffix: str) -> Path | None:
    drawn = folder / f"samples{suffix}"  # by `diffjax sample`, after training
    if drawn.is_file():
        return drawn
    return max(folder.glob(f"step_*{suffix}"), default=None)


def _picture(folder: Path) -> bytes | None:
    path = _newest(folder, ".png")
    return None if path is None else _opened(path)[0]


def _frames(path: Path) -> list[bytes]:
    if not path.is_file():
        return []
    found = _opened(path)
    some = np.unique(np.linspace(0, len(found) - 1, FRAMES).round().astype(int))
    return [found[i] for i in some]


def _opened(path: Path) -> list[bytes]:
    from PIL import Image, ImageSequence

    try:
        with Image.open(path) as image:
            frames = [frame.copy() for frame in ImageSequence.Iterator(image)]
    except (OSError, SyntaxError, ValueError) as error:  # PIL raises all three
        raise ValueError(
            f"expected a picture in {path}, got: {error}; diffjax sample "
            f"{path.parent.parent} draws it again"
        ) from error
    return list(map(_png, frames))


def _png(frame: Any) -> bytes:
    file = io.BytesIO()
    frame.convert(frame.mode if frame.mode in ("L", "RGB") else "RGB").save(file, "PNG")
    return file.getvalue()


def _text(folder: Path) -> tuple[list[str], list[str]]:
    path = _newest(folder, ".txt")
    if path is None:
        return [], []
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    cut = lines.index(BETWEEN) if BETWEEN in lines else len(lines)
    pieces = [line for line in lines[:cut] if line][:PIECES]
    chain = lines[cut + 1 :]
    some = np.unique(np.linspace(0, max(len(chain) - 1, 0), FRAMES).round().astype(int))
    return pieces, [chain[i] for i in some] if chain else []
