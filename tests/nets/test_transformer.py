"""Attention, positions, padding and time, against numpy and by perturbation."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from diffjax import vq
from diffjax.nets import layers, stack, transformer
from tests.nets.tiny import KEY, NETS, TOKENS, T, jit, weights

NET = NETS["Transformer"].net
PARAMS = weights(NET, TOKENS, T)
CAUSAL = transformer.CausalTransformer(K=3, width=8, depth=2, heads=2, told=4)
CAUSAL_PARAMS = weights(CAUSAL, jnp.zeros((1, 4), int))


def norm(h):
    mean, var = h.mean(-1, keepdims=True), h.var(-1, keepdims=True)
    return (h - mean) / np.sqrt(var + 1e-6)


def softmax(a):
    e = np.exp(a - a.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def gelu(a):
    return 0.5 * a * (1 + np.tanh(np.sqrt(2 / np.pi) * (a + 0.044715 * a**3)))


def dense(p, h):
    return h @ p["kernel"] + p["bias"]


def turned(x):
    """Rotary positions as complex numbers, x [N, D]."""
    half = x.shape[1] // 2
    w = 1e4 ** (-np.arange(half) / half)
    turn = np.exp(1j * np.outer(np.arange(len(x)), w))
    z = (x[:, :half] + 1j * x[:, half:]) * turn
    return np.concatenate([z.real, z.imag], axis=1)


def layer(p, h, told, heads):
    """One layer of one example in numpy float64: h [N, D], told [C]."""
    p = jax.tree.map(lambda a: np.asarray(a, np.float64), p)
    silu = told / (1 + np.exp(-told))
    modulation = np.split(dense(p["modulation"], silu), 6)
    y = norm(h) * (1 + modulation[1]) + modulation[0]
    q, k, v = (dense(p["attention"][n], y) for n in ("to_q", "to_k", "to_v"))
    cut = np.split(np.arange(h.shape[1]), heads)
    out = [
        softmax(turned(q[:, c]) @ turned(k[:, c]).T / np.sqrt(len(c))) @ v[:, c]
        for c in cut
    ]
    h = h + modulation[2] * dense(p["attention"]["to_out"], np.concatenate(out, 1))
    y = norm(h) * (1 + modulation[4]) + modulation[3]
    return h + modulation[5] * dense(p["mlp_2"], gelu(dense(p["mlp_1"], y)))


def test_stack_against_numpy():
    """Three layers one after the other: attention, rotary, modulation and gates."""
    net = stack.Stack(depth=3, heads=2, attend=transformer.rotary_attend(layers.attend))
    h, told = jax.random.normal(KEY, (2, 5, 8)), jax.random.normal(KEY, (2, 4))
    params = weights(net, h, told)
    wanted = np.asarray(h, np.float64)
    for i in range(3):
        p = jax.tree.map(lambda a, i=i: a[i], params["params"]["layers"])
        wanted = np.stack(
            [layer(p, *one, 2) for one in zip(wanted, np.asarray(told), strict=True)]
        )
    np.testing.assert_allclose(jit(net.apply)(params, h, told), wanted, atol=2e-5)


def test_a_stack_starts_as_the_identity_and_a_transformer_as_uniform():
    net = stack.Stack(depth=2, heads=2)
    h, told = jax.random.normal(KEY, (2, 5, 8)), jax.random.normal(KEY, (2, 4))
    y, _ = jit(net.init_with_output)(KEY, h, told)
    np.testing.assert_array_equal(y, h)
    logits, _ = jit(NET.init_with_output)(KEY, TOKENS, T)
    np.testing.assert_array_equal(logits, np.zeros((7, 6, 5)))


def test_padding_changes_nothing():
    """A padded batch has the logits of the bare one, whatever the padding holds."""
    apply = jit(NET.apply)
    bare = apply(PARAMS, TOKENS, T)
    for pad in (0, 3):
        padded = jnp.pad(TOKENS, ((0, 0), (0, 2)), constant_values=pad)
        real = jnp.broadcast_to(jnp.arange(8) < 6, (7, 8))
        logits = apply(PARAMS, padded, T, None, real)
        np.testing.assert_allclose(logits[:, :6], bare, rtol=1e-5, atol=1e-5)
    unmasked = apply(PARAMS, padded, T, None, jnp.ones((7, 8), bool))
    assert not np.allclose(unmasked[:, :6], bare, atol=1e-3)


def test_it_is_told_of_time_and_position():
    apply = jit(NET.apply)
    assert not np.allclose(apply(PARAMS, TOKENS, T), apply(PARAMS, TOKENS, T + 50))
    backwards = apply(PARAMS, TOKENS[:, ::-1], T)[:, ::-1]
    assert not np.allclose(apply(PARAMS, TOKENS, T), backwards, atol=1e-3)


def test_causal_logits_know_only_what_came_before():
    codes = jnp.asarray([[0, 1, 2, 1]])
    apply = jit(CAUSAL.apply)
    logits = apply(CAUSAL_PARAMS, codes)
    for j in range(4):
        moved = apply(CAUSAL_PARAMS, codes.at[0, j].set((codes[0, j] + 1) % 3))
        np.testing.assert_array_equal(moved[:, : j + 1], logits[:, : j + 1])
        for later in range(j + 1, 4):
            assert not np.allclose(moved[:, later], logits[:, later], atol=1e-4)


def test_a_causal_transformer_is_a_prior_over_codes():
    """The 81 probabilities of 2 x 2 codes add up to 1."""
    prior = vq.prior.autoregressive(
        lambda codes: CAUSAL.apply(CAUSAL_PARAMS, codes[None])[0]
    )
    codes = jnp.stack(jnp.meshgrid(*[jnp.arange(3)] * 4), -1).reshape(81, 2, 2)
    log_p = jit(jax.vmap(prior.log_prob))(codes)
    np.testing.assert_allclose(jnp.sum(jnp.exp(log_p)), 1, rtol=1e-5)
    assert float(jnp.std(log_p)) > 0.1
    drawn = jax.eval_shape(lambda rng: prior.sample(rng, (2, 2)), KEY)
    assert drawn.shape == (2, 2)


def test_rotary_products_know_the_difference_of_positions_alone():
    q, k = jax.random.normal(KEY, (2, 8))
    at = jnp.broadcast_to(q, (9, 1, 8)), jnp.broadcast_to(k, (9, 1, 8))
    q, k = (transformer.rotary(x)[:, 0] for x in at)
    products = np.asarray(q @ k.T)
    for shift in range(-8, 9):
        diagonal = np.diagonal(products, shift)
        np.testing.assert_allclose(diagonal, diagonal[0], rtol=1e-4, atol=1e-5)
    assert np.ptp(products) > 0.1
    np.testing.assert_allclose(jnp.linalg.norm(q, axis=1), jnp.linalg.norm(q[0]), 1e-5)


def test_rotary_in_bfloat16_tells_far_neighbours_apart():
    x = jnp.ones((600, 1, 2), jnp.bfloat16)
    y = transformer.rotary(x)
    assert y.dtype == jnp.bfloat16
    wanted = turned(np.ones((600, 2)))
    np.testing.assert_allclose(y[:, 0].astype(jnp.float32), wanted, atol=0.01)


def test_a_tied_head_is_the_embedding():
    net = NET.clone(tied=True)
    params = jax.eval_shape(net.init, KEY, TOKENS, T)["params"]
    untied = jax.eval_shape(NET.init, KEY, TOKENS, T)["params"]
    assert set(untied) - set(params) == {"head"}


def test_scanned_layers_have_masks_of_their_own():
    """Each layer adds its dropped bias 1; one mask for all would give 0 or 6 alone."""
    net = stack.Stack(depth=3, heads=1, dropout=0.5)
    h, told = jnp.zeros((4, 16, 2)), jnp.zeros((4, 2))
    params = jax.tree.map(jnp.zeros_like, weights(net, h, told))
    p = params["params"]["layers"]
    p["mlp_2"]["bias"] = jnp.ones((3, 2))
    p["modulation"]["bias"] = p["modulation"]["bias"].at[:, 10:].set(1.0)
    y = jit(net.apply)(params, h, told, None, KEY)
    assert set(np.unique(y)) == {0.0, 2.0, 4.0, 6.0}
    np.testing.assert_allclose(jnp.mean(y == 6), 1 / 8, atol=0.1)


def test_twelve_layers_compile_as_quickly_as_two():
    """The programs of the train step, in characters: layers are visited by a scan."""

    def size(depth):
        net = NET.clone(depth=depth)
        params = jax.eval_shape(net.init, KEY, TOKENS, T)
        grad = jax.grad(lambda p: jnp.sum(net.apply(p, TOKENS, T)))
        return len(jax.jit(grad).lower(params).as_text())

    assert size(12) <= 1.3 * size(2)


def test_bad_input():
    def init(net, *inputs):
        return jax.eval_shape(net.init, KEY, *inputs)

    with pytest.raises(ValueError, match="expected integer categories, got float32"):
        init(NET, TOKENS * 1.0, T)
    with pytest.raises(ValueError, match="expected length_mask boolean"):
        init(NET, TOKENS, T, None, jnp.ones((7, 5), bool))
    with pytest.raises(ValueError, match="even number of features a head"):
        init(NET.clone(width=6), TOKENS, T)
    with pytest.raises(ValueError, match="3 heads divide"):
        init(NET.clone(heads=3), TOKENS, T)
    with pytest.raises(ValueError, match="no label for a network of 0 classes"):
        init(NET, TOKENS, T, T)
    with pytest.raises(ValueError, match="a label for a network of 3 classes"):
        init(NET.clone(num_classes=3), TOKENS, T)
