"""Theorems T11, T17 and T19: the bound of a discrete VAE, its codebook, its gradients.

`reference/autoencoders.md` section 3.
"""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import special, stats
from scipy.spatial.distance import cdist

from diffjax import vq
from diffjax.core import gaussian, oracle
from diffjax.vq import gumbel

RNG = np.random.default_rng(0)


# T11: K = 4 codes at N = 3 positions, a Gaussian decoder; 64 states of the codes.
K, N, D = 4, 3, 5
CODEBOOK = RNG.normal(size=(K, 2))
WEIGHT = RNG.normal(size=(N, 2, D))
X = RNG.normal(size=(7, D)) * 2


def decode(codes):
    return jnp.einsum("nd,ndx->x", jnp.asarray(CODEBOOK)[codes], jnp.asarray(WEIGHT))


def likelihood(x, mean):
    return gaussian.log_prob(x, mean, jnp.log(0.5))


def brute():
    """log p(x | codes) by SciPy for every x and all 64 states, [7, 64]."""
    every = list(itertools.product(range(K), repeat=N))
    means = [
        sum(CODEBOOK[c] @ WEIGHT[i] for i, c in enumerate(codes)) for codes in every
    ]
    normal = stats.norm.logpdf(X[:, None], np.array(means), np.sqrt(0.5)).sum(-1)
    return np.array(every), normal


def test_t11_bound_and_gap_of_any_point_mass():
    """log p - elbo = -log p(codes | x), whichever of the 64 states one encodes to."""
    every, log_likelihood = brute()
    log_p = special.logsumexp(log_likelihood, axis=1) - N * np.log(K)
    log_prior = vq.prior.uniform(K).log_prob

    @jax.jit
    def terms(codes):
        return vq.bound(
            lambda x: codes,
            decode,
            jnp.asarray(X),
            likelihood=likelihood,
            log_prior=log_prior,
        )

    bound = jax.vmap(terms)(jnp.asarray(every))
    np.testing.assert_allclose(bound.prior, np.full((64, 7), N * np.log(K)), rtol=1e-12)
    np.testing.assert_allclose(bound.reconstruction, log_likelihood.T, rtol=1e-12)
    gap = log_p[None] - bound.elbo
    posterior = log_likelihood - N * np.log(K) - log_p[:, None]
    np.testing.assert_allclose(gap, -posterior.T, rtol=1e-10, atol=1e-12)
    assert (gap >= 0).all()


def test_t11_the_best_encoder_is_the_most_probable_state():
    exact = oracle.code_model(lambda x, c: likelihood(x, decode(c)), K, (N,))
    every, log_likelihood = brute()
    codes = jax.vmap(oracle.code_encoder(exact))(jnp.asarray(X))
    np.testing.assert_array_equal(codes, every[log_likelihood.argmax(1)])
    log_p = jax.vmap(lambda x: oracle.code_log_prob(exact, x))(jnp.asarray(X))
    want = special.logsumexp(log_likelihood, axis=1) - N * np.log(K)
    np.testing.assert_allclose(log_p, want, rtol=1e-12)


# T17: the codebook of moving averages is online k-means.
def cloud(num=96, width=2, size=6):
    z = RNG.normal(size=(num, width))
    return jnp.asarray(z), jnp.asarray(RNG.normal(size=(size, width)) * 0.5)


def test_t17_without_memory_and_smoothing_it_is_lloyd():
    z, codebook = cloud()
    state = vq.ema_init(codebook)
    for _ in range(5):
        codes, _ = vq.quantize(state.codebook, z)
        near = cdist(z, state.codebook).argmin(-1)
        means = np.array(
            [np.asarray(z)[near == k].mean(0) for k in range(6)]  # none is empty here
        )
        state = vq.ema_update(state, z, codes, decay=0, smoothing=0)
        np.testing.assert_allclose(state.codebook, means, rtol=1e-12)


def test_t17_with_memory_it_is_macqueens_step():
    """e moves by the share (1 - decay) c / n of the way to the mean of its vectors."""
    z, codebook = cloud()
    state = vq.ema_init(codebook)
    for _ in range(3):
        codes, _ = vq.quantize(state.codebook, z)
        count = np.bincount(codes, minlength=6)
        means = np.array([np.asarray(z)[codes == k].mean(0) for k in range(6)])
        moved = vq.ema_update(state, z, codes, decay=0.9, smoothing=0)
        rate = (0.1 * count / moved.n)[:, None]
        want = state.codebook + rate * (means - state.codebook)
        np.testing.assert_allclose(moved.codebook, want, rtol=1e-10)
        state = moved


