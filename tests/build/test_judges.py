"""The classifier that samples are held against: the same every time, and of use."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from diffjax import build
from diffjax.build import judges
from diffjax.evaluate import features, frechet


def prepared(digits_dir, *transforms, once=()):
    return build.data.prepare(
        {"name": "digits", "data_dir": digits_dir, "transforms": transforms}
        | {"once": once}
    )


def moments(judge, x):
    return features.moments(judge.features, [{"x": jnp.asarray(x)}])


def raw(data, source, places):
    return source.read(places)["x"].astype(np.float32) / (data.levels - 1)


@pytest.mark.slow
def test_features_of_digits_know_digits_from_noise(digits_dir):
    """The two splits are near one another, noise and shuffled pixels far from both."""
    data = prepared(digits_dir, "tokens")
    judge = judges.classifier(data, steps=40)
    assert judge.name == "digits classifier" and judge.right > 0.7
    test = moments(judge, raw(data, data.test, np.arange(297)))
    train = moments(judge, raw(data, data.train, np.arange(297)))
    rng = np.random.default_rng(0)
    noise = moments(judge, rng.uniform(size=(297, 8, 8, 1)).astype(np.float32))
    pixels = raw(data, data.test, np.arange(297)).reshape(297, 64)
    shuffled = rng.permuted(pixels, axis=1).reshape(297, 8, 8, 1)
    near = frechet.distance(test, train)
    assert near < 0.2 * frechet.distance(test, noise)
    assert near < 0.2 * frechet.distance(test, moments(judge, shuffled))
    # The same again, whatever transforms the model of the data has.
    again = judges.classifier(prepared(digits_dir, "unit", "flatten"), steps=40)
    x = jnp.asarray(raw(data, data.test, np.arange(8)))
    assert judge.features(x).shape == (8, 64)  # not the ten logits
    np.testing.assert_array_equal(judge.features(x), again.features(x))


@pytest.mark.parametrize(
    "transforms",
    [("tokens",), ("symmetric",), ("unit", "flatten"), ("symmetric", "flatten"), ()],
)
def test_images_are_the_same_whatever_a_model_makes_of_them(transforms, digits_dir):
    data = prepared(digits_dir, *transforms)
    x = build.data.read(data, data.test, np.arange(5))
    found = judges.images(data, x)
    np.testing.assert_allclose(found, raw(data, data.test, np.arange(5)), atol=2e-3)


def test_plain_data_are_those_before_the_transforms(digits_dir):
    """And after what is done once: bits stay bits."""
    data = build.data.plain(prepared(digits_dir, "flatten", once=("binarize",)))
    assert data.shape == (8, 8, 1) and data.image == (8, 8, 1)
    x = build.data.read(data, data.test, np.arange(5))
    np.testing.assert_array_equal(judges.images(data, x), x)
    assert set(np.unique(x)) == {0, 1}


@pytest.mark.parametrize(
    "change, message",
    [
        (
            {"classes": 0},
            "with labels to train a classifier on, got digits; give",
        ),
        ({"small": True}, "8 x 8 or more to train a classifier on, got 4 x 8; giv"),
    ],
)
def test_data_without_labels_or_too_small(change, message, digits_dir):
    data = prepared(digits_dir)
    if "small" in change:
        change = {
            "train": data.train._replace(read=lambda i: {"x": np.ones((1, 4, 8, 1))})
        }
    with pytest.raises(ValueError, match=message):
        judges.classifier(data._replace(**change))


def test_no_images(digits_dir):
    data = build.data.prepare({"name": "text", "length": 8, "transforms": ("tokens",)})
    with pytest.raises(ValueError, match=r"images to compare features of, got text"):
        judges.images(data, np.zeros((2, 8)))


def test_a_judge_takes_any_number_of_images(digits_dir):
    """Shapes of the network for the data sets at hand: its last width is F."""
    for side, width in ((8, 64), (28, 128), (32, 256), (64, 256)):
        data = prepared(digits_dir)._replace(image=(side, side, 1))
        net = judges._net(data)
        x = jax.ShapeDtypeStruct((2, side, side, 1), jnp.float32)
        params = jax.eval_shape(net.init, jax.random.key(0), x)
        found = jax.eval_shape(
            lambda p, x, net=net: net.apply(p, x, method="features"), params, x
        )
        assert found.shape == (2, width)
