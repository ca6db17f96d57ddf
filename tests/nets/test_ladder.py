"""The parts of a top-down HVAE: sizes, starts, and the published count."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from diffjax import hvae
from diffjax.core import likelihoods
from diffjax.nets import ladder, published
from diffjax.nets.ladder import Level
from tests.nets.tiny import KEY, PARTS, count, images, jit, weights


def objective(parts, likelihood=likelihoods.bernoulli):
    return hvae.ladder_objective(hvae.LadderNets(*parts), likelihood=likelihood)


def test_a_layer_starts_from_a_standard_normal_prior():
    """Zero heads: at the start h says mean 0, log variance 0, and adds nothing."""
    merge, h, z = PARTS.merge[2], images(4, 4, 20), images(4, 4, 2)
    below, _ = jit(merge.init_with_output)(KEY, h, z)
    assert below.shape == (7, 8, 8, 20) and float(jnp.std(below[..., :8])) > 0.1
    np.testing.assert_array_equal(below[..., 8:], jnp.zeros((7, 8, 8, 12)))
    for moment in PARTS.prior[1].apply({}, below):
        np.testing.assert_array_equal(moment, jnp.zeros((7, 8, 8, 2)))


def test_a_prior_reads_what_the_merge_above_wrote():
    h = images(2, 2, 20)
    mean, log_var = PARTS.prior[0].apply({}, h)
    np.testing.assert_array_equal(mean, h[..., 8:10])
    np.testing.assert_allclose(log_var, 20 * np.tanh(h[..., 10:12] / 20), rtol=1e-6)
    _, log_var = ladder.moments(jnp.asarray([0.0, 1e6]))
    np.testing.assert_allclose(log_var, [20.0])


def test_a_merge_adds_what_the_prior_block_added():
    """With blocks at 0 and z the identity: x + added + z, repeated, plus the bias."""
    merge, h, z = PARTS.merge[2], images(4, 4, 20), images(4, 4, 2)
    params = jax.tree.map(jnp.zeros_like, weights(merge, h, z))
    params["params"]["z"]["kernel"] = jnp.eye(2, 8)[None, None]
    params["params"]["bias"] = jnp.full((8, 8, 8), 3.0)
    x = merge.apply(params, h, z)[..., :8]
    z = jnp.pad(z, ((0, 0), (0, 0), (0, 0), (0, 6)))
    small = h[..., :8] + h[..., 12:] + z + 0
    wanted = jnp.kron(small, jnp.ones((1, 2, 2, 1))) + 3
    np.testing.assert_allclose(x, wanted, rtol=1e-5, atol=1e-6)


def test_residual_weights_start_at_one_over_the_square_root():
    """Standard deviations sqrt(1 / (L fan_in)) of 64 layers, against L = 1."""
    x = jnp.zeros((1, 4, 4, 64))
    for share in (1.0, 1 / 64):
        block = ladder.Block(inner=64, out=64, share=share)
        kernel = jit(block.init)(KEY, x)["params"]["conv_4"]["kernel"]
        np.testing.assert_allclose(jnp.std(kernel), math.sqrt(share / 64), rtol=0.05)
    levels = (Level(1, 3, 2), Level(2, 5, 1))
    parts = ladder.top_down((8, 8), (1,), levels, width=8, latent=4)
    assert {merge.share for merge in parts.merge} == {1 / 8}


@pytest.mark.parametrize("size", [(8, 8), (9, 11), (5, 8)])
@pytest.mark.parametrize("num", [1, 7])
def test_any_size(size, num):
    levels = (Level(2, 1, 2), Level(1, 2, 3), Level(1, 1, 1))
    parts = ladder.top_down(size, (5,), levels, width=8, latent=2)
    batch = {"x": jnp.zeros((num, *size, 1))}
    params = jax.eval_shape(objective(parts).init, KEY, batch)
    seen = jax.eval_shape(parts.features.apply, params["features"], batch["x"])
    small = [tuple(-(-n // k) for n in size) for k in (1, 2)]
    small.append(tuple(-(-n // 3) for n in small[1]))
    assert [s.shape for s in seen] == [(num, *s, 8) for s in small]
    assert parts.width == (*small[-1], 20)
    last = jax.ShapeDtypeStruct((num, *size, 8), jnp.float32)
    read = jax.eval_shape(parts.read.apply, params["read"], last)
    assert read.shape == (num, *size, 5)


def test_vdvae_has_the_parameters_of_the_published_code():
    """39,145,700 there ("39M"); the top's prior block and bias are constants."""
    parts = published.vdvae_cifar10()
    assert len(parts.encode) == len(parts.merge) == 43 and parts.width == (1, 1, 800)

    def conv(size, inputs, outputs):
        return size**2 * inputs * outputs + outputs

    def block(inputs, outputs, side):
        middle = 2 * conv(side, 96, 96)
        return conv(1, inputs, 96) + middle + conv(1, 96, outputs)

    def layer(side):
        merge = conv(1, 16, 384) + block(384, 384, side)
        return block(768, 32, side) + block(384, 32 + 384, side) + merge

    enc = conv(3, 3, 384) + 30 * block(384, 384, 3) + 3 * block(384, 384, 1)
    biases = 384 * (1 + 16 + 64 + 256 + 1024)
    read = 2 * 384 + conv(1, 384, 100)
    total = enc + 42 * layer(3) + layer(1) + biases + read
    constants = block(384, 32 + 384, 1) + 384
    ours = count(parts.features, jnp.zeros((1, 32, 32, 3)))
    seen = jax.eval_shape(
        parts.features.init_with_output, KEY, jnp.zeros((1, 32, 32, 3))
    )[0]
    h = jax.ShapeDtypeStruct((1, *parts.width), jnp.float32)
    known = {}  # most layers are alike

    def walk(net, *inputs):
        key = (net, h.shape)
        if key not in known:
            known[key] = jax.eval_shape(net.init_with_output, KEY, *inputs)
        out, params = known[key]
        return out, sum(p.size for p in jax.tree.leaves(params))

    for encode, prior, merge in reversed(list(zip(*parts[1:4], strict=True))):
        (z, _), _ = walk(prior, h)
        ours += walk(encode, h, seen)[1]
        h, num = walk(merge, h, z)
        ours += num
    ours += count(parts.read, h)
    assert h.shape == (1, 32, 32, 384)
    assert total == 39_145_700
    assert ours == total - constants == 39_049_380


def test_bad_levels():
    for levels in (
        (Level(1, 1, 2), Level(1, 1, 2)),
        (Level(1, 1, 1), Level(1, 1, 1)),
        (Level(0, 1, 2), Level(1, 1, 1)),
        (Level(1, 0, 1),),
    ):
        with pytest.raises(ValueError, match="pool >= 2 at every level, 1 at the top"):
            ladder.top_down((8, 8), (1,), levels)
    with pytest.raises(ValueError, match="expected a level or more, got none"):
        ladder.top_down((8, 8), (1,), ())