def test_t17_smoothing_conserves_the_sum():
    n = RNG.gamma(0.3, size=50) * 10
    for eps in (0, 1e-5, 0.1, 10):
        smooth = vq.laplace(jnp.asarray(n), eps)
        np.testing.assert_allclose(smooth.sum(), n.sum(), rtol=1e-12)
        if eps:
            assert smooth.min() > n.min() and smooth.max() < n.max()


def test_t17_four_devices_are_one():
    """Averages and perplexity of a batch in four parts; the mean of four is another."""
    z, codebook = cloud()
    z = z[jnp.argsort(z[:, 0])]  # the devices see different vectors
    parts, state = z.reshape(4, 24, 2), vq.ema_init(codebook)

    def device(z, axis_name):
        codes, _ = vq.quantize(state.codebook, z)
        counts = vq.counts(codes, 6, axis_name=axis_name)
        moved = vq.ema_update(state, z, codes, decay=0.9, axis_name=axis_name)
        return moved, vq.perplexity(counts)

    want, perplexity = jax.jit(lambda z: device(z, None))(z)
    split = jax.vmap(lambda z: device(z, "devices"), axis_name="devices")
    every, both = jax.jit(split)(parts)
    for i in range(4):
        for got, whole in zip(every, want, strict=True):
            np.testing.assert_allclose(got[i], whole, rtol=1e-12)
    np.testing.assert_allclose(both, np.full(4, perplexity), rtol=1e-12)
    local = jnp.mean(jax.jit(jax.vmap(lambda z: device(z, None)[1]))(parts))
    assert local < 0.8 * perplexity


# T19: straight-through gradients, Gumbel's draws, KL to the uniform law, FSQ's codes.
def test_t19_the_gradient_passes_straight_through():
    z, codebook = cloud()
    _, z_q = vq.quantize(codebook, z)
    decode = lambda z: jnp.sum(jnp.cos(z) * z**2)  # noqa: E731

    def through(z):
        return decode(vq.straight_through(z, vq.quantize(codebook, z)[1]))

    value, slope = jax.value_and_grad(through)(z)
    want, want_slope = jax.value_and_grad(decode)(z_q)
    assert value == want
    np.testing.assert_array_equal(slope, want_slope)


@pytest.mark.parametrize("temperature", [0.1, 1.0, 5.0])
def test_t19_the_largest_relaxed_weight_is_a_categorical_draw(temperature):
    logits = jnp.asarray([0.0, 1.0, -2.0, 2.0])
    noise = jax.random.gumbel(jax.random.key(0), (50_000, 4), mode="high")
    y = gumbel.relaxed(
        jnp.broadcast_to(logits, noise.shape), noise, jnp.asarray(temperature)
    )
    seen = np.bincount(np.argmax(y, -1), minlength=4)
    want = 50_000 * special.softmax(np.asarray(logits))
    assert stats.chisquare(seen, want).pvalue > 1e-3


def test_t19_kl_to_uniform_is_between_zero_and_log_k():
    logits = RNG.normal(size=(200, 1, 6)) * np.logspace(-3, 3, 200)[:, None, None]
    kl = jax.jit(jax.vmap(gumbel.kl_uniform))(jnp.asarray(logits))
    q = special.softmax(logits[:, 0], axis=-1)
    want = np.log(6) - special.entr(q).sum(-1)
    np.testing.assert_allclose(kl, want, rtol=1e-8, atol=1e-14)
    assert (kl >= 0).all() and (kl <= np.log(6) + 1e-14).all()
    assert gumbel.kl_uniform(jnp.zeros((3, 6))) == 0
    certain = jnp.where(jnp.eye(6) > 0, 0.0, -jnp.inf)  # six positions
    np.testing.assert_allclose(gumbel.kl_uniform(certain), 6 * np.log(6), rtol=1e-14)


@pytest.mark.parametrize("levels", [[3], [8, 5, 5, 5], [4, 3, 5], [8, 6, 5]])
def test_t19_codes_of_fsq_are_a_bijection(levels):
    """Every code has a grid point of its own, and the grid point has the code."""
    total = np.prod(levels)
    points = vq.fsq_lookup(jnp.arange(total), levels)
    assert len(np.unique(points, axis=0)) == total == vq.fsq_size(levels)
    L = np.array(levels)
    half, offset = (L - 1) * 1.001 / 2, np.where(L % 2 == 0, 0.5, 0)
    bounded = (np.asarray(points) * (L // 2) + offset) / half
    z = np.arctanh(bounded) - np.arctanh(offset / half)  # what tanh sends there
    codes, z_q = vq.fsq(jnp.asarray(z), levels)
    np.testing.assert_array_equal(codes, np.arange(total))
    np.testing.assert_array_equal(z_q, points)
