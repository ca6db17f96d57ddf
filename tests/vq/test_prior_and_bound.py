"""Priors sum to one and draw what they promise; any of them serves in the bound."""

import itertools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import special, stats

from diffjax import d3pm, vq
from diffjax.core import categorical, likelihoods, oracle
from diffjax.vq import prior, quantizers

K, N = 3, 4
STATES = np.array(list(itertools.product(range(K), repeat=N)))
WEIGHTS = np.random.default_rng(0).normal(size=(N, N, K, K))
LOGITS = np.array([0.3, -0.7, 1.1])


def predict(codes):
    """Causal: the logits of position i are a sum over the codes before it."""
    codes = codes.reshape(N)
    each = jnp.asarray(WEIGHTS)[
        jnp.arange(N)[:, None], jnp.arange(N)[None], codes[None]
    ]
    before = jnp.tril(jnp.ones((N, N)), -1)
    return jnp.sum(each * before[..., None], axis=1)


def laws():
    return {
        "uniform": prior.uniform(K),
        "unigram": prior.unigram(jnp.asarray(LOGITS)),
        "autoregressive": prior.autoregressive(predict),
    }


@pytest.mark.parametrize("name", ["uniform", "unigram", "autoregressive"])
def test_a_prior_is_a_law_and_draws_from_it(name, x64):
    law = laws()[name]
    log_p = jax.jit(jax.vmap(law.log_prob))(STATES)
    np.testing.assert_allclose(np.exp(log_p).sum(), 1, rtol=1e-12)
    keys = jax.random.split(jax.random.key(0), 20_000)
    x = jax.jit(jax.vmap(lambda rng: law.sample(rng, (N,))))(keys)
    seen = np.bincount(
        np.ravel_multi_index(tuple(np.asarray(x).T), (K,) * N), minlength=K**N
    )
    want = np.exp(log_p) * len(x)
    often = want > 5
    seen = np.append(seen[often], seen[~often].sum())
    want = np.append(want[often], want[~often].sum())
    if not want[-1]:
        seen, want = seen[:-1], want[:-1]
    assert stats.chisquare(seen, want).pvalue > 1e-3


def test_uniform_costs_log_K_a_position(x64):
    for shape in ((), (N,), (2, 5)):
        cost = -prior.uniform(512).log_prob(jnp.zeros(shape, jnp.int32))
        np.testing.assert_allclose(cost, np.prod(shape) * np.log(512), rtol=1e-12)


def test_cifar_rate_of_the_paper(x64):
    """8 x 8 x 10 codes of 512: 5760 bits, 1.875 bits/dim of 32 x 32 x 3."""
    cost = -prior.uniform(512).log_prob(jnp.zeros((8, 8, 10), jnp.int32))
    np.testing.assert_allclose(cost / np.log(2), 5760, rtol=1e-12)
    np.testing.assert_allclose(cost / np.log(2) / 3072, 1.875, rtol=1e-12)


def test_the_unigram_rate_is_log_perplexity(x64):
    """The frequencies are the best factorized prior: N log(perplexity) exactly."""
    codes = np.random.default_rng(0).integers(0, 5, (40, N)) ** 2 % 7
    counts = np.asarray(jax.jit(vq.counts, static_argnums=1)(codes, 7))
    assert (counts == 0).any()

    @jax.jit
    def rate_of(logits):
        return -jnp.mean(jax.vmap(prior.unigram(logits).log_prob)(codes))

    rate = rate_of(categorical.log(counts / counts.sum()))
    perplexity = jax.jit(vq.perplexity)(counts)
    np.testing.assert_allclose(rate, N * np.log(perplexity), rtol=1e-12)
    assert rate_of(np.log(counts + 1.0)) > rate


def test_codes_out_of_range_are_nan_under_jit():
    for law in laws().values():
        log_p = jax.jit(law.log_prob)
        assert np.isnan(log_p(jnp.asarray([0, 1, 2, K])))
        assert np.isnan(log_p(jnp.asarray([0, 1, 2, -1])))


class CodesAsTheyAre(NamedTuple):
    """A decoder without parameters that gives back z_q."""

    def init(self, rng, z_q):
        return ()

    def apply(self, params, z_q):
        return z_q


def model(log_prior=None):
    """Four bits decoded from four codes of three; the encoder is the best there is."""
    table = jnp.asarray(np.random.default_rng(1).normal(size=(N, K, 4)) * 2)

    def decode(codes):
        return jnp.sum(table[jnp.arange(N), codes], axis=0)

    def log_likelihood(x, codes):
        return likelihoods.bernoulli(x, decode(codes))

    return decode, oracle.code_model(log_likelihood, K, (N,), log_prior=log_prior)


