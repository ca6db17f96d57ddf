"""Continuous-time diffusion: the learned schedule, the decoder and the bound."""

import jax
import jax.numpy as jnp
import numpy as np

from diffjax.core import bounds, oracle, schedules
from diffjax.ddpm import continuous


def test_monotone_gamma_increases_and_is_learnable(x64):
    params = continuous.init_gamma(jax.random.key(0), width=64)
    t = np.linspace(0, 1, 200)
    gamma = jax.jit(lambda p, t: jax.vmap(continuous.monotone_gamma(p))(t))
    for sign in (1.0, -1.0):  # weights of either sign
        signed = jax.tree.map(lambda p, sign=sign: sign * np.asarray(p), params)
        assert np.diff(gamma(signed, t)).min() > 0
    straight = continuous.linear_gamma()(t)
    assert np.abs(gamma(params, t) - straight).max() < 1.5
    slopes = jax.jit(jax.grad(lambda p: continuous.monotone_gamma(p)(0.3)))(params)
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(slopes))


def test_log_decoder_sums_to_one(x64):
    gamma = continuous.linear_gamma(-7.0, 5.0)
    centres = (2 * np.arange(16) + 1) / 16 - 1
    z_0 = jnp.asarray([0.33])

    @jax.jit
    @jax.vmap
    def decode(centre):
        return continuous.log_decoder(gamma, centre[None], z_0, levels=16)

    log_p = np.asarray(decode(centres))
    np.testing.assert_allclose(np.exp(log_p).sum(), 1, rtol=1e-12)
    assert abs(centres[np.argmax(log_p)] - 0.33) < 1 / 16


def test_bound_of_the_exact_denoiser_is_the_entropy_of_the_data(x64):
    """Four levels, their posterior by enumeration: continuous time leaves no gap."""
    levels, gamma = 4, continuous.linear_gamma(-9.0, 9.0)
    probability = np.array([0.1, 0.4, 0.3, 0.2])
    points = ((2 * np.arange(levels) + 1) / levels - 1)[:, None]

    def denoise(z, t):
        g = gamma(t)
        log_w = oracle.source_weights(
            points, z, scale=jnp.sqrt(jax.nn.sigmoid(-g)), var=jax.nn.sigmoid(g)
        )
        return jax.nn.softmax(log_w + np.log(probability)) @ points

    x = np.repeat(points, [1000, 4000, 3000, 2000], axis=0)
    x = jax.random.permutation(jax.random.key(1), x)  # t rises along the batch
    b = jax.jit(lambda rng: continuous.bound(denoise, gamma, rng, x, levels=levels))(
        jax.random.key(0)
    )
    assert b.divergences.shape == (10_000, 1)
    mean, error = bounds.mean_and_standard_error(-b.elbo)
    entropy = -np.sum(probability * np.log(probability))
    assert abs(float(mean) - entropy) < 4 * float(error)

    @jax.jit
    def loss(rng):
        return continuous.continuous_loss(denoise, gamma, rng, x, levels=levels)

    np.testing.assert_allclose(loss(jax.random.key(0)), mean, rtol=1e-9)


def test_from_gamma_makes_the_same_marginals(x64):
    gamma = continuous.linear_gamma(-6.0, 3.0)
    schedule = schedules.from_gamma(gamma(jnp.linspace(0, 1, 5)))
    x, eps = np.array([0.2]), np.array([1.1])
    diffuse = jax.jit(lambda t: continuous.diffuse(gamma, x, eps, t))
    for i in range(5):
        z = diffuse(i / 4)
        root = np.sqrt(np.asarray(schedule.alpha_bar)[i + 1])
        sigma = np.sqrt(np.asarray(schedule.one_minus_alpha_bar)[i + 1])
        np.testing.assert_allclose(z, root * x + sigma * eps, rtol=1e-10)
