"""The top-down HVAE: closed forms of its posteriors, scans, weights, samples."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from diffjax import hvae
from hvae import toys

KEY = jax.random.key(0)
RNG = np.random.default_rng(0)
PRIOR, SAID = tuple(RNG.normal(size=(2, 3))), tuple(RNG.normal(size=(2, 3)))


def test_residual_posterior(x64):
    """q = N(mean_p + dmean, (sigma_p dsigma)^2), its KL from the densities."""
    mean, log_var = hvae.RESIDUAL.moments(SAID, PRIOR)
    np.testing.assert_allclose(mean, PRIOR[0] + SAID[0], rtol=1e-12)
    sigma = np.exp(0.5 * np.asarray(PRIOR[1])) * np.exp(0.5 * np.asarray(SAID[1]))
    np.testing.assert_allclose(np.exp(0.5 * log_var), sigma, rtol=1e-12)
    sigma_p = np.exp(0.5 * np.asarray(PRIOR[1]))
    wanted = quadrature_kl(mean, sigma, PRIOR[0], sigma_p)
    np.testing.assert_allclose(hvae.RESIDUAL.kl(SAID, PRIOR), wanted, rtol=1e-9)
    # NVAE's own form, 1/2 (dmean^2 / sigma_p^2 + dsigma^2 - log dsigma^2 - 1)
    ratio = np.exp(np.asarray(SAID[1]))
    form = 0.5 * np.sum((SAID[0] / sigma_p) ** 2 + ratio - np.log(ratio) - 1)
    np.testing.assert_allclose(hvae.RESIDUAL.kl(SAID, PRIOR), form, rtol=1e-12)


def quadrature_kl(mean_q, sigma_q, mean_p, sigma_p):
    nodes, weights = np.polynomial.hermite_e.hermegauss(20)
    z = np.asarray(mean_q)[:, None] + sigma_q[:, None] * nodes
    q = stats.norm.logpdf(z, np.asarray(mean_q)[:, None], sigma_q[:, None])
    p = stats.norm.logpdf(z, np.asarray(mean_p)[:, None], sigma_p[:, None])
    return np.sum((q - p) @ weights) / weights.sum()


def test_precision_weighted_posterior_is_the_product_of_the_two(x64):
    mean, log_var = hvae.PRECISION.moments(SAID, PRIOR)
    grid = np.linspace(-30, 30, 60_001)
    for k in range(3):
        product = stats.norm.pdf(grid, SAID[0][k], np.exp(0.5 * SAID[1][k]))
        product *= stats.norm.pdf(grid, PRIOR[0][k], np.exp(0.5 * PRIOR[1][k]))
        product /= product.sum()
        np.testing.assert_allclose(mean[k], product @ grid, rtol=1e-9)
        second = product @ (grid - float(mean[k])) ** 2
        np.testing.assert_allclose(jnp.exp(log_var[k]), second, rtol=1e-9)
    sigmas = [np.exp(0.5 * np.asarray(v)) for v in (log_var, PRIOR[1])]
    wanted = quadrature_kl(mean, sigmas[0], PRIOR[0], sigmas[1])
    np.testing.assert_allclose(hvae.PRECISION.kl(SAID, PRIOR), wanted, rtol=1e-9)


def test_residual_kl_keeps_its_digits_far_from_zero():
    """In float32 a prior mean of 1e6 swallows dmean; the KL does not see it."""
    prior, said = (jnp.full(1, 1e6), jnp.zeros(1)), (jnp.full(1, 1e-3), jnp.zeros(1))
    np.testing.assert_allclose(hvae.RESIDUAL.kl(said, prior), 0.5e-6, rtol=1e-5)


@partial(jax.jit, static_argnums=1)
@jax.value_and_grad
def kl_and_means(size, posterior):
    said, prior = (
        (jnp.ones(2), jnp.full(2, size)),
        (jnp.zeros(2), jnp.full(2, -size)),
    )
    return posterior.kl(said, prior) + jnp.sum(posterior.moments(said, prior)[0])


@pytest.mark.parametrize("posterior", [hvae.ABSOLUTE, hvae.RESIDUAL, hvae.PRECISION])
@pytest.mark.parametrize("size", [-20.0, 20.0])
def test_extreme_log_variances_are_finite_in_float32(posterior, size):
    value, slope = kl_and_means(size, posterior)
    assert np.isfinite(value) and np.isfinite(slope)


# A nonlinear ladder: h is 3 numbers, z_i too -----------------------------------------

L = 4
TABLES = 0.4 * RNG.normal(size=(3, L + 1, 3, 3))
X = RNG.normal(size=(5, 3))


def stacks(make):
    up, down, mix = (jnp.asarray(t, jnp.float32) for t in TABLES)
    encode = make(lambda i, h, x: (jnp.tanh(up[i] @ (h + x)), -0.3 * jnp.sin(h)))
    prior = make(lambda i, h: (down[i] @ h, 0.2 * jnp.cos(h)))
    merge = make(lambda i, h, z: jnp.tanh(mix[i] @ z) + h)
    return encode, hvae.Ladder(jnp.ones(3), prior, merge, lambda h: (h, jnp.zeros(())))


def unrolled(f):
    return hvae.own(*[lambda *a, i=i: f(i, *a) for i in range(1, L + 1)])


def test_terms_by_hand():
    """One example, a layer at a time in NumPy, the densities those of SciPy."""
    encode, decode = stacks(unrolled)
    x, eps = X[0].astype(np.float32), RNG.normal(size=(L, 3)).astype(np.float32)
    up, down, mix = TABLES
    h, kls, ratio = np.ones(3), {}, 0.0
    for i in range(L, 0, -1):
        q = np.tanh(up[i] @ (h + x)), np.exp(-0.15 * np.sin(h))
        p = down[i] @ h, np.exp(0.1 * np.cos(h))
        z = q[0] + q[1] * eps[i - 1]
        kls[i] = quadrature_kl(*q, *p)
        ratio += np.sum(stats.norm.logpdf(z, *q) - stats.norm.logpdf(z, *p))
        h = np.tanh(mix[i] @ z) + h
    log_p = np.sum(stats.norm.logpdf(x, h))

    @jax.jit
    def evaluate(x):
        args = encode, decode, lambda i, mean: jnp.asarray(eps)[i - 1], x
        terms = hvae.ladder.terms(*args, likelihood=toys.likelihood)
        return terms, hvae.ladder.log_weight(*args, likelihood=toys.likelihood)

    bound, weight = evaluate(x)
    np.testing.assert_allclose(bound.reconstruction, log_p, rtol=1e-5)
    np.testing.assert_allclose(
        bound.divergences, [kls[i] for i in range(1, L)], rtol=1e-4
    )
    np.testing.assert_allclose(bound.prior, kls[L], rtol=1e-4)
    np.testing.assert_allclose(weight, log_p - ratio, rtol=1e-5)


def test_alike_rungs_are_own_rungs_in_one_scan():
    x = jnp.asarray(X, jnp.float32)

    def evaluate(make):
        encode, decode = stacks(make)
        args = encode, decode, KEY, x
        bound = lambda: hvae.ladder.bound(*args, likelihood=toys.likelihood)  # noqa: E731
        return jax.jit(lambda: (bound(), hvae.ladder.sample(decode, KEY, 3)))()

    one, other = (evaluate(m) for m in (unrolled, lambda f: hvae.alike(f, L)))
    assert one[0].divergences.shape == (5, L - 1)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4), one, other)


def test_features_are_made_once_for_all_layers():
    calls = []

    def features(x):
        calls.append(1)
        return 2 * x

    encode, decode = stacks(unrolled)

    def bound(encode, **options):
        args = encode, decode, KEY, np.float32(X)
        f = lambda: hvae.ladder.bound(*args, likelihood=toys.likelihood, **options)  # noqa: E731
        return jax.jit(f)()

    got = bound(encode, features=features)
    assert len(calls) == 1
    doubled = encode._replace(at=lambda i, h, x: encode.at(i, h, 2 * x))
    wanted = bound(doubled)
    np.testing.assert_allclose(got.rate, wanted.rate, rtol=1e-5)


def test_samples_have_the_moments_of_the_prior():
    """A ladder that only adds: x = sum of independent layers."""
    prior = hvae.alike(lambda i, h: (jnp.ones(2), jnp.log(2.0 * i)), 3)
    merge = hvae.alike(lambda i, h, z: h + z, 3)
    decode = hvae.Ladder(jnp.zeros(2), prior, merge, lambda h: h)
    x = np.asarray(jax.jit(lambda: hvae.ladder.sample(decode, KEY, 20_000))())
    np.testing.assert_allclose(x.mean(0), [3, 3], atol=4 * np.sqrt(12 / 20_000))
    np.testing.assert_allclose(np.cov(x.T), 12 * np.eye(2), atol=0.6)
    half = hvae.ladder.sample(decode, KEY, 20_000, temperature=lambda i: 0.5)
    np.testing.assert_allclose(half, 3 + (x - 3) / 2, atol=1e-5)
