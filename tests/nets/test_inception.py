"""Inception's sizes, and the pools that make it the variant of the FID."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from diffjax.nets import inception
from tests.nets.tiny import KEY

NET = inception.InceptionV3()
X = jax.ShapeDtypeStruct((2, 299, 299, 3), jnp.float32)
PUBLISHED = {
    "Conv2d_1a_3x3": (149, 149, 32),
    "Conv2d_2a_3x3": (147, 147, 32),
    "Conv2d_2b_3x3": (147, 147, 64),
    "Conv2d_3b_1x1": (73, 73, 80),
    "Conv2d_4a_3x3": (71, 71, 192),
    "Mixed_5b": (35, 35, 256),
    "Mixed_5d": (35, 35, 288),
    "Mixed_6a": (17, 17, 768),
    "Mixed_6e": (17, 17, 768),
    "Mixed_7a": (8, 8, 1280),
    "Mixed_7c": (8, 8, 2048),
}
"""Sizes of the paper's table 1, and of torchvision's comments."""


def total(tree):
    return sum(leaf.size for leaf in jax.tree.leaves(tree))


@pytest.fixture(scope="module")
def like():
    return jax.eval_shape(NET.init, KEY, X)


def test_parameters_and_statistics(like):
    """torchvision's 27,161,264 less its classifiers, of which 17,216 are norm pairs."""
    assert like.keys() == {"params", "batch_stats"}
    assert total(like["params"]) == 21_785_568
    assert total(like["batch_stats"]) == 34_432


def test_sizes_at_299(like):
    seeing = functools.partial(NET.apply, capture_intermediates=True)
    features, found = jax.eval_shape(seeing, like, X)
    assert features.shape == (2, 2048)
    for name, size in PUBLISHED.items():
        assert found["intermediates"][name]["__call__"][0].shape == (2, *size), name


def test_the_mean_counts_no_padding():
    x = jnp.asarray(np.arange(1.0, 13)).reshape(1, 3, 4, 1)
    found = inception.average(x)[0, :, :, 0]
    # 1  2  3  4
    # 5  6  7  8
    # 9 10 11 12
    wanted = [[3.5, 4.0, 5.0, 5.5], [5.5, 6.0, 7.0, 7.5], [7.5, 8.0, 9.0, 9.5]]
    np.testing.assert_allclose(found, wanted, rtol=1e-6)


def test_the_maximum_counts_no_padding():
    """Negative numbers too: the padding is not 0."""
    x = -jnp.asarray(np.arange(1.0, 13)).reshape(1, 3, 4, 1)
    found = inception.maximum(x)[0, :, :, 0]
    wanted = [[-1, -1, -2, -3], [-1, -1, -2, -3], [-5, -5, -6, -7]]
    np.testing.assert_array_equal(found, wanted)


def test_halving_stays_within_the_image():
    x = jnp.asarray(np.arange(30.0)).reshape(1, 5, 6, 1)
    found = inception.halved(x)[0, :, :, 0]
    np.testing.assert_array_equal(found, [[14, 16], [26, 28]])


def test_precision_and_dtype_reach_every_layer(like):
    half = jax.eval_shape(NET.clone(dtype=jnp.bfloat16).apply, like, X)
    assert half.dtype == jnp.bfloat16
    exact = NET.clone(precision="highest")
    program = str(jax.make_jaxpr(exact.apply)(like, X))
    assert program.count("conv_general_dilated[") == 94
    assert program.count("precision=(Precision.HIGHEST, Precision.HIGHEST)") == 94


@pytest.mark.parametrize("shape", [(2, 74, 299, 3), (2, 299, 299, 1), (299, 299, 3)])
def test_bad_input(shape):
    match = r"\[B, H, W, 3\] of 75 x 75 or more, got .*prepare"
    with pytest.raises(ValueError, match=match):
        jax.eval_shape(NET.init, KEY, jax.ShapeDtypeStruct(shape, jnp.float32))
