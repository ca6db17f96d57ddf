"""Patches, positions, and the published size."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from diffjax.nets import dit, published
from tests.nets.tiny import KEY, NETS, T, count, images, jit

NET, INPUTS = NETS["DiT"]


def test_patchify_cuts_in_raster_order_and_unpatchify_joins():
    x = images(4, 6, 3)
    tokens = dit.patchify(x, 2)
    assert tokens.shape == (7, 6, 12)
    for r, c in np.ndindex(2, 3):
        patch = x[:, 2 * r : 2 * r + 2, 2 * c : 2 * c + 2]
        np.testing.assert_array_equal(tokens[:, 3 * r + c], patch.reshape(7, -1))
    np.testing.assert_array_equal(dit.unpatchify(tokens, 2, 2), x)


def test_positions_are_of_the_row_and_the_column():
    table = np.asarray(dit.positions(3, 4, 8)).reshape(3, 4, 8)
    w = np.asarray([1, 1e-2])
    for r, c in np.ndindex(3, 4):
        wanted = [np.sin(r * w), np.cos(r * w), np.sin(c * w), np.cos(c * w)]
        np.testing.assert_allclose(table[r, c], np.concatenate(wanted), atol=1e-6)
    with pytest.raises(ValueError, match="divisible by 4, got 6"):
        dit.positions(3, 4, 6)


def test_it_starts_at_0_in_the_dtype_of_x():
    y, _ = jit(NET.clone(depth=1).init_with_output)(KEY, *INPUTS)
    np.testing.assert_array_equal(y, np.zeros((7, 4, 6, 3)))
    half = NET.clone(dtype=jnp.bfloat16, channels=6)
    like = jax.eval_shape(half.init_with_output, KEY, *INPUTS)[0]
    assert like.shape == (7, 4, 6, 6) and like.dtype == jnp.float32


def test_xl_2_has_the_parameters_of_the_published_code():
    """675,129,632 there, of which 256 x 1152 are the fixed positions."""
    x = jnp.zeros((1, 32, 32, 4))
    net = published.dit_xl_2()
    assert count(net, x, T[:1], T[:1]) == 675_129_632 - 256 * 1152
    out = jax.eval_shape(net.init_with_output, KEY, x, T[:1], T[:1])[0]
    assert out.shape == (1, 32, 32, 8)


def test_bad_input():
    with pytest.raises(ValueError, match="divisible by the patch, 2, got"):
        jax.eval_shape(NET.init, KEY, images(4, 5, 3), T)
    with pytest.raises(ValueError, match=r"expected images \[B, H, W, C\]"):
        jax.eval_shape(NET.init, KEY, images(4, 6), T)
    with pytest.raises(ValueError, match="a label for a network of 10 classes"):
        jax.eval_shape(NET.clone(num_classes=10).init, KEY, *INPUTS)
