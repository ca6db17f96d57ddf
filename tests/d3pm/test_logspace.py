"""Categorical algebra with structural zeros, against plain probabilities."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from diffjax.core import categorical, noise
from diffjax.d3pm import likelihood

P = np.array([[0.2, 0.0, 0.5, 0.3], [0.0, 1.0, 0.0, 0.0]])
Q = np.array([[0.1, 0.9, 0.0], [0.3, 0.3, 0.4], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])


def logs(p):
    return categorical.log(jnp.asarray(p))


matmul, normalise, kl = map(
    jax.jit, (categorical.log_matmul, categorical.normalise, categorical.kl)
)


def test_log_matmul_is_the_product(x64):
    got = matmul(logs(P), logs(Q))
    np.testing.assert_allclose(np.exp(got), P @ Q, atol=1e-15)
    np.testing.assert_array_equal(np.isneginf(got), P @ Q == 0)
    scaled = matmul(logs(P) - 5000, logs(Q) - 3000)
    np.testing.assert_allclose(scaled, got - 8000, rtol=1e-12)


def test_log_matmul_of_impossible_rows_and_columns():
    zero = jnp.full((1, 4), -jnp.inf)
    assert np.isneginf(matmul(zero, logs(Q))).all()
    slope = jax.jit(jax.grad(lambda v: jnp.exp(matmul(v, logs(Q))).sum()))
    assert np.isfinite(slope(zero)).all() and np.isfinite(slope(logs(P))).all()


def test_normalise_keeps_the_impossible():
    got = normalise(np.stack([logs(P[0]) + 3, np.full(4, -np.inf)]))
    np.testing.assert_allclose(np.exp(got[0]), P[0], atol=1e-7)
    assert np.isneginf(got[1]).all()
    slope = jax.jit(jax.grad(lambda v: jnp.exp(normalise(v)).sum()))
    assert np.isfinite(slope(jnp.full((1, 4), -jnp.inf))).all()


def test_half_precision_is_widened():
    assert categorical.normalise(jnp.zeros(4, jnp.bfloat16)).dtype == jnp.float32


def test_kl_with_zeros():
    q, p = logs([0.5, 0.5, 0.0, 0.0]), logs([0.25, 0.25, 0.5, 0.0])
    np.testing.assert_allclose(kl(q, p), np.log(2), rtol=1e-6)
    assert kl(p, q) == np.inf and kl(q, q) == 0
    for slope in jax.jit(jax.grad(categorical.kl, (0, 1)))(q, p):
        assert np.isfinite(slope).all()


def test_kl_is_never_negative():
    @jax.jit
    def run(rng, other):
        logits = jax.random.normal(rng, (1000, 300)) * 5
        shifted = logits + 1e-6 * jax.random.normal(other, (1000, 300))
        return jax.vmap(categorical.kl)(logits, shifted)

    assert (run(jax.random.key(0), jax.random.key(1)) >= 0).all()


def test_at_and_one_hot():
    logits = jnp.arange(6.0).reshape(2, 3)
    np.testing.assert_array_equal(categorical.at(logits, jnp.asarray([2, 0])), [2, 3])
    assert np.isnan(categorical.at(logits, jnp.asarray([3, -1]))).all()
    got = np.exp(categorical.one_hot(jnp.asarray([2, 0]), 3))
    np.testing.assert_array_equal(got, np.eye(3)[[2, 0]])


def test_guard_works_under_jit():
    guard = jax.jit(lambda x: categorical.guard(jnp.ones(()), x, 4))
    assert guard(jnp.asarray([0, 3])) == 1
    assert np.isnan(guard(jnp.asarray([0, 4]))) and np.isnan(guard(jnp.asarray([-1])))


def test_the_noise_has_the_exact_tail():
    """The default never exceeds 15.94, so p below 1e-7 would be drawn too rarely."""
    key, x = jax.random.key(0), jnp.zeros(50, jnp.int32)
    got = likelihood.gumbel(7)(key, x)
    np.testing.assert_array_equal(got, jax.random.gumbel(key, (50, 7), mode="high"))
    assert (got != jax.random.gumbel(key, (50, 7), mode="low")).any()


@pytest.mark.optimized
@pytest.mark.slow
def test_rare_categories_are_drawn_as_often_as_they_should():
    """p of 1e-6 to 1e-7 against one whose noise is held at 0, in 2^27 draws."""
    thresholds = jnp.asarray([14.0, 15.0, 16.0])  # -log p; the default ends at 16

    @jax.jit
    def count(rng):
        def block(total, i):
            key, x = jax.random.fold_in(noise.swift(rng), i), jnp.zeros(1 << 19)
            g = likelihood.gumbel(2)(key, x)
            held = jnp.stack([g, jnp.zeros_like(g)], -1).reshape(-1, 2)
            laws = jnp.stack([-thresholds, jnp.zeros(3)], -1)

            def rare(law):
                law = jnp.broadcast_to(law, held.shape)
                return jnp.sum(categorical.draw(law, held) == 0)

            seen = [rare(law) for law in laws]
            return total + jnp.stack(seen), None

        return jax.lax.scan(block, jnp.zeros(3, jnp.int32), jnp.arange(128))[0]

    expected = 2**27 * -np.expm1(-np.exp(-np.asarray(thresholds, np.float64)))
    got = count(jax.random.key(1))
    tails = stats.poisson.cdf(got, expected), stats.poisson.sf(got - 1, expected)
    assert np.min(tails) > 1e-4, (got, expected)


def test_bad_tokens_are_named():
    with pytest.raises(ValueError, match="expected x in 0..3, got values from -1 to 2"):
        categorical.tokens("x", jnp.asarray([-1, 2]), 4)
    with pytest.raises(ValueError, match="expected integer x .* got dtype float32"):
        categorical.tokens("x", jnp.zeros(2), 4)
    with pytest.raises(ValueError, match="expected mask in 0..3, got 4; K counts"):
        categorical.mask("mask", 4, 4)
    with pytest.raises(ValueError, match="expected x without the mask 2"):
        categorical.without("x", jnp.asarray([1, 2]), 2)
