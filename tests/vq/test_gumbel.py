"""The relaxed discrete VAE: scale of the KL, schedules, the bound of whole codes."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import special

from diffjax import vq
from diffjax.core import likelihoods
from diffjax.vq import gumbel

RNG = np.random.default_rng(0)
N, K = 2, 3
LOGITS = RNG.normal(size=(N, K)) * 2
CODEBOOK = RNG.normal(size=(K, 4)) * 2


def test_relaxed_is_a_softmax_that_sharpens(x64):
    g = RNG.gumbel(size=(N, K))
    for tau in (1.0, 0.3):
        y = gumbel.relaxed(jnp.asarray(LOGITS), jnp.asarray(g), jnp.asarray(tau))
        want = special.softmax((special.log_softmax(LOGITS, -1) + g) / tau, -1)
        np.testing.assert_allclose(y, want, rtol=1e-12)
    cold = gumbel.relaxed(jnp.asarray(LOGITS), jnp.asarray(g), jnp.asarray(1e-4))
    np.testing.assert_allclose(cold, np.eye(K)[(LOGITS + g).argmax(-1)], atol=1e-12)


def test_hard_is_one_hot_with_the_gradient_of_relaxed(x64):
    g, w = RNG.gumbel(size=(N, K)), RNG.normal(size=(N, K))

    @jax.jit
    def both(logits):
        sums = [
            lambda x, f=f: jnp.sum(w * f(x, g, jnp.asarray(0.5)))
            for f in (gumbel.hard, gumbel.relaxed)
        ]
        return [jax.value_and_grad(f)(logits) for f in sums]

    slopes = both(LOGITS)
    np.testing.assert_array_equal(slopes[0][1], slopes[1][1])
    chosen = (LOGITS + g).argmax(-1)
    np.testing.assert_allclose(slopes[0][0], w[np.arange(N), chosen].sum())


def test_impossible_codes_stay_impossible():
    logits = jnp.asarray([[0.0, -jnp.inf, 1.0]])
    y = jax.jit(gumbel.relaxed)(logits, jnp.zeros((1, 3)), 1.0)
    assert y[0, 1] == 0
    cost = jax.jit(jax.value_and_grad(gumbel.kl_uniform))
    value, slope = cost(jnp.asarray([[1e4, -1e4, 0.0]]))
    np.testing.assert_allclose(value, np.log(3), rtol=1e-6)
    assert np.isfinite(slope).all()
    p = special.softmax([0.0, 1.0])
    np.testing.assert_allclose(
        cost(logits)[0], np.log(3) + (p * np.log(p)).sum(), rtol=1e-5
    )


def test_cosine_and_exponential_schedules():
    tau = gumbel.cosine(start=1.0, end=1 / 16, steps=100)
    np.testing.assert_allclose(
        [tau(jnp.asarray(i)) for i in (0, 50, 100, 1000)],
        [1, (1 + 1 / 16) / 2, 1 / 16, 1 / 16],
        rtol=1e-6,
    )
    weight = gumbel.cosine(start=0.0, end=6.6, steps=4)
    np.testing.assert_allclose(weight(jnp.asarray(1)), 3.3 * (1 - 0.5**0.5), rtol=1e-6)
    slow = gumbel.exponential(rate=0.01, end=0.5)
    np.testing.assert_allclose(slow(jnp.asarray(20)), np.exp(-0.2), rtol=1e-6)
    assert slow(jnp.asarray(1000)) == 0.5
    assert gumbel.constant(0.7)(jnp.asarray(3)) == pytest.approx(0.7)


def bits(codes):
    """A decoder of four bits, the sum of its codes' rows."""
    return jnp.sum(jnp.asarray(CODEBOOK)[codes], axis=0)


def exact(x, log_prior):
    """log p(x), E_q log p(x | codes) and KL(q || p), over the 9 states of the codes."""
    log_q = special.log_softmax(LOGITS, -1)
    total, terms = -np.inf, []
    for codes in itertools.product(range(K), repeat=N):
        logits = CODEBOOK[list(codes)].sum(0)
        like = (x * logits - np.logaddexp(0, logits)).sum()
        q = log_q[np.arange(N), codes].sum()
        p = float(log_prior(jnp.asarray(codes)))
        terms.append(np.exp(q) * np.array([like, q - p]))
        total = np.logaddexp(total, p + like)
    return total, *np.sum(terms, axis=0)


@pytest.mark.parametrize("name", ["uniform", "unigram"])
def test_the_bound_is_of_whole_codes(name, x64):
    """Its means are the exact ones, and under the uniform prior its KL is the KL."""
    logits = {"uniform": np.zeros(K), "unigram": np.array([0.5, -1.0, 0.2])}[name]
    law = vq.prior.unigram(jnp.asarray(logits))
    x = np.array([1.0, 0, 0, 1])
    options = {"likelihood": likelihoods.bernoulli, "log_prior": law.log_prob}

    @jax.jit
    def evaluate(x):
        encode, rng = lambda x: jnp.asarray(LOGITS), jax.random.key(0)
        return gumbel.bound(encode, bits, rng, x, **options)

    bound = evaluate(np.tile(x, (4000, 1)))
    assert bound.divergences.shape == (4000, 0)
    log_p, reconstruction, kl = exact(x, law.log_prob)
    for got, want in ((bound.reconstruction, reconstruction), (bound.prior, kl)):
        error = np.std(got) / np.sqrt(4000)
        assert abs(np.mean(got) - want) < 4 * error + 1e-12
    assert reconstruction - kl < log_p
    if name == "uniform":
        np.testing.assert_allclose(bound.prior, kl, rtol=1e-12)
        np.testing.assert_allclose(kl, gumbel.kl_uniform(jnp.asarray(LOGITS)))
