"""The forward process against Bayes' rule, written out in NumPy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import special

from d3pm import tables
from diffjax.core import categorical
from diffjax.d3pm import process

T, K = 4, 5
PAIRS = [(0, 1), (0, 4), (1, 2), (2, 4), (3, 4)]


# One program for all laws: their tables have one shape.
marginal = jax.jit(process.marginal_logits)


@jax.jit
def posterior(family, x_0, x_t, t, s=None):
    return process.posterior_logits(family, x_0, x_t, t, s=s)


def brute_posterior(Q, s, t, x_0, x_t):
    """q(x_s | x_t, x_0) by Bayes' rule, or None where the pair is impossible."""
    joint = Q[0, s][x_0] * Q[s, t][:, x_t]
    return joint / joint.sum() if joint.sum() > 0 else None


@pytest.mark.parametrize("law", tables.LAWS)
def test_marginal_is_the_row_of_the_product(law, x64):
    family = law(T, K)
    x_0 = np.arange(K)
    for t in range(T + 1):
        logits = marginal(family, x_0, t)
        np.testing.assert_allclose(
            np.exp(logits), tables.products(family)[0, t], atol=1e-13
        )


@pytest.mark.parametrize("law", tables.LAWS)
def test_marginal_of_a_law_of_x_0(law, x64):
    family = law(T, K)
    logits = np.random.default_rng(0).normal(size=(2, 3, K))
    p_0 = special.softmax(logits, axis=-1)
    for t in range(T + 1):
        got = marginal(family, logits, t)
        np.testing.assert_allclose(
            np.exp(got), p_0 @ tables.products(family)[0, t], atol=1e-13
        )


@pytest.mark.parametrize("law", tables.LAWS)
@pytest.mark.parametrize("s, t", PAIRS)
def test_posterior_is_bayes_rule(law, s, t, x64):
    family = law(T, K)
    Q = tables.products(family)
    got = np.asarray(posterior(family, *np.mgrid[:K, :K], t, s))
    assert got.shape == (K, K, K)
    for a in range(K):
        for b in range(K):
            want = brute_posterior(Q, s, t, a, b)
            if want is None:
                assert np.all(np.isneginf(got[a, b]))
            else:
                np.testing.assert_allclose(np.exp(got[a, b]), want, atol=1e-13)
                np.testing.assert_array_equal(np.isneginf(got[a, b]), want == 0)


@pytest.mark.parametrize("law", tables.LAWS)
def test_posterior_summed_over_x_s_gives_the_marginal_back(law, x64):
    family = law(T, K)
    Q = tables.products(family)
    s, t = 1, 3
    for x_0 in range(K):
        total = np.zeros(K)
        for x_t in range(K):
            if Q[0, t][x_0, x_t] > 0:
                logits = posterior(family, x_0, x_t, t, s)
                total += Q[0, t][x_0, x_t] * np.exp(logits)
        np.testing.assert_allclose(total, Q[0, s][x_0], atol=1e-13)


@pytest.mark.parametrize("law", tables.LAWS)
def test_posterior_of_a_certain_law_is_that_of_the_integer(law, x64):
    family = law(T, K)
    x = np.array([0, 1, 2])
    certain = categorical.one_hot(jnp.asarray(x), K)
    np.testing.assert_allclose(
        np.exp(posterior(family, certain, x, 3)),
        np.exp(posterior(family, x, x, 3)),
        atol=1e-14,
    )


def test_default_is_one_step_back(x64):
    family = tables.random(T, K)
    x_0, x_t = jnp.asarray([[0, 1], [3, 4]]), jnp.asarray([[1, 1], [3, 0]])
    a = process.posterior_logits(family, x_0, x_t, 3)
    b = process.posterior_logits(family, x_0, x_t, 3, s=2)
    np.testing.assert_array_equal(a, b)
    assert a.shape == (2, 2, K)


