"""Samples of runs and of published networks: drawn in parts, timed, written."""

import math
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from diffjax.build import tables
from diffjax.cli import told

CHAINS = 16
"""Samples whose whole way from noise to data is drawn too."""


class Wish(NamedTuple):
    """What is wanted of `sample`.

    num: samples.
    seed: of all of them.
    chunk: drawn at once.
    model: options of the model to set otherwise, None to leave them: steps of the
        chain, its step, label and guidance, a text to fill in.
    """

    num: int
    seed: int
    chunk: int
    model: Mapping[str, Any]


class Drawn(NamedTuple):
    """What was drawn, and how fast.

    x: [num, ...].
    per_second: samples, after the first part, whose time is the compiler's too; NaN
        where that was all.
    """

    x: np.ndarray
    per_second: float


def sample(directory: str, wish: Wish, out: str | None) -> None:
    r"""Draw from a trained run.

        out/samples.{npz, png, txt}, out/samples.gif of the chain

    Args: directory: of the run.  wish: Wish.  out: directory, else that of the run.
    Returns: nothing (no unit).
    """
    check(wish)
    from diffjax.cli import runs

    given = {key: value for key, value in wish.model.items() if value is not None}
    run = runs.read(directory, model=given)
    drawn = of_run(run, wish)
    folder = Path(out) if out else Path(directory) / "samples"
    path = _saved(folder, drawn.x)
    told.written([path, *save(folder, run, drawn.x, wish.seed)])


def sample_pretrained(directory: str, wish: Wish, out: str | None) -> None:
    r"""Draw from a published network of Hugging Face diffusers.

        out/samples.{npz, png}

    Args: directory: of a DDPM or DDIM pipeline.  wish: Wish.  out: directory, else
        samples/ here.
    Returns: nothing (no unit).
    """
    check(wish)
    from diffjax.build import pretrained
    from diffjax.cli import pictures

    for key in ("label", "guidance", "infill"):
        if wish.model[key] is not None:
            raise ValueError(
                f"expected no --{key} with --from-diffusers, got {wish.model[key]}; "
                "these networks know of no classes and no letters"
            )
    steps, step = wish.model["steps"], wish.model["step"]
    found = pretrained.load(directory, steps=steps, step=step)
    x = draw(found.mesh, found.sampler, found.params, wish).x
    folder = Path(out or "samples")
    path = _saved(folder, x)
    tiles = np.clip(np.round((x + 1) * 127.5), 0, 255).astype(np.uint8)
    told.written([path, pictures.save_png(folder / "samples.png", tiles)])


def of_run(run: Any, wish: Wish) -> Drawn:
    r"""Samples of a run.

        draw(run.experiment.model.sampler)

    Args: run: Run.  wish: Wish, its options of the model read with the run.
    Returns: Drawn of [num, ...] (data units).
    """
    mesh = run.experiment.devices.layout.mesh
    return draw(mesh, sampler_of(run), run.params, wish)


def sampler_of(run: Any) -> Callable[..., Any]:
    r"""The sampler of a run, which must have one.

        run.experiment.model.sampler

    Args: run: Run.
    Returns: Sampler.
    """
    sampler = run.experiment.model.sampler
    if sampler is None:
        raise ValueError(
            f"expected a model to draw from, got {run.config['model']['name']}, which "
            "has no prior; `diffjax evaluate` says how well it reconstructs"
        )
    return sampler


def draw(mesh: Any, sampler: Callable[..., Any], params: Any, wish: Wish) -> Drawn:
    r"""Samples, a part at a time, on all devices.

        x_i = sampler(params, (seed, i)),    i = 0 .. num - 1

    Args: mesh: the devices.  sampler: Sampler.  params: of it.  wish: Wish.
    Returns: Drawn of [num, ...] (data units).
    """
    from diffjax.cli import runs

    size = min(wish.chunk, wish.num)
    parts = runs.chunks(
        runs.by_example(mesh, sampler, size), params, wish.seed, wish.num
    )
    found: list[np.ndarray] = []
    times = [time.perf_counter()]

    def done(part: np.ndarray) -> int:
        return sum(map(len, [*found, part]))

    for part in told.counted(parts, wish.num, "sample", done=done):
        found.append(part)
        times.append(time.perf_counter())
    later = len(times) - 2
    rate = size * later / (times[-1] - times[1]) if later else math.nan
    return Drawn(np.concatenate(found), rate)


def save(folder: Path, run: Any, x: np.ndarray, seed: int) -> list[Path]:
    r"""Samples of a run as something to look at, and how they came to be.

        folder/samples.{png, txt}, folder/samples.gif of the chain

    Args: folder: made if it is not there.  run: Run.  x: [num, ...].  seed: of them.
    Returns: the paths written (no unit).
    """
    from diffjax.cli import pictures, runs

    model, chain = run.experiment.model, None
    if model.chain is not None:
        few = min(len(x), CHAINS)
        walk = runs.by_example(run.experiment.devices.layout.mesh, model.chain, few)
        chain = walk(run.params, seed, 0)[:few]
    return pictures.save(folder, "samples", run.experiment.data, x, chain)


def check(wish: Wish) -> None:
    r"""A wish that can be met.

        num, chunk >= 1,    seed >= 0

    Args: wish: Wish.
    Returns: nothing (no unit).
    """
    tables.number("--num", wish.num, least=1, whole=True)
    tables.number("--chunk", wish.chunk, least=1, whole=True)
    tables.number("--seed", wish.seed, least=0, whole=True)


def _saved(folder: Path, x: np.ndarray) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    np.savez(folder / "samples.npz", x=x)
    return folder / "samples.npz"
