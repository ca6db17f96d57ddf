"""The forward process of a run, to look at: data getting noisy, and the law of it."""

import zipfile
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from diffjax import build
from diffjax.cli import pictures

FRAMES = 6
"""Times that are shown, 0 and T among them."""
EXAMPLES = 4
MOST = 256
"""Categories of a matrix that is kept; of more, nothing could be seen."""
NAME = "forward.npz"


class Forward(NamedTuple):
    """What a forward process does.

    ts: [F] integers, 0..T.
    tiles: uint8 [F, N, H, W, C], test examples at each t; [F, 0, ...] of no images.
    pieces: [F] text, the first test example at each t; [0] of no text.
    matrices: [F, K, K], the law of x_t in each row of x_0; [0, 0, 0] of real values.
    """

    ts: np.ndarray
    tiles: np.ndarray
    pieces: np.ndarray
    matrices: np.ndarray


def save(directory: Path, run: Any, seed: int) -> list[Path]:
    r"""Draw the forward process of a run, if it has one.

        directory/forward.npz  <-  x_t ~ q(x_t | x_0),    Q_1 Q_2 ... Q_t

    Args: directory: of the run.  run: Run.  seed: of the noise.
    Returns: the paths written (no unit).
    """
    process, data = run.experiment.model.process, run.experiment.data
    if process is None:
        return []
    x_0 = jnp.asarray(build.data.first(data, batch_size=EXAMPLES)["x"])
    keys = jax.random.split(jax.random.key(seed), EXAMPLES)
    ts = np.unique(np.linspace(0, process.T, FRAMES).round().astype(int))
    diffuse = jax.jit(jax.vmap(process.diffuse, in_axes=(0, 0, None)))
    frames = [np.asarray(diffuse(keys, x_0, jnp.asarray(t)) if t else x_0) for t in ts]
    found = Forward(ts, *_seen(data, frames), _matrices(process, ts))
    path = directory / NAME
    np.savez_compressed(path, **found._asdict())
    return [path]


def read(directory: Path) -> Forward | None:
    r"""What `save` wrote, if it was here.

        Forward  <-  directory/forward.npz

    Args: directory: of the run.
    Returns: Forward, or None.
    """
    path = directory / NAME
    if not path.is_file():
        return None
    try:
        with np.load(path) as found:
            return Forward(**{name: found[name] for name in Forward._fields})
    except (OSError, KeyError, ValueError, zipfile.BadZipFile) as error:
        raise ValueError(
            f"expected a forward process in {path}, got: {error}; run diffjax evaluate "
            f"{directory} again"
        ) from error


def heat(matrix: np.ndarray) -> np.ndarray:
    r"""Probabilities as a picture.

        white 0, blue 1, in between by the root, which shows small ones

    Args: matrix: [K, K] probabilities.
    Returns: uint8 [K, K, 3] (levels).
    """
    ends = np.array([[255, 255, 255], [20, 72, 150]])
    shade = np.sqrt(np.clip(matrix, 0, 1))[..., None]
    return np.round(ends[0] + shade * (ends[1] - ends[0])).astype(np.uint8)


def _seen(data: Any, frames: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    written = [build.data.written(data, frame[:1]) for frame in frames]
    pieces = [found[0] for found in written if found]
    drawn = [] if pieces else pictures.frames(data, frames)
    none = np.zeros((len(frames), 0, 0, 0, 1), np.uint8)
    return np.stack(drawn) if drawn else none, np.array(pieces, str)


def _matrices(process: Any, ts: np.ndarray) -> np.ndarray:
    none = np.zeros((0, 0, 0), np.float32)
    if process.matrix is None:
        return none
    matrix = jax.jit(process.matrix)
    if jax.eval_shape(matrix, jnp.asarray(0)).shape[0] > MOST:
        return none
    return np.stack([np.asarray(matrix(jnp.asarray(t))) for t in ts])
