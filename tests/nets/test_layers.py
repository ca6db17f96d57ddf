"""Shared layers against NumPy, and the independence of dropout."""

import functools

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from diffjax.nets import layers

KEYS = jax.random.split(jax.random.key(1), 6)
ONES = jnp.ones((6, 40, 5))


class Twice(nn.Module):
    """Two dropped layers, side by side."""

    @nn.compact
    def __call__(self, x, rng=None):
        drop = functools.partial(layers.Dropout, 0.25)
        return drop(name="first")(x, rng), drop(name="second")(x, rng)


def test_dropout_keeps_its_share_and_the_mean():
    kept = np.asarray(layers.Dropout(0.25).apply({}, ONES, KEYS))
    assert set(np.unique(kept)) == {0, np.float32(1 / 0.75)}
    assert abs(kept.mean() - 1) < 0.06
    np.testing.assert_array_equal(layers.Dropout(0.25).apply({}, ONES), ONES)
    np.testing.assert_array_equal(layers.Dropout(0.0).apply({}, ONES, KEYS), ONES)


def test_every_layer_and_example_has_its_own_mask():
    first, second = Twice().apply({}, ONES, KEYS)
    assert (first != second).mean() > 0.3
    assert min((first[i] != first[i + 1]).mean() for i in range(5)) > 0.2


def test_masks_do_not_depend_on_how_a_batch_is_cut():
    whole = Twice().apply({}, ONES, KEYS)
    parts = [Twice().apply({}, ONES[i], KEYS[i]) for i in (slice(2), slice(2, 6))]
    for mask, *cut in zip(whole, *parts, strict=True):
        np.testing.assert_array_equal(mask, jnp.concatenate(cut))


def test_one_key_is_folded_with_the_example():
    rng = jax.random.key(3)
    folded = jax.vmap(jax.random.fold_in, in_axes=(None, 0))(rng, jnp.arange(6))
    given = layers.Dropout(0.5).apply({}, ONES, rng)
    np.testing.assert_array_equal(given, layers.Dropout(0.5).apply({}, ONES, folded))
    raw = jax.random.key_data(rng)
    np.testing.assert_array_equal(given, layers.Dropout(0.5).apply({}, ONES, raw))


def test_mistakes_with_dropout():
    with pytest.raises(ValueError, match="expected one key or 6 keys, got 5"):
        layers.Dropout(0.5).apply({}, ONES, KEYS[:5])
    with pytest.raises(ValueError, match="expected 0 <= dropout rate < 1, got 1"):
        layers.Dropout(1.0).apply({}, ONES, KEYS)


def test_attention_against_numpy():
    x = np.random.default_rng(0).normal(size=(2, 5, 6))
    net = layers.Attention(heads=3)
    shapes = jax.eval_shape(net.init, KEYS[0], jnp.zeros((2, 5, 6)))
    draw = np.random.default_rng(1).normal
    params = jax.tree.map(lambda leaf: draw(size=leaf.shape), shapes)["params"]

    def project(name, value):
        return value @ params[name]["kernel"] + params[name]["bias"]

    q, k, v = (
        project(name, x).reshape(2, 5, 3, 2) for name in ("to_q", "to_k", "to_v")
    )
    mask = np.tril(np.ones((5, 5), bool))
    scores = np.einsum("bqhd,bkhd->bhqk", q, k) / np.sqrt(2)
    weights = np.exp(np.where(mask, scores, -np.inf))
    weights /= weights.sum(-1, keepdims=True)
    wanted = project(
        "to_out", np.einsum("bhqk,bkhd->bqhd", weights, v).reshape(x.shape)
    )
    as_jax = jax.tree.map(jnp.asarray, {"params": params})
    given = net.apply(as_jax, jnp.asarray(x), jnp.asarray(mask)[None, None])
    np.testing.assert_allclose(given, wanted, rtol=1e-4, atol=1e-5)


def test_heads_must_fit():
    with pytest.raises(ValueError, match="width that 4 heads divide, got 6"):
        layers.Attention(heads=4).init(KEYS[0], jnp.zeros((2, 5, 6)))


class Norm(layers.Computed):
    """What `group_norm` makes."""

    @nn.compact
    def __call__(self, x):
        return layers.group_norm(self, 2, 1e-6, "norm")(x)


def test_group_norm_survives_a_large_mean():
    x = 1e4 + np.random.default_rng(0).normal(size=(2, 4, 4, 6))
    grouped = x.astype(np.float32).astype(float).reshape(2, 16, 2, 3)
    centred = grouped - grouped.mean((1, 3), keepdims=True)
    wanted = centred / np.sqrt(np.square(centred).mean((1, 3), keepdims=True))
    params = {"params": {"norm": {"scale": jnp.ones(6), "bias": jnp.zeros(6)}}}
    given = Norm().apply(params, jnp.asarray(x, jnp.float32))
    np.testing.assert_allclose(given, wanted.reshape(x.shape), atol=5e-3)


def test_scale_and_shift():
    x, scale, shift = jnp.ones((2, 3, 4, 5)), jnp.arange(10.0), -jnp.arange(10.0)
    given = layers.scale_shift(x, scale.reshape(2, 5), shift.reshape(2, 5))
    np.testing.assert_array_equal(given, x)
