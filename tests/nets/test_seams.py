"""Each network under its chapter's own objective: a step downhill lowers the loss."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from diffjax import d3pm, ddpm, hvae, vq
from diffjax.core import likelihoods, schedules
from diffjax.d3pm import transitions
from diffjax.ddpm import continuous
from diffjax.nets import conv, ladder, mlp
from diffjax.types import Objective
from tests.nets.tiny import KEY, NETS, TOKENS, drawn, images, jit, weights

X = images(8, 8, 1, num=4)
BITS = (X > 0).astype(jnp.float32)


def learns(objective, batch, rate, *, start=None):
    """The loss of the same batch and noise, before and after one step downhill."""
    params = jit(objective.init)(KEY, batch) if start is None else start

    @jit
    def loss_and_gradient(params):
        return jax.value_and_grad(lambda p: objective.loss(p, KEY, batch)[0])(params)

    before, g = loss_and_gradient(params)
    stepped = jax.tree.map(lambda p, g: p - rate * g, params, g)
    after, _ = loss_and_gradient(stepped)
    assert np.isfinite(before) and after < before
    return before


def test_d3pm_with_the_transformer():
    """At the start it predicts uniformly: cross-entropy is N log K exactly."""
    process = transitions.absorbing(1 / np.arange(10, 0, -1), 5, mask=4)
    net = NETS["Transformer"].net.clone(depth=1)
    loss = d3pm.cross_entropy
    model = d3pm.objective(net, process, loss=loss)
    before = learns(model, {"x": TOKENS % 4}, 0.01)
    np.testing.assert_allclose(before, 6 * np.log(5), rtol=1e-5)


def test_tokens_in_the_padding_never_change_what_is_said_of_the_others():
    """Told where it is, the transformer has the loss of the bare batch."""
    process = transitions.absorbing(1 / np.arange(10, 0, -1), 5, mask=4)
    net = NETS["Transformer"].net.clone(depth=1)
    params = weights(net, TOKENS, jnp.ones(7, int))
    told = {"inputs": d3pm.label_and_lengths}
    real = jnp.broadcast_to(jnp.arange(8) < 6, (7, 8))

    def padded(token):
        x = jnp.pad(TOKENS % 4, ((0, 0), (0, 2)), constant_values=token)
        return {"x": x, "length_mask": real}

    @jit
    def said(params, first, second):
        bare = {"x": TOKENS % 4}
        aware = d3pm.objective(net, process, **told).loss
        losses = [aware(params, KEY, b)[0] for b in (bare, first, second)]
        blind = d3pm.objective(net, process).loss
        return losses, [blind(params, KEY, b)[0] for b in (bare, first, second)]

    losses, blind = said(params, padded(0), padded(3))
    np.testing.assert_allclose(losses, [blind[0]] * 3, rtol=1e-5)
    assert abs(blind[1] - blind[2]) > 1e-3 * blind[0]


def test_ddpm_with_dit():
    """It starts at eps_hat = 0, so the loss is the mean square of the noise."""
    net = NETS["DiT"].net.clone(depth=1, patch=4)
    before = learns(ddpm.objective(net, schedules.linear(10)), {"x": X}, 0.1)
    np.testing.assert_allclose(before, 1, atol=0.3)


def test_ddpm_of_points_with_the_residual_mlp():
    net = mlp.ResidualMLP(width=16, depth=1)
    model = ddpm.objective(net, schedules.linear(10))
    batch = {"x": images(2, num=64)}
    start = drawn(jax.eval_shape(model.init, KEY, batch), scale=0.1)
    learns(model, batch, 0.01, start=start)


def test_variational_diffusion_with_the_flat_unet():
    """Levels of 8 grey values; eps of the network makes the denoiser."""
    net, gamma = NETS["FlatUNet"].net.clone(depth=1), continuous.linear_gamma()
    x = (2 * jnp.floor(4 + X.clip(-1, 0.9) * 4) + 1) / 8 - 1

    def loss(params, rng, batch):
        def denoise(z, t):
            eps = net.apply(params, z[None], t[None])[0]
            g = gamma(t)
            noise = jnp.sqrt(jax.nn.sigmoid(g)) * eps
            return (z - noise) / jnp.sqrt(jax.nn.sigmoid(-g))

        x = batch["x"]
        value = continuous.continuous_loss(denoise, gamma, rng, x, levels=8)
        return value, {}

    start = weights(net, x, jnp.zeros(4), scale=0.1)
    learns(Objective(None, loss), {"x": x}, 1e-5, start=start)


def test_vq_with_the_convolutional_pair():
    enc = conv.Encoder(channels=3, widths=(4,), blocks=1)
    dec = conv.Decoder(shape=(8, 8, 1), widths=(4,), blocks=1)
    model = vq.objective(
        enc, dec, vq.quantizers.vector(5), likelihood=likelihoods.bernoulli
    )
    batch = {"x": BITS}
    start = drawn(jax.eval_shape(model.init, KEY, batch), scale=0.3)
    learns(model, batch, 1e-3, start=start)


@pytest.mark.slow
def test_hvae_with_the_ladder():
    """Bits, a layer on each of two levels, the posterior relative to the prior."""
    levels = (ladder.Level(1, 1, 2), ladder.Level(1, 1, 1))
    parts = ladder.top_down((8, 8), (1,), levels, width=8, latent=2)
    model = hvae.ladder_objective(
        hvae.LadderNets(*parts),
        likelihood=likelihoods.bernoulli,
        posterior=hvae.RESIDUAL,
    )
    batch = {"x": BITS}
    start = drawn(jax.eval_shape(model.init, KEY, batch), scale=0.1)
    learns(model, batch, 1e-3, start=start)
