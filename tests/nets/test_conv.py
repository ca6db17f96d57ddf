"""The convolutional pair: sizes, shifts, pooling and the published VQ-VAE."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from diffjax import vae
from diffjax.nets import conv, published
from tests.nets.tiny import KEY, count, images, jit, weights


@pytest.mark.parametrize("size", [(8, 8), (9, 13), (28, 28), (31, 8)])
@pytest.mark.parametrize("levels", [1, 2, 3])
def test_any_size_from_8_on(size, levels):
    """In and out again, odd sizes too, for batches of 1 and 7."""
    widths = (4,) * levels
    enc = conv.Encoder(channels=6, widths=widths, blocks=1)
    dec = conv.Decoder(shape=(*size, 3, 5), widths=widths, blocks=1)
    small = tuple(-(-n // 2**levels) for n in size)
    for num in (1, 7):
        x = jnp.zeros((num, *size, 3))
        moments = jax.eval_shape(enc.init_with_output, KEY, x)[0]
        assert moments.shape == (num, *small, 6)
        z = jnp.zeros((num, *small, 2))
        out = jax.eval_shape(dec.init_with_output, KEY, z)[0]
        assert out.shape == (num, *size, 3, 5)


def test_an_encoder_of_moments():
    enc = conv.Encoder(channels=6, widths=(4,), blocks=0)
    x = images(8, 8, 1)
    mean, log_var = vae.halves(enc.apply(weights(enc, x), x))
    assert mean.shape == log_var.shape == (7, 4, 4, 3)


def test_shifting_the_image_shifts_the_vectors():
    """By one place for each 4 pixels, away from the edges; so no flip, no transpose."""
    enc = conv.Encoder(channels=2, widths=(3, 3), blocks=1)
    dec = conv.Decoder(shape=(64, 64, 1), widths=(3, 3), blocks=1)
    x = jnp.pad(
        jax.random.normal(KEY, (1, 8, 8, 1)), ((0, 0), (28, 28), (28, 28), (0, 0))
    )
    moved = jnp.roll(x, (8, 4), axis=(1, 2))
    params = weights(enc, x)
    z, z_moved = jit(jax.vmap(enc.apply, (None, 0)))(params, jnp.stack([x, moved]))
    np.testing.assert_allclose(
        jnp.roll(z, (2, 1), axis=(1, 2))[:, 6:-4, 6:-4],
        z_moved[:, 6:-4, 6:-4],
        atol=1e-5,
    )
    params = weights(dec, z)
    y, y_moved = jit(jax.vmap(dec.apply, (None, 0)))(params, jnp.stack([z, z_moved]))
    inner = np.s_[:, 28:-16, 28:-16]
    np.testing.assert_allclose(
        jnp.roll(y, (8, 4), axis=(1, 2))[inner], y_moved[inner], rtol=1e-4, atol=1e-4
    )
    assert float(jnp.std(z)) > 0.05 and float(jnp.std(y[inner])) > 0.01


def test_an_odd_image_is_the_even_one_without_its_last_row_and_column():
    dec = conv.Decoder(shape=(10, 10, 1), widths=(3,), blocks=0)
    z = images(5, 5, 2)
    params = weights(dec, z)
    whole, odd = (dec.clone(shape=(n, n, 1)).apply(params, z) for n in (10, 9))
    np.testing.assert_allclose(odd, whole[:, :9, :9], atol=1e-6)


@pytest.mark.parametrize("size", [(1, 1), (3, 4), (5, 2)])
@pytest.mark.parametrize("dtype", [None, jnp.bfloat16])
def test_doubling_is_the_transposed_convolution(size, dtype):
    """Of Flax, with the same parameters: values and gradients."""
    ours = conv.Doubling(width=3, dtype=dtype)
    flax = nn.ConvTranspose(3, (4, 4), (2, 2), dtype=dtype)
    x = images(*size, 2)
    params = weights(ours, x)
    assert jax.tree.map(jnp.shape, params) == jax.tree.map(jnp.shape, weights(flax, x))

    def slopes(net, params, x):
        wanted = jnp.cos(jnp.arange(net.apply(params, x).size, dtype=jnp.float32))

        def value(params, x):
            y = net.apply(params, x).astype(jnp.float32)
            return jnp.vdot(y.ravel(), wanted), y

        grads, y = jax.grad(value, (0, 1), has_aux=True)(params, x)
        return y, grads

    found, true = (
        jit(slopes, static_argnums=0)(net, params, x) for net in (ours, flax)
    )
    assert found[0].shape == (7, 2 * size[0], 2 * size[1], 3)
    rough = 1e-5 if dtype is None else 3e-2
    scale = max(float(jnp.abs(leaf).max()) for leaf in jax.tree.leaves(true))
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, atol=rough * scale), found, true
    )


@pytest.mark.parametrize("size, rate", [((4, 6), 2), ((5, 7), 2), ((9, 4), 4)])
def test_pool_is_the_mean_of_what_there_is_and_unpool_repeats_it(size, rate):
    x = np.asarray(images(*size, 2))
    rows, columns = (-(-n // rate) for n in size)
    wanted = np.zeros((7, rows, columns, 2))
    for r in range(rows):
        for c in range(columns):
            cut = x[:, r * rate : (r + 1) * rate, c * rate : (c + 1) * rate]
            wanted[:, r, c] = cut.mean(axis=(1, 2))
    pooled = conv.pool(jnp.asarray(x), rate)
    np.testing.assert_allclose(pooled, wanted, atol=1e-6)
    again = conv.unpool(pooled, rate, size)
    for r, c in np.ndindex(*size):
        np.testing.assert_array_equal(again[:, r, c], pooled[:, r // rate, c // rate])


def test_vqvae_of_the_paper():
    """4x4 and 3x3 convolutions of 256 channels, counted by hand."""
    enc, dec = published.vqvae_cifar10(latent=64)
    x, z = jnp.zeros((1, 32, 32, 3)), jnp.zeros((1, 8, 8, 64))
    assert jax.eval_shape(enc.init_with_output, KEY, x)[0].shape == z.shape
    out = jax.eval_shape(dec.init_with_output, KEY, z)[0]
    assert out.shape == (1, 32, 32, 3, 256)

    def weights_of(size, inputs, outputs):
        return size**2 * inputs * outputs + outputs

    block = weights_of(3, 256, 256) + weights_of(1, 256, 256)
    strided = weights_of(4, 256, 256)
    assert count(enc, x) == (
        weights_of(4, 3, 256) + strided + 2 * block + weights_of(1, 256, 64)
    )
    assert count(dec, z) == (
        weights_of(3, 64, 256) + 2 * block + strided + weights_of(4, 256, 768)
    )


def test_bad_input():
    enc = conv.Encoder(channels=2, widths=(4, 4))
    dec = conv.Decoder(shape=(9, 9, 1), widths=(4, 4))

    def init(net, *shape):
        return jax.eval_shape(net.init, KEY, jnp.zeros(shape))

    with pytest.raises(ValueError, match=r"height and width >= 8, got \(7, 9\)"):
        init(enc, 1, 7, 9, 1)
    with pytest.raises(ValueError, match=r"expected images \[B, H, W, C\]"):
        init(enc, 1, 8, 8)
    with pytest.raises(ValueError, match=r"height and width >= 8, got \(4, 9\)"):
        init(dec.clone(shape=(4, 9, 1)), 1, 1, 3, 2)
    with pytest.raises(
        ValueError, match=r"expected z \[B, 3, 3, D\].* got \(1, 2, 2, 2\)"
    ):
        init(dec, 1, 2, 2, 2)