def test_transition_is_the_row_between(x64):
    family = tables.random(T, K)
    Q = tables.products(family)
    x_s = jnp.arange(K)
    got = process.transition_logits(family, x_s, 3, s=1)
    np.testing.assert_allclose(np.exp(got), Q[1, 3], atol=1e-13)
    one_step = process.transition_logits(family, x_s, 3)
    np.testing.assert_allclose(np.exp(one_step), Q[2, 3], atol=1e-13)


@jax.jit
@jax.grad
def slope(logits, family, t):
    log_p = process.posterior_logits(family, logits, jnp.arange(K), t)
    return jnp.sum(jnp.where(log_p > -jnp.inf, log_p, 0))


@pytest.mark.parametrize("law", tables.LAWS)
def test_gradients_are_finite_where_probabilities_are_zero(law):
    family = law(T, K)
    for t in range(1, T + 1):
        for logits in (np.zeros((K, K)), np.eye(K) * 30):
            assert np.isfinite(slope(logits, family, t)).all()


def test_the_step_may_be_traced():
    family = tables.uniform(T, K)
    posterior = jax.jit(process.posterior_logits)
    x = jnp.asarray([0, 1])
    for t in range(1, T + 1):
        np.testing.assert_allclose(
            posterior(family, x, x, jnp.asarray(t)),
            process.posterior_logits(family, x, x, t),
            rtol=1e-6,
        )
    assert posterior._cache_size() == 1


@pytest.mark.optimized
@pytest.mark.slow
def test_diffuse_never_leaves_the_support():
    """10^7 draws of a law with zeros; the noise may be as large as it likes."""
    family = tables.absorbing(T, 3)
    x_0 = np.zeros(500_000, np.int32)

    @jax.jit
    def counts(key, x_0):
        noise = jax.random.gumbel(key, (*x_0.shape, 3), mode="high")
        return jnp.bincount(process.diffuse(family, x_0, noise, 2), length=3)

    keys = jax.random.split(jax.random.key(0), 20)
    total = sum(np.asarray(counts(key, x_0)) for key in keys)
    assert total.sum() == 10_000_000
    assert total[1] == 0


@jax.jit
def diffused(family, rng, x_0):
    noise = jax.random.gumbel(rng, (*x_0.shape, K), mode="high")
    return process.diffuse(family, x_0, noise, 2)


@pytest.mark.parametrize("law", tables.LAWS)
def test_diffuse_has_the_law_of_the_marginal(law):
    family = law(T, K)
    num = 40_000
    for x_0 in range(0, K, 2):
        x_t = diffused(family, jax.random.key(x_0), np.full(num, x_0))
        want = tables.products(family)[0, 2][x_0]
        got = np.bincount(x_t, minlength=K)
        assert tables.p_value(got, want) > 1e-4


def test_bad_input_is_named():
    family = tables.uniform(T, K)
    good = jnp.asarray([0, 1])
    with pytest.raises(
        ValueError, match="expected x_0 in 0..4, got values from 0 to 5"
    ):
        process.marginal_logits(family, jnp.asarray([0, 5]), 1)
    with pytest.raises(ValueError, match="expected x_t in 0..4, got values from -1"):
        process.posterior_logits(family, good, jnp.asarray([0, -1]), 1)
    with pytest.raises(ValueError, match="expected integer x_t"):
        process.posterior_logits(family, good, jnp.asarray([0.0, 1.0]), 1)
    with pytest.raises(ValueError, match="expected 0 <= s < t, got s = 2, t = 2"):
        process.posterior_logits(family, good, good, 2, s=2)
    with pytest.raises(ValueError, match="expected 1 <= t <= T = 4"):
        process.posterior_logits(family, good, good, 5)
    with pytest.raises(ValueError, match="expected logits .*K = 5"):
        process.marginal_logits(family, jnp.zeros((2, 4)), 1)
    with pytest.raises(ValueError, match="expected x_s in 0..4"):
        process.transition_logits(family, jnp.asarray([7]), 1)
