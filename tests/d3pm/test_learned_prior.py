"""A learned law of x_T: its optimum, its bound and its samples."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from d3pm import exact, toys
from diffjax import d3pm
from diffjax.core import oracle
from diffjax.d3pm import likelihood, transitions

K, T = 4, 3
P = np.array([0.15, 0.5, 0.35])
POINTS = np.arange(3)[:, None]
SHORT = functools.partial(transitions.uniform, np.full(T, 0.3), K)


def law_at_T(family):
    return np.append(P, 0) @ np.asarray(family.matrix(0, T))


def test_the_best_prior_is_the_law_of_x_T_over_the_data(x64):
    """There the gradient of the prior term is 0, and what is left is I(x_0; x_T)."""
    family = SHORT()

    def expected(logits):
        learned = transitions.with_prior(family, logits)
        last = jnp.asarray(T)
        each = jax.vmap(lambda x: likelihood.prior(learned, x, last))(POINTS)
        return jnp.sum(P * each)

    q_T = law_at_T(family)
    best, slope = jax.jit(jax.value_and_grad(expected))(np.log(q_T))
    np.testing.assert_allclose(slope, 0, atol=1e-15)
    rows = np.asarray(family.matrix(0, T))[:3]
    information = np.sum(P[:, None] * rows * np.log(rows / q_T))
    np.testing.assert_allclose(best, information, rtol=1e-12)
    fixed = exact.expected_prior(family, POINTS, P)
    gain = np.sum(q_T * np.log(q_T * K))
    np.testing.assert_allclose(fixed - best, gain, rtol=1e-12)


def test_with_it_the_bound_of_the_oracle_is_the_entropy(x64):
    """One token: no gap is left, however short the chain."""
    family = SHORT()
    learned = transitions.with_prior(family, jnp.log(law_at_T(family)))
    best = oracle.discrete_leave_one_out(
        jnp.asarray(POINTS), family, log_weights=jnp.log(P)
    )
    terms = [
        exact.expected_terms(best, f, POINTS, P, predict=d3pm.predict.joint)
        for f in (family, learned)
    ]
    np.testing.assert_array_equal(*terms)
    total = terms[1].sum() + exact.expected_prior(learned, POINTS, P)
    np.testing.assert_allclose(total, exact.entropy(P), rtol=1e-12)


@pytest.mark.parametrize("per_position", [False, True])
def test_samples_start_from_it(per_position):
    """With the best denoiser and a short chain, the law of the data."""
    family = SHORT()
    logits = jnp.log(law_at_T(family))
    learned = transitions.with_prior(family, logits[None] if per_position else logits)
    best = oracle.discrete_leave_one_out(
        jnp.asarray(POINTS), family, log_weights=jnp.log(P)
    )
    args = best, learned, jax.random.key(0), (20_000, 1)
    seen = toys.counts(jax.jit(d3pm.sample, static_argnums=(0, 3))(*args))
    assert seen[3] == 0
    assert stats.chisquare(seen[:3], 20_000 * P).pvalue > 1e-3


def test_it_is_trained_like_any_parameter():
    def loss(logits, rng):
        family = transitions.with_prior(SHORT(), logits)
        return d3pm.vb_loss(lambda x, t: jnp.zeros((1, K)), family, rng, POINTS[:2])

    slope = jax.jit(jax.grad(loss))(jnp.zeros(K), jax.random.key(0))
    assert (slope[:2] < 0).all() and (slope[2:] > 0).all()


def test_a_law_of_another_size_is_named():
    with pytest.raises(ValueError, match=r"expected logits \[..., K = 4\], got"):
        transitions.with_prior(SHORT(), jnp.zeros(3))
