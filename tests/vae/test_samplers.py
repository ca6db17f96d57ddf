"""Draws of x: as often as their own likelihood says, level by level."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from diffjax import vae

KEY = jax.random.key(0)
NUM = 20_000


def draws(draw, decoded, num=NUM):
    many = jax.jit(jax.vmap(draw, (0, None)))
    return np.asarray(many(jax.random.split(KEY, num), decoded))


def fits(likelihood, draw, decoded, outcomes):
    """Chi-squared of the counts of every outcome."""
    log_p = jax.jit(jax.vmap(likelihood, (0, None)))(outcomes, decoded)
    wanted = NUM * np.exp(np.float64(log_p))
    seen = draws(draw, decoded).reshape(NUM, -1)
    flat = np.asarray(outcomes).reshape(len(outcomes), -1)
    counts = np.array([(seen == value[None]).all(1).sum() for value in flat])
    assert counts.sum() == NUM
    return stats.chisquare(counts, wanted * NUM / wanted.sum()).pvalue > 1e-3


def test_bernoulli():
    outcomes = np.arange(2, dtype=np.float32)
    assert fits(vae.bernoulli, vae.draw_bernoulli, jnp.array(-0.8), outcomes)
    assert draws(vae.draw_bernoulli, jnp.array(-0.8), 2).dtype == np.float32


def test_categorical():
    logits = jnp.array([0.3, -2.0, 1.0, 0.0])
    assert fits(vae.categorical, vae.draw_categorical, logits, np.arange(4))


@pytest.mark.parametrize("mean", [0.1, 0.95, -3.0])
def test_discretized_logistic(mean):
    decoded = jnp.asarray(mean), jnp.asarray(-1.5)
    likelihood = vae.discretized_logistic(levels=8)
    draw = vae.draw_discretized_logistic(levels=8)
    assert fits(likelihood, draw, decoded, np.arange(8))


def test_the_mixture_of_logistics():
    """Green knows the level of red, and blue those of both."""
    params = np.random.default_rng(0).normal(size=20) * 0.8
    colours = np.array(list(itertools.product(range(3), repeat=3)))
    likelihood = vae.logistic_mixture(levels=3)
    draw = vae.draw_logistic_mixture(levels=3)
    assert fits(likelihood, draw, np.float32(params), colours)
    image = jax.jit(draw)(KEY, np.zeros((4, 5, 20), np.float32))
    assert image.shape == (4, 5, 3) and image.dtype == jnp.int32


def test_gaussians():
    seen = draws(vae.draw_gaussian_with(0.3), jnp.array([1.0, -2.0]))
    assert stats.kstest((seen - [1.0, -2.0]).ravel() / 0.3, "norm").pvalue > 1e-3
    decoded = jnp.array([1.0, -2.0]), jnp.array([0.0, -2.0])
    seen = draws(vae.draw_gaussian_moments, decoded)
    deviations = (seen - [1.0, -2.0]) / np.exp([0.0, -1.0])
    assert stats.kstest(deviations.ravel(), "norm").pvalue > 1e-3


def test_a_sample_has_the_law_of_the_model():
    """z ~ N(0, I_2), x = W z + b + sigma eps: the moments of pPCA."""
    weight = np.array([[1.0, 0.5], [0.0, -1.0], [0.3, 0.3]])

    @jax.jit
    def sample(rng):
        decode = lambda z: jnp.asarray(weight) @ z + jnp.array([1.0, 0.0, -1.0])  # noqa: E731
        return vae.sample(decode, rng, (NUM, 2), draw=vae.draw_gaussian_with(0.5))

    x = np.asarray(sample(KEY))
    np.testing.assert_allclose(x.mean(0), [1, 0, -1], atol=0.05)
    cov = weight @ weight.T + 0.25 * np.eye(3)
    np.testing.assert_allclose(np.cov(x.T), cov, atol=0.06)


def test_a_sample_does_not_know_its_batch():
    keys = jax.random.split(KEY, 4)
    decode = lambda z: jnp.concatenate([z, -z])  # noqa: E731
    sample = jax.jit(lambda keys: vae.sample(decode, keys, (len(keys), 3)))
    whole = np.asarray(sample(keys))
    np.testing.assert_array_equal(whole[1:], sample(keys[1:]))
    assert set(np.unique(whole)) <= {0.0, 1.0}
