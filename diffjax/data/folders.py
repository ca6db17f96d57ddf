"""One's own image files, as they are met: of any size, depth, mode and orientation."""

from pathlib import Path
from typing import Any

import numpy as np

from diffjax.data.dataset import Batch, DataSet, Source, of_sources, stack
from diffjax.data.images import Resize

SUFFIXES = (".png", ".jpg", ".jpeg")
NAMED = 5
"""So many files that cannot be read are named at once."""


def folder(path: str, *, resize: Resize, held_out: int = 10) -> DataSet:
    r"""One's own PNG and JPEG files, in any number of folders below one.

        x = resize(rgb(file)),    label = number of the file's folder in their order

    Files below path/train and path/test are these splits; where there is no such pair,
    every `held_out`-th file, in the order of their names, is for the test, of fewer
    files the last. Hidden files are passed over: archives made on a Mac have one, not
    an image, beside each image.

    Args: path: folder.  resize: `fit(size)`, `squash(size)` or `center(size)`.
        held_out: one in so many files is kept for the test.
    Returns: DataSet of levels [size, size, 3].
    """
    if held_out < 2:
        raise ValueError(f"expected held_out >= 2, got {held_out}")
    root = Path(path).expanduser()
    splits = _splits(root, held_out)
    folders = sorted({file.parent.name for files in splits for file in files})
    labels = {name: np.int32(i) for i, name in enumerate(folders)}

    def source(files: list[Path]) -> Source:
        def read(indices: np.ndarray) -> Batch:
            wanted = [files[i] for i in indices]
            pixels = zip(_decoded(wanted), wanted, strict=True)
            return stack(
                [{"x": resize(x), "label": labels[f.parent.name]} for x, f in pixels]
            )

        return Source(len(files), read)

    both = map(source, splits)
    return of_sources(root.name, *both, levels=256, classes=len(folders))


def rgb(image: Any) -> np.ndarray:
    r"""An opened image as a viewer shows it.

        upright by its EXIF tag, on white where it is transparent, 16 bits as 8

    Args: image: of Pillow.
    Returns: uint8 [H, W, 3] (levels).
    """
    from PIL import Image, ImageOps

    if image.mode.startswith("I;16"):  # Pillow itself would saturate them
        image = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    image = ImageOps.exif_transpose(image)
    if image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return np.asarray(image.convert("RGB"))


def _splits(root: Path, held_out: int) -> list[list[Path]]:
    if not root.is_dir():
        raise FileNotFoundError(
            f"expected a folder of PNG or JPEG files, got {root}, which is none; give "
            "the folder that they are in"
        )
    names = sorted(
        f
        for f in root.rglob("*")
        if f.suffix.lower() in SUFFIXES and not f.name.startswith(".")
    )
    if len(names) < 2:
        raise FileNotFoundError(
            f"expected PNG or JPEG files below {root}, two at least, got "
            f"{len(names) or 'none'}; give their folder"
        )
    given = [[f for f in names if root / s in f.parents] for s in ("train", "test")]
    if all(given):
        return given
    last = min(held_out, len(names)) - 1
    kept = [f for i, f in enumerate(names) if i % held_out != last]
    return [kept, names[last::held_out]]


def _decoded(files: list[Path]) -> list[np.ndarray]:
    from PIL import Image

    images, broken = [], []
    for file in files:
        try:
            with Image.open(file) as image:
                images.append(rgb(image))
        except (OSError, SyntaxError):
            broken.append(str(file))
    if broken:
        more = f" and {len(broken) - NAMED} more" if len(broken) > NAMED else ""
        raise ValueError(
            f"expected PNG or JPEG files, got {', '.join(broken[:NAMED])}{more}; "
            "remove or replace what cannot be read"
        )
    return images
