"""The U-Net: sizes, independence of examples, gradients; its values are in interop."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from diffjax.core.noise import swift
from diffjax.nets import published
from diffjax.nets.unet import UNet, film

NET = UNet(3, (4, 8), (False, True), layers=1, groups=2, condition=film, heads=2)
SMALL = UNet(3, (4,), (False,), layers=1, groups=2, mid_attention=False)
X = jnp.asarray(np.random.default_rng(0).normal(size=(7, 8, 8, 3)), jnp.float32)
T = jnp.array([0, 1, 10, 50, 100, 500, 999])


def shapes(net, x=X, t=T, label=None):
    return jax.eval_shape(net.init, jax.random.key(0), x, t, label)


def filled(net, **inputs):
    """Parameters far from the zeros they start with, without compiling an init."""
    rng = np.random.default_rng(1)
    draw = lambda leaf: jnp.asarray(0.3 * rng.normal(size=leaf.shape), leaf.dtype)  # noqa: E731
    return jax.tree.map(draw, shapes(net, **inputs))


@pytest.mark.parametrize(
    ("make", "side", "size", "tensors"),
    [
        (published.ddpm_cifar10, 32, 35_746_307, 328),
        (published.ddpm_256, 256, 113_673_219, 450),
        (published.improved_ddpm_cifar10, 32, 52_546_438, 506),
    ],
)
def test_published_sizes(make, side, size, tensors):
    net, x, t = make(), jnp.zeros((1, side, side, 3)), jnp.ones(1, int)
    init = lambda rng: net.init_with_output(rng, x, t)  # noqa: E731
    output, params = jax.eval_shape(init, jax.random.key(0))
    leaves = jax.tree.leaves(params)
    assert (sum(leaf.size for leaf in leaves), len(leaves)) == (size, tensors)
    assert output.shape == (1, side, side, net.out_channels)


def test_examples_do_not_see_each_other():
    params, apply = filled(SMALL), jax.jit(SMALL.apply)
    together = apply(params, X, T)
    alone = jnp.concatenate([apply(params, X[i : i + 1], T[i : i + 1]) for i in (0, 6)])
    np.testing.assert_allclose(together[jnp.array([0, 6])], alone, atol=1e-4)
    assert jnp.abs(together).max() > 0.1


def test_a_time_of_more_steps_is_told_as_one_of_a_thousand():
    params, scaled = filled(SMALL), SMALL.clone(time_scale=0.25)
    wanted = jax.jit(SMALL.apply)(params, X, T)
    np.testing.assert_array_equal(jax.jit(scaled.apply)(params, X, 4 * T), wanted)


@pytest.mark.parametrize("size", [(8, 8), (8, 12), (2, 6), (32, 16)])
@pytest.mark.parametrize("channels", [1, 3])
def test_images_of_any_even_size(size, channels):
    net, x = NET.clone(out_channels=channels), jnp.zeros((2, *size, channels))
    init = lambda rng: net.init_with_output(rng, x, T[:2])[0]  # noqa: E731
    assert jax.eval_shape(init, jax.random.key(0)).shape == x.shape


@pytest.mark.parametrize(
    ("change", "x", "t", "match"),
    [
        ({}, X[:, :7], T, r"multiples of 2 for 2 levels, got \(7, 8\); pad"),
        ({}, X, T[0], r"expected x \[B, H, W, C\] and t \[B\], got .* and \(\)"),
        ({}, X[0], T, r"expected x \[B, H, W, C\]"),
        ({"groups": 3}, X, T, r"widths that 3 groups divide, got \(4, 8\)"),
        ({"attention": (True,)}, X, T, "attention to say yes or no for each of 2"),
        ({"up_attention": (True,)}, X, T, "up_attention to say yes or no"),
        ({"heads": 3}, X, T, "a width that 3 divides, got 8; see heads and head_dim"),
        ({"heads": 16}, X, T, "a width that 16 divides, got 8"),
        ({"head_dim": 16}, X, T, "a width that 16 divides, got 8"),
        ({"head_dim": 3}, X, T, "a width that 3 divides, got 8"),
        ({"num_classes": 4}, X, T, "a label for a network of 4 classes, got none"),
    ],
)
def test_what_does_not_fit_is_refused(change, x, t, match):
    with pytest.raises(ValueError, match=match):
        shapes(NET.clone(**change), x, t)


def test_a_label_needs_classes():
    with pytest.raises(
        ValueError, match="no label for a network of 0 classes, got one"
    ):
        shapes(NET, label=T)
    table = shapes(NET.clone(num_classes=4), label=T)["params"]["class_embedding"]
    assert table["embedding"].shape == (4, 16)


def test_dropout_follows_the_example():
    """Two examples that change places take their masks along."""
    net = SMALL.clone(dropout=0.5)
    params, apply = filled(net), jax.jit(net.apply)
    keys, x, t = jax.random.split(jax.random.key(0)), X[:2], T[:2]
    given = apply(params, x, t, rng=keys)
    swapped = apply(params, x[::-1], t[::-1], rng=keys[::-1])
    np.testing.assert_allclose(swapped[::-1], given, atol=1e-5)
    others = apply(params, x, t, rng=keys[::-1])
    assert jnp.abs(others - given).max() > 0.01


def loss(net, params, x, t):
    return jnp.mean(jnp.square(net.apply(params, x, t) - x))


def test_remat_keeps_the_gradient_and_less_memory():
    """What the backward pass keeps of the forward one, and what it makes of it."""
    params = filled(SMALL)

    def kept(net):
        backward = lambda p: jax.vjp(lambda p: loss(net, p, X, T), p)[1]  # noqa: E731
        leaves = jax.tree.leaves(jax.eval_shape(backward, params))
        return sum(leaf.size * leaf.dtype.itemsize for leaf in leaves)

    saving = SMALL.clone(remat=True)
    assert kept(saving) < kept(SMALL) / 2.5
    plain, remade = (
        jax.jit(jax.grad(lambda p, net=net: loss(net, p, X, T)))(params)
        for net in (SMALL, saving)
    )
    largest = max(float(jnp.abs(leaf).max()) for leaf in jax.tree.leaves(plain))
    for one, other in zip(jax.tree.leaves(plain), jax.tree.leaves(remade), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-6 * largest)


@pytest.mark.slow
def test_ten_steps_in_half_precision():
    """From the real start, where a network of zero-init branches gives 0."""
    net = UNet(3, (4,), (True,), layers=1, groups=2, condition=film)
    net, optimizer = (
        net.clone(mid_attention=False, dtype=jnp.bfloat16),
        optax.adam(1e-3),
    )
    params = jax.jit(net.init)(swift(jax.random.key(0)), X, T)
    assert {leaf.dtype for leaf in jax.tree.leaves(params)} == {jnp.dtype("float32")}

    @jax.jit
    def step(params, state):
        value, gradient = jax.value_and_grad(lambda p: loss(net, p, X, T))(params)
        update, state = optimizer.update(gradient, state)
        return optax.apply_updates(params, update), state, value, gradient

    state, values = optimizer.init(params), []
    for _ in range(10):
        params, state, value, gradient = step(params, state)
        values.append(float(value))
        assert all(jnp.isfinite(leaf).all() for leaf in jax.tree.leaves(gradient))
    np.testing.assert_allclose(values[0], jnp.mean(jnp.square(X)), rtol=1e-6)
    assert values[-1] < values[0]
