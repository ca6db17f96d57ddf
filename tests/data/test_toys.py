"""Toy densities against what their formulas say of their points."""

import numpy as np
import pytest

from diffjax.data import toys

N = 20_000
ALL = [
    toys.moons,
    toys.circles,
    toys.spirals,
    toys.swissroll,
    toys.checkerboard,
    toys.gaussians,
    toys.pinwheel,
]


def points(draw):
    return draw(np.random.default_rng(0), N)


@pytest.mark.parametrize("draw", ALL)
def test_of_about_unit_variance_and_a_function_of_the_generator(draw):
    x = points(draw)
    assert x.shape == (N, 2) and x.dtype == np.float32
    np.testing.assert_array_equal(x, points(draw))
    assert (np.abs(x.mean(0)) < 0.3).all() and (
        (0.4 < x.std(0)) & (x.std(0) < 1.6)
    ).all()


def test_checkerboard_is_uniform_on_its_black_squares():
    x = points(toys.checkerboard)
    column, row = np.floor(x).astype(int).T
    assert not ((column + row) % 2).any()
    assert x.min() >= -2 and x.max() <= 2
    counts = np.unique(np.stack([column, row]), axis=1, return_counts=True)[1]
    assert len(counts) == 8
    np.testing.assert_allclose(counts / N, 1 / 8, atol=4 * np.sqrt(7 / 64 / N))


def test_gaussians_and_circles():
    """Distances from the nearest center are Rayleigh, mean 0.1 sqrt(pi / 2)."""
    angle = np.arange(8) * np.pi / 4
    centers = np.sqrt(2) * np.stack([np.cos(angle), np.sin(angle)], -1)
    x = points(toys.gaussians)
    distance = np.linalg.norm(x[:, None] - centers[None], axis=-1).min(1)
    np.testing.assert_allclose(distance.mean(), 0.1 * np.sqrt(np.pi / 2), rtol=0.02)
    radius = np.linalg.norm(points(toys.circles), axis=-1)
    inner = radius < 1.125
    np.testing.assert_allclose(inner.mean(), 0.5, atol=0.015)
    np.testing.assert_allclose(radius[inner].std(), 0.08, rtol=0.03)


def test_moons_mirror_each_other_and_stay_apart():
    x = points(toys.moons)
    circle = np.linalg.norm(x + [0.5, 0.25], axis=-1)
    other = np.linalg.norm(x - [0.5, 0.25], axis=-1)
    off = np.minimum(np.abs(circle - 1), np.abs(other - 1))
    assert np.quantile(off, 0.99) < 0.3
    np.testing.assert_allclose(x.mean(0), 0, atol=0.03)


def test_spirals_lie_on_their_arms():
    """The angle of a point follows from its radius, up to the arm."""
    x = points(toys.spirals)
    radius = np.linalg.norm(x, axis=-1)
    far = radius > 1
    angle = np.arctan2(x[far, 1], x[far, 0]) - 3 * np.pi * radius[far] / 2
    off = np.abs(np.sin(angle)) * radius[far]  # sin is blind to the half turn
    assert np.median(off) < 0.35  # any other winding has 0.9


def test_dataset():
    data = toys.dataset(toys.moons, num=100)
    assert data.name == "moons" and data.levels == 0 and data.shape == (2,)
    assert (data.train.num, data.test.num) == (100, 20)
    both = [s.read(np.arange(s.num))["x"] for s in (data.train, data.test)]
    assert len(np.unique(np.concatenate(both), axis=0)) == 120
    with pytest.raises(ValueError, match="at least 5 points, got 1"):
        toys.dataset(toys.moons, num=1)
