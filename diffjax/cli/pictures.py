"""Samples as files: PNG grids, GIFs of a chain, text, npz."""

import io
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from diffjax.build import data
from diffjax.build.data import Prepared

SMALLEST = 32
"""Pixels: smaller images are enlarged, each pixel a square."""
GAP = 2
MASK = (217, 102, 43)
"""Of a pixel that is none of the levels: orange, as nothing else is."""
POINTS = 160
"""Side of the picture of points in a plane, which shows [-3, 3]^2."""


def save(
    folder: Path, name: str, shown: Prepared, x: np.ndarray, chain: np.ndarray | None
) -> list[Path]:
    r"""Write samples as what they are: images, text, or numbers alone.

        folder/name.{png, txt}, folder/name.gif of the chain

    Args: folder: made if it is not there.  name: without a suffix.  shown: of which
        data they are.  x: [N, ...].  chain: [N, frames, ...], or None.
    Returns: the paths written (no unit).
    """
    folder.mkdir(parents=True, exist_ok=True)
    strings = data.written(shown, x)
    if strings is not None:
        return [_save_text(folder / f"{name}.txt", shown, strings, chain)]
    tiles = pictures(shown, x)
    if tiles is None:
        return []
    paths = [save_png(folder / f"{name}.png", tiles)]
    if chain is not None:
        drawn = frames(shown, [chain[:, i] for i in range(chain.shape[1])])
        paths.append(save_gif(folder / f"{name}.gif", drawn))
    return paths


def pictures(shown: Prepared, x: np.ndarray) -> np.ndarray | None:
    r"""Examples as images.

        255 (x - low) / (high - low); a mask in a colour; points in a plane as one
        histogram

    Args: shown: Prepared.  x: [N, ...].
    Returns: uint8 [N, H, W, 1 or 3], or None if they cannot be seen.
    """
    if shown.levels == 0 and shown.shape == (2,):
        return _histogram(x)
    if shown.image is None:
        return None
    x = x.reshape(-1, *shown.image)
    tiles = data.levels(shown, x)
    tiles = tiles if tiles.shape[-1] == 3 else tiles[..., :1]
    masked = np.any(x >= shown.levels, axis=-1, keepdims=True)
    if not shown.whole or not masked.any():
        return tiles
    return np.where(masked, np.array(MASK, np.uint8), tiles)


def frames(shown: Prepared, xs: Sequence[np.ndarray]) -> list[np.ndarray]:
    r"""Examples at several times, all in colour if some are.

        pictures(x) for each x

    Args: shown: Prepared.  xs: [N, ...] each.
    Returns: uint8 [N, H, W, 1 or 3] each, none if they cannot be seen.
    """
    tiles = [pictures(shown, x) for x in xs]
    drawn = [each for each in tiles if each is not None]
    channels = max((each.shape[-1] for each in drawn), default=1)
    return [np.broadcast_to(each, (*each.shape[:-1], channels)) for each in drawn]


def grid(tiles: np.ndarray) -> np.ndarray:
    r"""Many images as one, row by row.

        ceil(sqrt N) columns

    Args: tiles: uint8 [N, H, W, C].
    Returns: uint8 [H', W', C], white between them (levels).
    """
    num, height, width, channels = tiles.shape
    scale = max(1, SMALLEST // max(height, width))
    tiles = tiles.repeat(scale, 1).repeat(scale, 2)
    columns = math.ceil(math.sqrt(num))
    rows = math.ceil(num / columns)
    step = np.array(tiles.shape[1:3]) + GAP
    size = np.array([rows, columns]) * step - GAP
    canvas = np.full((*size, channels), 255, np.uint8)
    for i, tile in enumerate(tiles):
        top, left = np.array(divmod(i, columns)) * step
        canvas[top : top + tile.shape[0], left : left + tile.shape[1]] = tile
    return canvas


def png(tiles: np.ndarray) -> bytes:
    r"""A grid of images as a file in memory.

        PNG(grid(tiles))

    Args: tiles: uint8 [N, H, W, C].
    Returns: the file (no unit).
    """
    file = io.BytesIO()
    _image(tiles).save(file, "PNG")
    return file.getvalue()


def save_png(path: Path, tiles: np.ndarray) -> Path:
    r"""Write a grid of images.

        PNG(grid(tiles))

    Args: path: of the file.  tiles: uint8 [N, H, W, C].
    Returns: the path (no unit).
    """
    _image(tiles).save(path)
    return path


def save_gif(path: Path, frames: Sequence[np.ndarray]) -> Path:
    r"""Write a moving grid; it rests at the end, then starts again.

        GIF(grid(frame_1), grid(frame_2), ...)

    Args: path: of the file.  frames: uint8 [N, H, W, C] each.
    Returns: the path (no unit).
    """
    first, *rest = map(_image, frames)
    durations = [100] * len(rest) + [2000]
    first.save(path, save_all=True, append_images=rest, duration=durations, loop=0)
    return path


def _save_text(
    path: Path, shown: Prepared, strings: list[str], chain: np.ndarray | None
) -> Path:
    lines = [*strings]
    if chain is not None:
        lines += ["", "How the first one came to be:"]
        lines += data.written(shown, chain[0]) or []
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def _image(tiles: np.ndarray):
    from PIL import Image

    canvas = grid(tiles)
    return Image.fromarray(canvas if canvas.shape[-1] == 3 else canvas[..., 0])


def _histogram(x: np.ndarray) -> np.ndarray:
    edges = np.linspace(-3, 3, POINTS + 1)
    counts, _, _ = np.histogram2d(-x[:, 1], x[:, 0], bins=(edges, edges))
    shade = np.sqrt(counts / max(counts.max(), 1))
    return np.round(255 * (1 - shade)).astype(np.uint8)[None, ..., None]
