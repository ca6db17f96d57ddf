"""The bound contract, bits per dimension, the importance bound, standard errors."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import special, stats

from diffjax.core import bounds

BOUND = bounds.Bound(
    reconstruction=np.array([-10.0, -20.0]),
    divergences=np.array([[1.0, 2.0, 3.0], [0.0, 0.5, 0.0]]),
    prior=np.array([0.25, 4.0]),
)


def test_elbo_is_minus_rate_minus_distortion():
    bound = jax.tree.map(jnp.array, BOUND)
    np.testing.assert_array_equal(bound.rate, [6.25, 4.5])
    np.testing.assert_array_equal(bound.distortion, [10, 20])
    np.testing.assert_array_equal(bound.elbo, [-16.25, -24.5])
    np.testing.assert_array_equal(-bound.elbo, bound.rate + bound.distortion)
    one = jax.tree.map(lambda v: v[0], bound)
    assert one.elbo == -16.25 and one.elbo.shape == ()


def test_a_bound_is_a_pytree_that_keeps_infinities():
    """An infinite prior term is reported as such; gradients reach every term."""
    assert bounds.Bound(jnp.zeros(()), jnp.zeros(3), jnp.array(np.inf)).elbo == -np.inf
    gradient = jax.grad(lambda b: b.elbo.sum())(jax.tree.map(jnp.array, BOUND))
    expected = bounds.Bound(np.ones(2), -np.ones((2, 3)), -np.ones(2))
    chex.assert_trees_all_equal(gradient, expected)


def test_bits_per_dim(x64):
    """A uniform code of 256 levels costs 8 bits, whatever the number of dimensions."""
    for num in (1, 3072):
        bits = bounds.bits_per_dim(jnp.array(num * np.log(256)), num)
        assert bits == pytest.approx(8, rel=1e-14)
    with pytest.raises(
        ValueError, match="expected num_dims >= 1, got 0; it is x_0.size"
    ):
        bounds.bits_per_dim(jnp.zeros(()), 0)


def test_importance_bound(x64):
    log_w = np.random.default_rng(0).normal(size=(7, 3)) * 5
    expected = np.log(np.exp(log_w).mean(0))
    np.testing.assert_allclose(bounds.importance_bound(log_w), expected, 1e-12)
    np.testing.assert_allclose(
        bounds.importance_bound(log_w - 1e4), expected - 1e4, 1e-12
    )
    np.testing.assert_array_equal(bounds.importance_bound(log_w[:1]), log_w[0])
    some_zero = bounds.importance_bound(jnp.array([0.0, -np.inf]))
    assert some_zero == pytest.approx(-np.log(2))


def test_importance_bound_of_a_conjugate_model(x64):
    """z ~ N(0, 1), x ~ N(z, 1/4): exact when q is the posterior, else rising with k."""
    x, exact = 1.3, stats.norm(0, 1.25**0.5).logpdf(1.3)
    noise = np.random.default_rng(1).normal(size=(64, 4000))

    def log_w(mean, std):
        z = mean + std * noise
        joint = stats.norm.logpdf(z) + stats.norm.logpdf(x, z, 0.5)
        return joint - stats.norm.logpdf(z, mean, std)

    posterior = bounds.importance_bound(log_w(0.8 * x, 0.2**0.5)[:5])
    np.testing.assert_allclose(posterior, exact, 1e-12)
    prior = log_w(0.0, 1.0)
    means = [bounds.importance_bound(prior[:k]).mean() for k in (1, 4, 16, 64)]
    assert np.all(np.diff([*means, exact]) > 0)
    elbo = -0.5 * np.log(2 * np.pi / 4) - 2 * (1 + x**2)  # E log p(x | z), q = p(z)
    assert means[0] == pytest.approx(elbo, abs=5 * np.std(prior[0]) / 4000**0.5)


def test_mean_and_standard_error(x64):
    values = np.random.default_rng(2).normal(size=(9, 2))
    mean, error = bounds.mean_and_standard_error(values)
    np.testing.assert_allclose(mean, values.mean(0), 1e-13)
    np.testing.assert_allclose(error, stats.sem(values), 1e-12)
    with pytest.raises(ValueError, match="expected at least 2 values, got 1"):
        bounds.mean_and_standard_error(values[:1])


class Variants(chex.TestCase):
    """float32, alone, under jit and on several devices."""

    @chex.variants(with_jit=True, without_jit=True, with_pmap=True)
    def test_all(self):
        elbo = self.variant(lambda bound: bound.elbo)(jax.tree.map(np.float32, BOUND))
        np.testing.assert_array_equal(elbo, [-16.25, -24.5])
        log_w = np.float32([[0.5, -3.0], [4.0, -90.0], [-1.0, 2.0]])
        expected = special.logsumexp(np.float64(log_w), axis=0) - np.log(3)
        np.testing.assert_allclose(
            self.variant(bounds.importance_bound)(log_w), expected, 1e-6
        )
        mean, error = self.variant(bounds.mean_and_standard_error)(log_w)
        np.testing.assert_allclose(mean, log_w.mean(0), 1e-6)
        np.testing.assert_allclose(error, stats.sem(log_w), 1e-6)