X = jnp.asarray(np.random.default_rng(2).integers(0, 2, (6, 4)), jnp.float32)


@pytest.mark.parametrize("name", ["uniform", "unigram", "autoregressive"])
def test_the_bound_under_any_prior(name, x64):
    law = laws()[name]
    decode, exact = model(law.log_prob)
    options = {"likelihood": likelihoods.bernoulli, "log_prior": law.log_prob}

    @jax.jit
    def evaluate(x):
        log_p = jax.vmap(lambda x: oracle.code_log_prob(exact, x))(x)
        best = jax.vmap(lambda x: oracle.code_posterior(exact, x))(x).max(-1)
        return vq.bound(oracle.code_encoder(exact), decode, x, **options), log_p, best

    bound, log_p, best = evaluate(X)
    assert bound.reconstruction.shape == bound.prior.shape == (6,)
    assert bound.divergences.shape == (6, 0)
    np.testing.assert_allclose(log_p - bound.elbo, -best, rtol=1e-10)


def test_an_absorbing_diffusion_serves_as_prior(x64):
    """Its elbo is below the log probability of the law it has learnt, and near it."""
    codes = jnp.asarray(STATES[::7])  # the codes that occur, all alike
    family = d3pm.transitions.absorbing(1 / np.arange(5, 0, -1), K + 1, mask=K)
    denoise = oracle.discrete_denoiser(codes, family)

    def log_prior(codes):
        terms = d3pm.bound(denoise, family, jax.random.key(0), codes[None])
        return terms.elbo[0]

    def of_code(x):
        return x.astype(jnp.int32)

    @jax.jit
    def evaluate(x):
        known = lambda codes: 50.0 * jax.nn.one_hot(codes, K)  # noqa: E731
        return vq.bound(
            of_code, known, x, likelihood=likelihoods.categorical, log_prior=log_prior
        )

    bound = evaluate(codes)
    np.testing.assert_allclose(bound.reconstruction, 0, atol=1e-12)
    mean, error = np.mean(bound.prior), np.std(bound.prior) / np.sqrt(len(codes))
    entropy = np.log(len(codes))
    assert entropy - 4 * error < mean < 1.3 * entropy < N * np.log(K)


def test_the_prior_may_draw_with_another_chapter(x64):
    """Two functions are a prior; this one has learnt a single state of the codes."""
    family = d3pm.transitions.absorbing(1 / np.arange(2, 0, -1), K + 1, mask=K)
    denoise = oracle.discrete_denoiser(jnp.asarray(STATES[5:6]), family)
    law = prior.Prior(
        lambda codes: d3pm.bound(denoise, family, jax.random.key(0), codes[None]).elbo[
            0
        ],
        lambda rng, shape: d3pm.sample(denoise, family, rng, (1, *shape))[0],
    )
    draw = vq.sampler(CodesAsTheyAre(), quantizers.finite_scalar([K]), law, (N,))
    x = jax.jit(draw, static_argnums=2)(
        {"dec": (), "codebook": ()}, jax.random.key(1), 3
    )
    want = vq.fsq_lookup(jnp.asarray(STATES[5]), [K])
    np.testing.assert_array_equal(x, jnp.tile(want[None], (3, 1, 1)))


def test_autoregressive_prior_of_an_image_is_in_raster_order(x64):
    law = prior.autoregressive(lambda codes: predict(codes).reshape(2, 2, K))
    flat = laws()["autoregressive"]
    of_image, of_row = jax.jit(law.log_prob), jax.jit(flat.log_prob)
    np.testing.assert_allclose(
        of_image(STATES[31].reshape(2, 2)), of_row(STATES[31]), rtol=1e-12
    )
    image, row = (
        jax.jit(p.sample, static_argnums=1)(jax.random.key(5), shape)
        for p, shape in ((law, (2, 2)), (flat, (N,)))
    )
    np.testing.assert_array_equal(np.ravel(image), row)


def test_unigram_logits_need_not_be_normalised(x64):
    want = special.log_softmax(LOGITS)[STATES[5]].sum()
    got = prior.unigram(jnp.asarray(LOGITS + 7)).log_prob(jnp.asarray(STATES[5]))
    np.testing.assert_allclose(got, want, rtol=1e-12)
