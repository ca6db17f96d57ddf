"""Each network under its chapter's own objective: one step of training lowers the loss."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from diffjax import d3pm, ddpm, hvae, vae, vq
from diffjax.core import likelihoods, schedules
from diffjax.d3pm import transitions
from diffjax.ddpm import continuous
from diffjax.nets import conv, mlp
from diffjax.types import Objective
from tests.nets.tiny import KEY, NETS, PARTS, TOKENS, images, jit

X = images(8, 8, 1, num=4)
BITS = (X > 0).astype(jnp.float32)


def learns(objective, batch, rate):
    """The loss of the same batch and noise, before and after one step downhill."""

    @jit
    def both(rng):
        def loss(params):
            return objective.loss(params, rng, batch)[0]

        params = objective.init(rng, batch)
        before, g = jax.value_and_grad(loss)(params)
        stepped = jax.tree.map(lambda p, g: p - rate * g, params, g)
        return before, loss(stepped)

    before, after = both(KEY)
    assert np.isfinite(before) and after < before
    return before


def test_d3pm_with_the_transformer():
    """At the start it predicts uniformly: cross-entropy is N log K exactly."""
    process = transitions.absorbing(1 / np.arange(10, 0, -1), 5, mask=4)
    net = NETS["Transformer"].net.clone(depth=1)
    loss = d3pm.cross_entropy
    model = d3pm.objective.objective(net, process, loss=loss)
    before = learns(model, {"x": TOKENS % 4}, 0.01)
    np.testing.assert_allclose(before, 6 * np.log(5), rtol=1e-5)


def test_ddpm_with_dit():
    """It starts at eps_hat = 0, so the loss is the mean square of the noise."""
    net = NETS["DiT"].net.clone(depth=1, patch=4)
    before = learns(ddpm.objective.objective(net, schedules.linear(10)), {"x": X}, 0.1)
    np.testing.assert_allclose(before, 1, atol=0.3)


def test_ddpm_of_points_with_the_residual_mlp():
    net = mlp.ResidualMLP(width=16, depth=1)
    model = ddpm.objective.objective(net, schedules.linear(10))
    learns(model, {"x": images(2, num=64)}, 0.1)


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

    def init(rng, batch):
        return net.init(rng, batch["x"], jnp.zeros(len(batch["x"])))

    learns(Objective(init, loss), {"x": x}, 1e-4)


def test_vq_with_the_convolutional_pair():
    enc = conv.Encoder(channels=3, widths=(4,), blocks=1)
    dec = conv.Decoder(shape=(8, 8, 1), widths=(4,), blocks=1)
    model = vq.objective.objective(
        enc, dec, vq.quantizers.vector(5), likelihood=likelihoods.bernoulli
    )
    learns(model, {"x": BITS}, 1e-3)


def test_vae_with_the_convolutional_pair():
    enc = conv.Encoder(channels=6, widths=(4,), blocks=1)
    dec = conv.Decoder(shape=(8, 8, 1), widths=(4,), blocks=1)
    learns(vae.objective.objective(enc, dec), {"x": BITS}, 1e-3)


@pytest.mark.parametrize("posterior", [hvae.ABSOLUTE, hvae.RESIDUAL])
def test_hvae_with_the_ladder(posterior):
    """Bits, three layers on two levels."""
    model = hvae.ladder_objective(
        hvae.LadderNets(*PARTS), likelihood=likelihoods.bernoulli, posterior=posterior
    )
    learns(model, {"x": BITS}, 1e-3)
