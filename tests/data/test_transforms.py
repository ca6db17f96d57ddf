"""Transforms against closed forms and counts."""

import numpy as np
import pytest

from diffjax.data import transforms

LEVELS = {"x": np.arange(17, dtype=np.uint8), "label": np.int32(3)}
IMAGE = {"x": np.arange(24, dtype=np.uint8).reshape(2, 4, 3)}


def rng():
    return np.random.default_rng(0)


def test_scales():
    """np.linspace, end points exact."""
    symmetric = transforms.symmetric(17)(rng(), LEVELS)
    assert symmetric["label"] == 3
    np.testing.assert_allclose(symmetric["x"], np.linspace(-1, 1, 17), atol=1e-7)
    assert symmetric["x"].dtype == np.float32 and symmetric["x"][-1] == 1
    unit = transforms.unit(17)(rng(), LEVELS)["x"]
    np.testing.assert_allclose(unit, np.linspace(0, 1, 17), atol=1e-7)


def test_centred_levels_are_the_middles_of_equal_bins():
    centred = transforms.centred(17)(rng(), LEVELS)["x"]
    edges = np.linspace(-1, 1, 18)
    np.testing.assert_allclose(centred, (edges[1:] + edges[:-1]) / 2, atol=1e-7)


def test_dequantize_keeps_the_level():
    x = {"x": np.repeat(np.arange(256), 2000)}
    filled = transforms.dequantize(256)(rng(), x)["x"]
    assert filled.dtype == np.float32 and filled.min() >= 0 and filled.max() < 1
    np.testing.assert_array_equal(np.floor(filled * 256), x["x"])
    inside = filled * 256 - x["x"]
    np.testing.assert_allclose(
        [inside.mean(), inside.std()], [0.5, 12**-0.5], atol=2e-3
    )


def test_dequantize_at_the_end_of_the_range():
    """The greatest u would round to the next level, or to 1."""

    class Last:
        def random(self, shape, dtype):
            return np.full(shape, 1 - np.finfo(dtype).epsneg, dtype)

    filled = transforms.dequantize(256)(Last(), {"x": np.array([255])})["x"]
    assert filled[0] < 1


def test_flip_is_a_fair_mirror():
    generator = rng()
    flipped = [transforms.flip(generator, IMAGE)["x"] for _ in range(400)]
    turned = [np.array_equal(x, IMAGE["x"][:, ::-1]) for x in flipped]
    kept = [np.array_equal(x, IMAGE["x"]) for x in flipped]
    assert all(np.logical_xor(turned, kept))
    assert abs(np.mean(turned) - 0.5) < 4 * 0.5 / 20


def test_crop_reaches_every_corner():
    generator = rng()
    corners = {
        int(transforms.crop(2)(generator, IMAGE)["x"][0, 0, 0]) for _ in range(99)
    }
    assert corners == {0, 3, 6}
    assert transforms.crop(2)(generator, IMAGE)["x"].shape == (2, 2, 3)


def test_binarize():
    x = transforms.binarize(17)(rng(), LEVELS)["x"]
    np.testing.assert_array_equal(x, [0] * 9 + [1] * 8)  # 8 / 16 is not above a half
    grey = {"x": np.repeat(np.arange(17), 4000)}
    drawn = transforms.binarize_dynamic(17)(rng(), grey)["x"].reshape(17, -1)
    assert set(np.unique(drawn)) == {0, 1} and drawn.dtype == np.float32
    np.testing.assert_allclose(drawn.mean(1), np.arange(17) / 16, atol=4 * 0.5 / 63)
    assert not drawn[0].any() and drawn[16].all()


def test_tokens_and_flatten():
    assert transforms.tokens(rng(), LEVELS)["x"].dtype == np.int32
    np.testing.assert_array_equal(transforms.flatten(rng(), IMAGE)["x"], np.arange(24))


@pytest.mark.parametrize(
    "transform, message",
    [
        (transforms.flip, "an image .* to flip, got .17."),
        (transforms.crop(3), "at least 3 x 3 to crop, got .17."),
    ],
)
def test_what_is_no_image(transform, message):
    with pytest.raises(ValueError, match=message):
        transform(rng(), LEVELS)


@pytest.mark.parametrize("name", ["symmetric", "unit", "dequantize", "binarize"])
def test_real_data_have_no_levels(name):
    with pytest.raises(ValueError, match="levels >= 2, got 0; real-valued data"):
        getattr(transforms, name)(0)
