"""Dense networks against numpy, and what they are told."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from diffjax.nets import mlp
from tests.nets.tiny import KEY, NETS, T, images, jit, weights

NET, INPUTS = NETS["ResidualMLP"]


def test_mlp_against_numpy():
    net = mlp.MLP(shape=(3, 2), widths=(4, 5), activation=jnp.tanh)
    x = images(2, 3)
    params = weights(net, x)
    p = jax.tree.map(np.asarray, params["params"])
    h = np.asarray(x).reshape(7, 6)
    for name in ("hidden_0", "hidden_1"):
        h = np.tanh(h @ p[name]["dense"]["kernel"] + p[name]["dense"]["bias"])
    wanted = (h @ p["out"]["kernel"] + p["out"]["bias"]).reshape(7, 3, 2)
    np.testing.assert_allclose(net.apply(params, x), wanted, rtol=1e-5, atol=1e-6)


def test_dropout_keeps_the_mean_and_drops_the_share():
    net = mlp.MLP(shape=(1000,), widths=(1000,), activation=lambda h: h, dropout=0.25)
    x = jnp.ones((4, 1))
    params = jax.tree.map(jnp.zeros_like, weights(net, x))
    params["params"]["hidden_0"]["dense"]["bias"] = jnp.ones(1000)
    params["params"]["out"]["kernel"] = jnp.eye(1000)
    y = net.apply(params, x, rng=KEY)
    np.testing.assert_allclose(np.unique(y), [0, 1 / 0.75], rtol=1e-6)
    np.testing.assert_allclose(jnp.mean(y == 0), 0.25, atol=0.03)
    assert not np.array_equal(y[0], y[1])


def test_a_residual_mlp_starts_at_0_in_the_shape_and_dtype_of_x():
    y, _ = jit(NET.init_with_output)(KEY, *INPUTS)
    np.testing.assert_array_equal(y, jnp.zeros((7, 2)))
    like = jax.eval_shape(
        NET.clone(dtype=jnp.bfloat16, shape=(3, 4)).init_with_output, KEY, *INPUTS
    )[0]
    assert like.shape == (7, 3, 4) and like.dtype == jnp.float32


def test_it_is_told_of_time_and_label():
    params, (x, t, label) = weights(NET, *INPUTS), INPUTS
    y = NET.apply(params, x, t, label)
    assert not np.allclose(y, NET.apply(params, x, t + 3, label), atol=1e-3)
    assert not np.allclose(y, NET.apply(params, x, t, label - 1), atol=1e-3)
    scaled = NET.clone(time_scale=1000.0)
    same = scaled.apply(params, x, t / 1000, label)
    np.testing.assert_allclose(y, same, rtol=1e-3, atol=1e-4)


def test_bad_input():
    def init(net, *inputs):
        return jax.eval_shape(net.init, KEY, *inputs)

    x = images(2)
    with pytest.raises(ValueError, match=r"expected t \[B\]"):
        init(NET, x, T[0], T)
    with pytest.raises(ValueError, match=r"expected label \[7\]"):
        init(NET, x, T, T[:3])
    with pytest.raises(
        ValueError, match="a label for a network of 8 classes, got none"
    ):
        init(NET, x, T)
    with pytest.raises(ValueError, match="no label for a network of 0 classes"):
        init(NET.clone(num_classes=0), x, T, T)
    with pytest.raises(ValueError, match="dropout rate"):
        NET.clone(dropout=1.0).apply(weights(NET, *INPUTS), *INPUTS, rng=KEY)
