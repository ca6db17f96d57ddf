"""The U-Net at one size, block by block, and the monotone gamma."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from diffjax.ddpm import continuous
from diffjax.nets import layers, published, vdm
from diffjax.nets.mlp import Condition
from tests.nets.tiny import KEY, NETS, T, count, images, jit, weights

NET, INPUTS = NETS["FlatUNet"]
PARAMS = weights(NET, *INPUTS)


def test_skips_join_each_block_with_its_counterpart():
    """The published loop over blocks, a list of skips pushed and popped."""
    (x, t), p = INPUTS, PARAMS["params"]

    def part(module, params, *inputs):
        return module.apply({"params": params}, *inputs)

    def at(name, i):
        return jax.tree.map(lambda a: a[i], p[name])

    def unet(x):
        block = vdm.FlatBlock(groups=2)
        condition = Condition(width=32, features=8, time_scale=1000.0)
        told = part(condition, p["condition"], t)
        angles = [x * 2.0**n * 2 * np.pi for n in (0, 1)]
        by_channel = [c + 3 * n for c in range(3) for n in (0, 1)]  # n fastest
        sines, cosines = (
            jnp.concatenate([f(a) for a in angles], -1)[..., by_channel]
            for f in (jnp.sin, jnp.cos)
        )
        seen = [x, sines, cosines]
        h = jax.lax.conv_general_dilated(
            jnp.concatenate(seen, -1),
            p["in"]["kernel"],
            (1, 1),
            "SAME",
            dimension_numbers=("NHWC", "HWIO", "NHWC"),
        )
        h = h + p["in"]["bias"].reshape(1, 1, 1, -1)
        skips = [h]
        for i in range(3):
            h = part(block, at("down", i), h, told)[0]
            skips.append(h)
        h = part(block, p["middle_1"], h, told)[0]
        normed = part(layers.group_norm(NET, 2, 1e-6, None), p["attention_norm"], h)
        attention = layers.Attention(heads=1)
        tokens = part(attention, p["attention"], normed.reshape(7, 35, 8))
        h = h + tokens.reshape(h.shape)
        h = part(block, p["middle_2"], h, told)[0]
        for i in range(4):
            h = part(block, at("up", i), h, told, None, 0, skips.pop())[0]
        assert not skips
        normed = part(layers.group_norm(NET, 2, 1e-6, None), p["norm"], h)
        out = layers.zero_conv(NET, 3, None)
        return x + part(out, p["out"], jax.nn.silu(normed))

    np.testing.assert_allclose(
        jit(NET.apply)(PARAMS, x, t), jit(unet)(x), rtol=1e-4, atol=1e-3
    )


def test_scanned_blocks_have_masks_of_their_own():
    block, h, told = vdm.FlatBlock(groups=2, dropout=0.5), images(2, 2, 8), images(4)
    params = weights(block, h, told)
    keys = jax.random.split(KEY, 7)
    apply = jit(lambda number: block.apply(params, h, told, keys, number)[0])
    assert not np.allclose(apply(0), apply(1))
    np.testing.assert_array_equal(apply(1), apply(1))


def test_it_starts_by_taking_all_for_noise():
    net = NET.clone(depth=1)
    y, _ = jit(net.init_with_output)(KEY, *INPUTS)
    np.testing.assert_array_equal(y, INPUTS[0])


@pytest.mark.parametrize("size", [(1, 1), (5, 7), (8, 8)])
@pytest.mark.parametrize("num", [1, 7])
def test_any_size(size, num):
    x = images(*size, 2, num=num)
    assert jax.eval_shape(NET.init_with_output, KEY, x, T[:num] / 7)[0].shape == x.shape


def test_published_size_counted_by_hand():
    """32 + 2 blocks at 128 channels, and 33 from 256 with a shortcut."""
    w, told = 128, 512
    conv = 9 * w * w + w
    block = 2 * w + conv + told * w + 2 * w + conv
    joined = block + 2 * w + 9 * w * w + 2 * w * w + w
    ends = 9 * (3 + 12) * w + w + 2 * w + 9 * w * 3 + 3
    time = w * told + told + told * told + told
    attention = 2 * w + 4 * (w * w + w)
    x = jnp.zeros((1, 32, 32, 3))
    total = 34 * block + 33 * joined + ends + time + attention
    assert count(published.vdm_cifar10(), x, jnp.zeros(1)) == total == 30_577_667


def test_gamma_increases_between_its_ends_at_the_start():
    net = vdm.Gamma(gamma_min=-13.0, gamma_max=4.0)
    t = jnp.linspace(0, 1, 9)
    start = net.init(KEY, t)
    gamma = net.apply(start, t)
    np.testing.assert_allclose(gamma, np.linspace(-13, 4, 9), atol=1e-3)
    wild = weights(net, t, scale=3.0)
    grid = jnp.linspace(-1, 2, 101)
    assert np.all(np.diff(net.apply(wild, grid)) > 0)
    assert float(np.ptp(np.diff(net.apply(wild, grid)))) > 1e-3  # not a line
    assert net.apply(wild, jnp.zeros(())).shape == ()
    assert net.apply(wild, jnp.zeros((2, 3))).shape == (2, 3)


def test_gamma_is_that_of_the_chapter():
    net = vdm.Gamma(width=64)
    t = jnp.linspace(0, 1, 11)
    params = weights(net, t, scale=2.0)
    of_chapter = continuous.monotone_gamma(continuous.GammaParams(**params["params"]))
    np.testing.assert_allclose(
        net.apply(params, t), jax.vmap(of_chapter)(t), rtol=1e-5, atol=1e-5
    )
