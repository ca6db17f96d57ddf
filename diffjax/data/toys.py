"""Densities in the plane, as functions of a NumPy generator; about unit variance."""

from collections.abc import Callable

import numpy as np

from diffjax.data.dataset import DataSet, of_arrays, of_sources

Draw = Callable[[np.random.Generator, int], np.ndarray]
"""(rng, num) -> float32 [num, 2]."""


def moons(rng: np.random.Generator, num: int) -> np.ndarray:
    r"""Two half circles, one reaching into the other.

        x = s (cos a - 1/2, sin a - 1/4) + 0.1 eps,    a ~ U[0, pi],    s = +-1

    Args: rng: generator.  num: points.
    Returns: float32 [num, 2] (data units).
    """
    angle, sign = rng.uniform(0, np.pi, num), rng.choice([-1, 1], num)
    x = sign * np.stack([np.cos(angle) - 0.5, np.sin(angle) - 0.25])
    return _noisy(rng, x.T, 0.1)


def circles(rng: np.random.Generator, num: int) -> np.ndarray:
    r"""Two circles around one point.

        x = r (cos a, sin a) + 0.08 eps,    a ~ U[0, 2 pi],    r in {3/4, 3/2}

    Args: rng: generator.  num: points.
    Returns: float32 [num, 2] (data units).
    """
    angle, radius = rng.uniform(0, 2 * np.pi, num), rng.choice([0.75, 1.5], num)
    return _noisy(rng, _polar(radius, angle), 0.08)


def spirals(rng: np.random.Generator, num: int) -> np.ndarray:
    r"""Two arms that wind around each other.

        x = +-r (cos 3 pi r, sin 3 pi r) 2 + 0.05 eps,    r = sqrt u,    u ~ U[0, 1]

    Args: rng: generator.  num: points.
    Returns: float32 [num, 2] (data units).
    """
    radius, sign = np.sqrt(rng.uniform(size=num)), rng.choice([-2, 2], num)
    return _noisy(rng, _polar(sign * radius, 3 * np.pi * radius), 0.05)


def swissroll(rng: np.random.Generator, num: int) -> np.ndarray:
    r"""One arm that winds outwards.

        x = a / 7 (cos a, sin a) + 0.05 eps,    a ~ U[3 pi / 2, 9 pi / 2]

    Args: rng: generator.  num: points.
    Returns: float32 [num, 2] (data units).
    """
    angle = rng.uniform(1.5 * np.pi, 4.5 * np.pi, num)
    return _noisy(rng, _polar(angle / 7, angle), 0.05)


def checkerboard(rng: np.random.Generator, num: int) -> np.ndarray:
    r"""Uniform on the eight black squares of a 4 x 4 board.

        p(x) = 1/8 where floor(x_1) + floor(x_2) is even, on [-2, 2)^2

    Args: rng: generator.  num: points.
    Returns: float32 [num, 2] (data units).
    """
    column = rng.integers(-2, 2, num)
    row = 2 * rng.integers(-1, 1, num) + column % 2
    return (np.stack([column, row], -1) + rng.random((num, 2))).astype(np.float32)


def gaussians(rng: np.random.Generator, num: int) -> np.ndarray:
    r"""Eight Gaussians on a circle.

        x = sqrt 2 (cos a, sin a) + 0.1 eps,    a in {0, pi / 4, ..., 7 pi / 4}

    Args: rng: generator.  num: points.
    Returns: float32 [num, 2] (data units).
    """
    angle = rng.integers(8, size=num) * np.pi / 4
    return _noisy(rng, _polar(np.full(num, np.sqrt(2)), angle), 0.1)


def pinwheel(rng: np.random.Generator, num: int) -> np.ndarray:
    r"""Five blades, bent.

        x = r (cos a, sin a),    a = 2 pi k / 5 + 0.25 exp r + theta,    r = 1 + eps / 4

    where k is one of the five and theta ~ N(0, 0.1^2). Johnson et al. 2016
    (arXiv:1603.06277) show such data.

    Args: rng: generator.  num: points.
    Returns: float32 [num, 2] (data units).
    """
    radius = 1 + 0.25 * rng.standard_normal(num)
    blade = 2 * np.pi / 5 * rng.integers(5, size=num)
    angle = blade + 0.25 * np.exp(radius) + 0.1 * rng.standard_normal(num)
    return _polar(radius, angle).astype(np.float32)


def dataset(draw: Draw, *, num: int = 50_000, rng: int = 0) -> DataSet:
    r"""Points drawn once, as a data set.

        x_1, ..., x_num ~ draw;    as many again / 5 for the test

    Args: draw: one of the densities.  num: points to train on.  rng: a seed.
    Returns: DataSet of real numbers [2].
    """
    if num < 5:
        raise ValueError(f"expected at least 5 points, got {num}")
    points = draw(np.random.default_rng(rng), num + num // 5)
    train, test = of_arrays({"x": points[:num]}), of_arrays({"x": points[num:]})
    return of_sources(draw.__name__, train, test, levels=0)


def _polar(radius: np.ndarray, angle: np.ndarray) -> np.ndarray:
    return np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=-1)


def _noisy(rng: np.random.Generator, x: np.ndarray, sigma: float) -> np.ndarray:
    return (x + sigma * rng.standard_normal(x.shape)).astype(np.float32)
