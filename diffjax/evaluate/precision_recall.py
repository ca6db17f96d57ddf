"""How good samples are, and how much of the data they cover: two numbers, not one."""

from typing import NamedTuple

import numpy as np

from diffjax.evaluate.features import Rows, pair

CHUNK = 1024
"""Rows whose distances are in memory at once."""


class Score(NamedTuple):
    """Of samples against data.

    precision: share of the samples that are among the data, 0..1.
    recall: share of the data that are among the samples, 0..1.
    """

    precision: float
    recall: float


def score(data: Rows, samples: Rows, *, neighbours: int = 3) -> Score:
    r"""Precision and recall of samples.

        precision = share of samples inside the manifold of the data
        recall = share of the data inside the manifold of the samples

    Kynkaanniemi et al. 2019 (arXiv:1904.06991), eqs. 1-2. Both sets of the same size,
    or the larger one's manifold is the finer. In float64, on the host.

    Args: data: [N, F].  samples: [M, F].  neighbours: k >= 1, less than N and M.
    Returns: Score.
    """
    if neighbours < 1:
        raise ValueError(f"expected neighbours >= 1, got {neighbours}; 3 is usual")
    data, samples = pair(data, samples, least=neighbours + 1)
    return Score(
        precision=float(inside(data, samples, neighbours=neighbours).mean()),
        recall=float(inside(samples, data, neighbours=neighbours).mean()),
    )


def inside(manifold: np.ndarray, x: np.ndarray, *, neighbours: int) -> np.ndarray:
    r"""Which points are in the union of balls around a set.

        exists i:  |x - m_i| <= |m_i - NN_k(m_i)|

    A point's own copy in the set is not among its neighbours.

    Args: manifold: [N, F] float64, N > neighbours.  x: [M, F] float64.  neighbours: k.
    Returns: boolean [M] (no unit).
    """
    centre = manifold.mean(0)  # distances are differences of norms: keep those small
    manifold, x = manifold - centre, x - centre
    radii = np.concatenate(
        [
            np.partition(_distances(part, manifold), neighbours, axis=1)[:, neighbours]
            for part in _parts(manifold)
        ]
    )
    return np.concatenate(
        [(_distances(part, manifold) <= radii).any(1) for part in _parts(x)]
    )


def _parts(x: np.ndarray) -> list[np.ndarray]:
    return [x[i : i + CHUNK] for i in range(0, len(x), CHUNK)]


def _distances(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    squares = (x**2).sum(1)[:, None] + (y**2).sum(1) - 2 * x @ y.T
    return np.maximum(squares, 0)
