"""The README's pictures, from the runs of `make demo`.

    .venv/bin/python experiments/pictures.py

experiments/pictures/{samples, chains, forward}.png  <-  runs/demo
"""

import argparse
import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from demo import FAMILY
from PIL import Image, ImageDraw, ImageFont

from diffjax.cli import forward, pictures, shown
from diffjax.cli.shown import Shown

HERE = Path(__file__).parent / "pictures"
GAP, LABEL = 14, 18
WHITE, GREY = (255, 255, 255), (90, 93, 100)


def main() -> None:
    """Draw all of them, small enough to be committed."""
    parser = argparse.ArgumentParser("pictures", description=__doc__)
    parser.add_argument("--runs", default="runs/demo", help="of make demo")
    home = Path(parser.parse_args().runs)
    paths = [str(home / name) for name in FAMILY if (home / name).is_dir()]
    runs = [run for run in shown.read(paths) if run.picture]
    HERE.mkdir(exist_ok=True)
    save("samples", [[tile(run) for run in row] for row in rows_of(runs, 4)])
    diffusions = [run for run in runs if run.forward is not None]
    save("chains", [chain(run) for run in diffusions])
    save("forward", [row for run in diffusions for row in noised(run)])


def rows_of(runs: Sequence[Shown], width: int) -> list[Sequence[Shown]]:
    """So many runs a row."""
    return [runs[i : i + width] for i in range(0, len(runs), width)]


def tile(run: Shown) -> Image.Image:
    """The first five by five samples of a run, with its name below."""
    assert run.picture is not None
    with Image.open(io.BytesIO(run.picture)) as picture:
        side = 5 * (pictures.SMALLEST + pictures.GAP) - pictures.GAP
        return labelled(picture.crop((0, 0, side, side)), run.name)


def chain(run: Shown) -> list[Image.Image]:
    """One sample's way from noise to data, four of each frame."""
    side = 2 * (pictures.SMALLEST + pictures.GAP) - pictures.GAP
    found = []
    for i, frame in enumerate(run.frames):
        with Image.open(io.BytesIO(frame)) as picture:
            name = short(run) if i == 0 else ""
            found.append(labelled(picture.crop((0, 0, side, side)), name))
    return found


def noised(run: Shown) -> list[list[Image.Image]]:
    """Test digits at each t, and the matrices below if there are any."""
    assert run.forward is not None
    found = run.forward
    labels = [f"t = {t}" if t else short(run) for t in found.ts]
    grids = [Image.fromarray(np.squeeze(pictures.grid(each))) for each in found.tiles]
    rows = [[labelled(*each) for each in zip(grids, labels, strict=True)]]
    if found.matrices.size:
        side = grids[0].width
        heats = [Image.fromarray(forward.heat(each)) for each in found.matrices]
        large = [each.resize((side, side), Image.Resampling.NEAREST) for each in heats]
        rows.append([framed(each) for each in large])
    return rows


def short(run: Shown) -> str:
    """A name that fits below a picture."""
    return run.name.removeprefix("d3pm_").removesuffix("_digits")


def labelled(picture: Image.Image, name: str) -> Image.Image:
    """A picture with a line of text below it."""
    font = ImageFont.load_default(13)
    width = max(picture.width, int(font.getlength(name)) + 1)
    canvas = Image.new("RGB", (width, picture.height + LABEL), WHITE)
    canvas.paste(picture, (0, 0))
    ImageDraw.Draw(canvas).text((0, picture.height + 2), name, fill=GREY, font=font)
    return canvas


def framed(picture: Image.Image) -> Image.Image:
    """A picture with a thin line around it."""
    corner = (0, 0, picture.width - 1, picture.height - 1)
    ImageDraw.Draw(picture).rectangle(corner, outline=(200, 200, 200))
    return picture


def save(name: str, rows: Sequence[Sequence[Image.Image]]) -> None:
    """Rows of pictures, of one width each column, as one PNG of few colours."""
    widths = [
        max(row[i].width for row in rows if i < len(row))
        for i in range(max(map(len, rows)))
    ]
    heights = [max(each.height for each in row) for row in rows]
    size = sum(widths) + GAP * (len(widths) - 1), sum(heights) + GAP * (len(rows) - 1)
    canvas = Image.new("RGB", size, WHITE)
    for j, row in enumerate(rows):
        for i, each in enumerate(row):
            left, top = (
                sum(part) + GAP * len(part) for part in (widths[:i], heights[:j])
            )
            canvas.paste(each, (left, top))
    path = HERE / f"{name}.png"
    canvas.quantize(64).save(path, optimize=True)
    kilobytes = np.ceil(path.stat().st_size / 1000)
    print(f"wrote {path}, {size[0]} x {size[1]}, {kilobytes:.0f} kB")


if __name__ == "__main__":
    main()
