"""Categorical laws against SciPy, with structural zeros."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import special, stats

from diffjax.core import categorical

INF = np.inf
kl, entropy, log_prob = map(
    jax.jit, (categorical.kl, categorical.entropy, categorical.log_prob)
)
slopes_of_kl = jax.jit(jax.grad(categorical.kl, argnums=(0, 1)))
slope_of_entropy = jax.jit(jax.grad(categorical.entropy))


def logits(seed, shape=(2, 3, 5)):
    return np.random.default_rng(seed).normal(size=shape) * 3


def test_log_prob(x64):
    logit, x = logits(0), np.random.default_rng(1).integers(5, size=(2, 3))
    p = special.softmax(logit, axis=-1)
    expected = sum(np.log(p[i][x[i]]) for i in np.ndindex(2, 3))
    np.testing.assert_allclose(log_prob(x, logit), expected, 1e-12)
    np.testing.assert_allclose(log_prob(x, logit + 1e3), expected, 1e-12)


def test_kl_and_entropy(x64):
    l_q, l_p = logits(2), logits(3)
    q, p = special.softmax(l_q, axis=-1), special.softmax(l_p, axis=-1)
    expected = stats.entropy(q, p, axis=-1).sum()
    np.testing.assert_allclose(kl(l_q, l_p), expected, 1e-12)
    np.testing.assert_allclose(kl(l_q + 1e3, l_p - 1e3), expected, 1e-12)
    expected = stats.entropy(q, axis=-1).sum()
    np.testing.assert_allclose(entropy(l_q), expected, 1e-12)
    np.testing.assert_allclose(kl(l_q, l_q), 0, atol=1e-15)


ZEROS = {
    "zero in q": ([0.0, 1.0, -INF], [0.5, 0.0, 2.0]),
    "zero in both": ([0.0, 1.0, -INF], [0.5, 0.0, -INF]),
    "zero in p alone": ([0.0, 1.0, 0.0], [0.5, 0.0, -INF]),
    "certain q": ([-INF, 3.0, -INF], [0.5, 0.0, 2.0]),
    "certain both": ([-INF, 3.0, -INF], [-INF, 1.0, -INF]),
    "disjoint": ([-INF, 3.0, -INF], [0.5, -INF, 2.0]),
}


@pytest.mark.parametrize("case", ZEROS)
def test_structural_zeros(x64, case):
    """rel_entr knows 0 log 0 = 0 and q log q/0 = inf; gradients stay finite."""
    q, p = map(np.array, ZEROS[case])
    expected = special.rel_entr(special.softmax(q), special.softmax(p)).sum()
    assert np.isinf(expected) == (case in ("zero in p alone", "disjoint"))
    np.testing.assert_allclose(kl(q, p), expected, 1e-12, atol=1e-15)
    by_q, by_p = slopes_of_kl(q, p)
    chex.assert_tree_all_finite(by_p)
    if np.isfinite(expected):  # an infinite divergence has no slope in q
        chex.assert_tree_all_finite(by_q)
    expected = special.entr(special.softmax(q)).sum()
    np.testing.assert_allclose(entropy(q), expected, 1e-12, atol=1e-15)
    chex.assert_tree_all_finite(slope_of_entropy(q))


@pytest.mark.parametrize("case", ["zero in q", "zero in both", "certain q"])
def test_gradients_beside_zeros_are_those_of_the_rest(x64, case):
    """Finite is not enough: where q is possible, it is the derivative."""
    q, p = map(np.array, ZEROS[case])
    alive = np.isfinite(q)
    by_q, by_p = map(np.asarray, slopes_of_kl(q, p))
    expected = special.softmax(p) - special.softmax(q)
    np.testing.assert_allclose(by_p, expected, 1e-12, atol=1e-15)
    ratio = special.log_softmax(q)[alive] - special.log_softmax(p)[alive]
    q_alive = special.softmax(q)[alive]
    expected = q_alive * (ratio - q_alive @ ratio)
    np.testing.assert_allclose(by_q[alive], expected, 1e-12, atol=1e-15)
    assert not np.any(by_q[~alive])


def test_sums_are_float32_whatever_the_network_is():
    """Design, convention 9."""
    uniform, x = jnp.zeros((1000, 5), jnp.bfloat16), jnp.zeros(1000, int)
    for value, truth in (
        (entropy(uniform), 1000 * np.log(5)),
        (log_prob(x, uniform), -1000 * np.log(5)),
        (kl(uniform, uniform), 0),
    ):
        assert value.dtype == jnp.float32
        assert value == pytest.approx(truth, rel=1e-5)


def test_an_impossible_category_has_log_probability_minus_infinity():
    logit = np.float32([0.0, -INF, 1.0])
    assert log_prob(np.array(1), logit) == -INF
    slope = jax.jit(jax.grad(categorical.log_prob, 1))
    chex.assert_tree_all_finite(slope(np.array(1), logit))
    assert log_prob(np.array(0), logit) == pytest.approx(-np.log1p(np.e))


def test_draws_have_the_right_frequencies_and_no_impossible_category():
    logit = jnp.array([1.0, -INF, 0.0, -3.0, 2.0])
    gumbel = jax.random.gumbel(jax.random.key(0), (100_000, 5), mode="high")
    x = categorical.draw(jnp.broadcast_to(logit, gumbel.shape), gumbel)
    chex.assert_shape(x, (100_000,))
    counts = np.bincount(x, minlength=5)
    assert counts[1] == 0
    alive = np.isfinite(logit)
    expected = 100_000 * special.softmax(np.float64(logit)[alive])
    assert stats.chisquare(counts[alive], expected).pvalue > 1e-3


def test_a_draw_follows_its_noise_into_the_tail():
    """A category of probability 1e-13 wins when its noise says so, a zero never."""
    logit = jnp.array([0.0, -30.0, -INF])
    assert categorical.draw(logit, jnp.array([0.0, 31.0, 60.0])) == 1
    assert categorical.draw(logit, jnp.array([-3.0, -30.0, 3e38])) == 0


def test_wrong_shapes_and_types_are_refused():
    for f in (categorical.kl, categorical.draw):
        with pytest.raises(AssertionError):
            f(jnp.zeros((2, 3)), jnp.zeros(3))
    with pytest.raises(AssertionError):
        categorical.log_prob(jnp.zeros(2), jnp.zeros((2, 3)))
    with pytest.raises(AssertionError):
        categorical.log_prob(jnp.zeros(4, int), jnp.zeros((2, 3)))


class Variants(chex.TestCase):
    """float32, alone, under jit and on several devices."""

    @chex.variants(with_jit=True, without_jit=True, with_pmap=True)
    def test_all(self):
        l_q, l_p = logits(4).astype(np.float32), logits(5).astype(np.float32)
        q, p = special.softmax(l_q, axis=-1), special.softmax(l_p, axis=-1)
        x = np.argmin(l_q, axis=-1)
        for f, args, expected in (
            (categorical.kl, (l_q, l_p), special.rel_entr(q, p).sum()),
            (categorical.entropy, (l_q,), special.entr(q).sum()),
            (categorical.log_prob, (x, l_q), np.log(q.min(-1)).sum()),
            (categorical.draw, (l_q, 0 * l_q), l_q.argmax(-1)),
        ):
            np.testing.assert_allclose(self.variant(f)(*args), expected, 2e-5, 1e-6)
