"""The bound: its shapes, its terms, and the units it is told in."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from d3pm import exact, tables
from diffjax.core import chain, oracle
from diffjax.d3pm import likelihood, predict, transitions
from diffjax.d3pm.likelihood import bound

T, K = 5, 4
POINTS = np.array([[0, 1, 2], [0, 0, 1], [2, 1, 0]])


# Families of one shape share a program: they are arguments, not constants.
jitted = jax.jit(bound, static_argnums=0, static_argnames="predict")


def network(x_t, t):
    """Some function of (x_t, t) with every category possible."""
    phase = x_t[..., None] * 1.3 + jnp.arange(K).reshape((1,) * x_t.ndim + (K,))
    return 2 * jnp.sin(phase + t)


@pytest.mark.parametrize("shape", [(3,), (2, 2, 1)])
@pytest.mark.parametrize("law", [tables.uniform, tables.banded])
def test_shapes_and_signs(law, shape):
    x_0 = jax.random.randint(jax.random.key(0), (6, *shape), 0, K)
    got = jitted(network, law(T, K), jax.random.key(1), x_0)
    assert got.reconstruction.shape == got.prior.shape == (6,)
    assert got.divergences.shape == (6, T - 1)
    assert (got.divergences >= 0).all() and (got.prior >= 0).all()
    assert (got.reconstruction <= 0).all()


def masked_network(x_t, t):
    return network(x_t, t).at[..., K - 1].set(-jnp.inf)


@pytest.mark.parametrize("law", tables.LAWS)
@pytest.mark.parametrize(
    "parameterization, ts",
    [(predict.joint, [5, 4, 3, 2, 1, 0]), (predict.posterior_mean, [5, 2, 0])],
)
def test_every_term_has_the_exact_mean(law, parameterization, ts, x64):
    """4000 draws of each term against its expectation over every x_t."""
    family, num = law(T, K), 4000
    x_0 = POINTS[1]
    batch = np.broadcast_to(x_0, (num, 3))
    grid = np.array(ts)
    got = jitted(
        masked_network,
        family,
        jax.random.key(0),
        batch,
        predict=parameterization,
        ts=grid,
    )
    terms = np.concatenate([-got.reconstruction[:, None], got.divergences], axis=1)
    want = exact.expected_terms(
        masked_network,
        family,
        x_0[None],
        np.ones(1),
        predict=parameterization,
        ts=ts[::-1],
    )
    error = terms.std(0) / np.sqrt(num) + 1e-12
    assert terms.shape == (num, len(want))
    assert (np.abs(terms.mean(0) - want) < 5 * error).all()
    want_prior = exact.expected_prior(family, x_0[None], np.ones(1))
    np.testing.assert_allclose(got.prior, want_prior, rtol=1e-10, atol=1e-14)


def test_reconstruction_is_the_first_step_under_the_parameterization(x64):
    """Uniform, by hand: E log p(x_0 | x_1) with eq. 4 at t = 1."""
    beta, p = 0.3, np.array([0.5, 0.2, 0.2, 0.1])
    family = transitions.uniform([beta, 0.9], K)
    Q = (1 - beta) * np.eye(K) + beta / K
    x_0 = 1
    # p(x_0 | x_1) = p(x_0) Q[x_0, x_1] / sum_k p(k) Q[k, x_1]
    log_p = np.log(p[x_0] * Q[x_0] / (p @ Q))
    want = np.sum(Q[x_0] * log_p)
    got = jitted(
        lambda x_t, t: jnp.log(p)[None],
        family,
        jax.random.key(0),
        np.full((20_000, 1), x_0),
    )
    mean, error = np.mean(got.reconstruction), np.std(got.reconstruction) / 141
    assert abs(mean - want) < 4 * error


def test_prior_of_absorbing_is_infinite_unless_all_is_masked():
    data = np.array([[0, 1]])
    for betas, finite in (([0.3, 0.5], False), ([0.3, 1.0], True)):
        family = transitions.absorbing(betas, K, mask=K - 1)
        got = jitted(network, family, jax.random.key(0), data)
        assert np.isfinite(got.prior).all() == finite
        assert np.isfinite(got.elbo).all() == finite


def test_prior_is_not_forgotten(x64):
    """A short uniform chain: KL(q(x_T | x_0) || uniform), by hand."""
    family = transitions.uniform([0.5], K)
    got = jitted(network, family, jax.random.key(0), np.array([[0, 1]]))
    q = np.array([0.5 + 0.125, 0.125, 0.125, 0.125])
    np.testing.assert_allclose(got.prior, 2 * np.sum(q * np.log(q * K)), rtol=1e-6)
    np.testing.assert_allclose(got.elbo, got.reconstruction - got.prior)


def test_a_batch_may_be_cut():
    family, x_0 = transitions.uniform([0.1, 0.2, 0.4], K), POINTS
    keys = chain.example_keys(jax.random.key(3), 3)
    whole = jitted(network, family, keys, x_0)
    for i in range(3):
        part = jitted(network, family, keys[i : i + 1], x_0[i : i + 1])
        np.testing.assert_allclose(part.elbo[0], whole.elbo[i], rtol=1e-6)


def test_one_program_for_every_grid_of_a_length():
    family = transitions.uniform(np.linspace(0.1, 0.5, 20), K)
    traces = []

    @jax.jit
    def run(ts):
        traces.append(1)
        return bound(network, family, jax.random.key(0), POINTS, ts=ts).elbo

    for ts in ([20, 10, 0], [20, 5, 0], [7, 3, 0]):
        assert np.isfinite(run(np.array(ts))).all()
    assert len(traces) == 1


def test_memory_does_not_grow_with_T():
    def temporaries(T):
        family = transitions.uniform(np.full(T, 0.1), 64)
        x_0 = jnp.zeros((4, 50), jnp.int32)
        run = jax.jit(
            lambda rng: bound(lambda x, t: jnp.zeros((50, 64)), family, rng, x_0).elbo
        )
        return run.lower(jax.random.key(0)).compile().memory_analysis()

    short, long = temporaries(10), temporaries(1000)
    grown = long.temp_size_in_bytes - short.temp_size_in_bytes
    assert grown < 4 * 4 * 1000 * 4  # a few scalars an example and step


def test_units():
    np.testing.assert_allclose(likelihood.bits_per_char(np.log(2) * 30.0, 10), 3)
    np.testing.assert_allclose(
        likelihood.perplexity_per_token(jnp.log(7.0) * 5, 5), 7, rtol=1e-6
    )
    nats, words = jnp.asarray([10.0, 20.0]), jnp.asarray([3, 7])
    np.testing.assert_allclose(
        likelihood.perplexity_per_word(nats, words), np.exp(3), rtol=1e-6
    )
    with pytest.raises(ValueError, match="expected num_tokens >= 1, got 0"):
        likelihood.perplexity_per_token(nats, 0)
    with pytest.raises(ValueError, match="expected nats and num_words of one shape"):
        likelihood.perplexity_per_word(nats, 3)
    with pytest.raises(ValueError, match="expected num_dims >= 1"):
        likelihood.bits_per_char(nats, 0)


def test_bad_input_is_named():
    family = transitions.uniform([0.1, 0.2], K)
    rng = jax.random.key(0)
    with pytest.raises(
        ValueError, match="expected x_0 in 0..3, got values from 0 to 4"
    ):
        bound(network, family, rng, jnp.asarray([[0, 4]]))
    with pytest.raises(ValueError, match="expected integer x_0 .* got dtype float32"):
        bound(network, family, rng, jnp.zeros((1, 2)))
    with pytest.raises(ValueError, match="expected ts to descend"):
        bound(network, family, rng, POINTS, ts=[0, 1, 2])
    with pytest.raises(ValueError, match="expected one key or 3 keys, got 2"):
        bound(network, family, jax.random.split(rng, 2), POINTS)


def test_under_jit_a_bad_token_gives_nan():
    family = transitions.uniform([0.1, 0.2], K)
    bad = np.array([[0, 1], [0, 4], [-1, 2]])
    elbo = jitted(network, family, jax.random.key(0), bad).elbo
    np.testing.assert_array_equal(np.isnan(elbo), [False, True, True])


def test_oracle_bound_in_float32_has_no_nan():
    family = transitions.absorbing([0.2, 0.5, 1.0], K, mask=K - 1)
    denoise = oracle.discrete_denoiser(POINTS, family)
    got = jitted(denoise, family, jax.random.key(0), POINTS)
    assert np.isfinite(got.elbo).all()
