"""The aggregate posterior, and which latents are used."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import integrate, stats

from diffjax import vae

RNG = np.random.default_rng(0)


def test_the_aggregate_posterior_is_a_mixture(x64):
    means, log_vars, z = RNG.normal(size=(3, 6, 2))
    law = stats.norm(means, np.exp(log_vars / 2))
    wanted = np.log(law.pdf(z[:1]).prod(1).mean())
    got = vae.aggregate_log_prob(*map(jnp.asarray, (means, log_vars, z[0])))
    np.testing.assert_allclose(got, wanted, rtol=1e-12)
    shares = vae.source_log_prob(*map(jnp.asarray, (means, log_vars, z[0])))
    np.testing.assert_allclose(np.exp(shares).sum(), 1, rtol=1e-12)


def test_the_rate_is_information_and_a_divergence_from_the_prior(x64):
    """E KL(q(z|x) || p) = I(i; z) + KL(q(z) || p): quadrature for the last."""
    means, log_vars = np.array([[-1.0], [0.2], [1.5]]), np.full((3, 1), -1.0)
    args = jnp.asarray(means), jnp.asarray(log_vars)

    def q(z):
        return stats.norm(means[:, 0], np.exp(-0.5)).pdf(z).mean()

    def integrand(z):
        return q(z) * (np.log(q(z)) - stats.norm.logpdf(z))

    divergence = integrate.quad(integrand, -8, 8)[0]
    rate = np.mean(0.5 * (np.exp(-1) + means**2 - 1 + 1))
    eps = jax.random.normal(jax.random.key(0), (20_000, 3, 1))
    draws = args[0][None] + np.exp(-0.5) * eps
    each = jax.vmap(lambda z: vae.index_information(*args, z))(draws)
    error = each.std() / 20_000**0.5
    assert abs(each.mean() - (rate - divergence)) < 4 * error < 0.01


@pytest.mark.parametrize("apart, wanted", [(0.0, 0.0), (100.0, np.log(4))])
def test_information_lies_between_none_and_which_example(x64, apart, wanted):
    means = apart * jnp.arange(4.0)[:, None]
    got = vae.index_information(means, jnp.zeros((4, 1)), means + 0.3)
    np.testing.assert_allclose(got, wanted, atol=1e-12)


def test_active_units():
    """Variances over examples of 0.0121, 0.0081 and 0, whatever the batch's mean."""
    sign = np.array([1, -1, 1, -1])[:, None]
    means = jnp.asarray(5 + sign * np.array([0.11, 0.09, 0.0]), jnp.float32)
    np.testing.assert_array_equal(vae.active_units(means), [True, False, False])
    loose = vae.active_units(means, threshold=0.005)
    np.testing.assert_array_equal(loose, [True, True, False])
