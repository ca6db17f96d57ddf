"""Reverse laws, conversions and heads, against sums written out in NumPy."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from d3pm import tables
from diffjax.core import categorical
from diffjax.d3pm import heads, predict, process

T, K = 4, 4
PAIRS = [(0, 1), (1, 2), (0, 3), (2, 4)]
joint, posterior_mean = jax.jit(predict.joint), jax.jit(predict.posterior_mean)
score_from_x_0 = jax.jit(predict.score_from_x_0)
x_0_from_score = jax.jit(predict.x_0_from_score)
truncated_logistic = jax.jit(heads.truncated_logistic, static_argnums=2)
published_logistic = jax.jit(heads.published_logistic, static_argnums=2)


def beliefs(seed=0):
    logits = np.random.default_rng(seed).normal(size=(K, K)) * 2
    p = np.exp(logits)
    return logits, p / p.sum(-1, keepdims=True)


@pytest.mark.parametrize("law", tables.LAWS)
@pytest.mark.parametrize("s, t", PAIRS)
def test_joint_is_equation_4(law, s, t, x64):
    family = law(T, K)
    Q = tables.products(family)
    logits, p = beliefs()
    got = np.asarray(joint(family, logits, np.arange(K), t, s=s))
    for x_t in range(K):
        # sum over x_0 of q(x_s, x_t | x_0) p(x_0), one x_s at a time.
        want = np.array(
            [
                sum(p[x_t, x_0] * Q[0, s][x_0, j] * Q[s, t][j, x_t] for x_0 in range(K))
                for j in range(K)
            ]
        )
        np.testing.assert_allclose(
            np.exp(got[x_t]), tables.normalised(want), atol=1e-13
        )


@pytest.mark.parametrize("law", tables.LAWS)
@pytest.mark.parametrize("s, t", PAIRS)
def test_posterior_mean_is_the_mean_of_posteriors(law, s, t, x64):
    family = law(T, K)
    Q = tables.products(family)
    logits, p = beliefs()
    got = np.asarray(posterior_mean(family, logits, np.arange(K), t, s=s))
    for x_t in range(K):
        want = np.zeros(K)
        for x_0 in range(K):
            joint = Q[0, s][x_0] * Q[s, t][:, x_t]
            if joint.sum() > 0:
                want += p[x_t, x_0] * joint / joint.sum()
        np.testing.assert_allclose(
            np.exp(got[x_t]), tables.normalised(want), atol=1e-13
        )


def test_the_two_agree_for_absorbing_and_not_for_uniform(x64):
    x_t, logits = np.arange(K), beliefs()[0]
    logits[:, K - 1] = -np.inf  # no mass on the mask
    for law, same in ((tables.absorbing, True), (tables.uniform, False)):
        family = law(T, K)
        a = np.exp(joint(family, logits, x_t, 3))
        b = np.exp(posterior_mean(family, logits, x_t, 3))
        assert (np.abs(a - b).max() < 1e-13) == same


def test_the_first_step_is_not_special(x64):
    """At s = 0 eq. 4 weighs the belief by q(x_1 | x_0), and the mean leaves it."""
    family = tables.uniform(T, K)
    logits, p = beliefs()
    x_t = jnp.arange(K)
    weighed = p * tables.products(family)[0, 1].T
    np.testing.assert_allclose(
        np.exp(joint(family, logits, x_t, 1)),
        tables.normalised(weighed),
        atol=1e-13,
    )
    np.testing.assert_allclose(
        np.exp(posterior_mean(family, logits, x_t, 1)), p, atol=1e-13
    )


@pytest.mark.parametrize("law", tables.LAWS)
def test_x_s_logits_keep_to_the_possible(law, x64):
    family = law(T, K)
    Q = tables.products(family)
    logits, p = beliefs()
    got = np.exp(predict.x_s(family, jnp.asarray(logits), jnp.arange(K), 3))
    want = p * (Q[2, 3].T > 0)
    np.testing.assert_allclose(got, tables.normalised(want), atol=1e-13)


@pytest.mark.parametrize("law", [tables.uniform, tables.marginal, tables.banded])
def test_leave_one_out_and_full_posterior_are_inverse(law, x64):
    family = law(T, K)
    Q = tables.products(family)[0, T]
    assert (Q > 0).all()
    logits, p = beliefs()
    x_t = jnp.arange(K)
    alone = predict.leave_one_out(family, jnp.asarray(logits), x_t, T)
    want = p / Q.T
    np.testing.assert_allclose(np.exp(alone), tables.normalised(want))
    np.testing.assert_allclose(
        np.exp(predict.full_posterior(family, alone, x_t, T)), p, rtol=1e-12
    )


@pytest.mark.parametrize("law", [tables.uniform, tables.marginal, tables.random])
def test_score_is_the_ratio_of_marginals(law, x64):
    """One position, data law p_0: p_t(y) / p_t(x_t) by brute force, and back."""
    family = law(T, K)
    Q = tables.products(family)[0, T]
    assert (Q > 0).all()
    p_0 = np.array([0.1, 0.4, 0.2, 0.3])
    p_t = p_0 @ Q
    x_t = np.arange(K)
    posterior = np.log(p_0[None] * Q.T / p_t[:, None])
    score = score_from_x_0(family, posterior, x_t, T)
    np.testing.assert_allclose(np.exp(score), p_t[None] / p_t[:, None], rtol=1e-12)
    back = x_0_from_score(family, score, x_t, T)
    np.testing.assert_allclose(np.exp(back), np.exp(posterior), rtol=1e-9)


def test_score_of_a_masked_position(x64):
    family = tables.absorbing(T, K)
    alpha_bar = 1 - 2 / T
    p_0 = np.array([0.2, 0.5, 0.3, 0.0])
    x_t = np.asarray(K - 1)
    with np.errstate(divide="ignore"):
        logits = np.log(p_0)
    log_score = score_from_x_0(family, logits, x_t, 2)
    score = np.exp(log_score)
    np.testing.assert_allclose(
        score[:3], alpha_bar / (1 - alpha_bar) * p_0[:3], rtol=1e-12
    )
    back = x_0_from_score(family, log_score, x_t, 2)
    np.testing.assert_allclose(np.exp(back), p_0, atol=1e-12)


def test_zero_mask_and_carry_over(x64):
    mask = K - 1
    logits = jnp.asarray(beliefs()[0])
    x_t = jnp.asarray([0, mask, 2, mask])
    denoise = predict.zero_masked(lambda x_t, t: logits, mask=mask)
    denoise = predict.carried_over(denoise, mask=mask)
    p = np.exp(categorical.normalise(denoise(x_t, jnp.asarray(1))))
    np.testing.assert_array_equal(p[[0, 2]], np.eye(K)[[0, 2]])
    want = np.exp(logits)[[1, 3], :mask]
    np.testing.assert_allclose(p[[1, 3], :mask], tables.normalised(want), rtol=1e-12)
    assert (p[[1, 3], mask] == 0).all()


def test_zero_mask_has_finite_gradients():
    family = tables.absorbing(T, K)
    x_t, x_0 = np.array([0, K - 1, 2, K - 1]), np.array([0, 1, 2, 2])

    def loss(logits):
        denoise = predict.zero_masked(lambda x_t, t: logits, mask=K - 1)
        denoise = predict.carried_over(denoise, mask=K - 1)
        q = process.posterior_logits(family, x_0, x_t, 2)
        return categorical.kl(q, predict.joint(family, denoise(x_t, 2), x_t, 2))

    value, gradient = jax.jit(jax.value_and_grad(loss))(beliefs()[0])
    assert np.isfinite(value) and np.isfinite(gradient).all()
    assert np.abs(gradient[1]).max() > 0 and np.abs(gradient[0]).max() == 0


def logistic(u):
    return 1 / (1 + np.exp(-np.asarray(u, np.longdouble)))


@pytest.mark.parametrize("levels", [2, 27, 256])
def test_truncated_logistic_is_the_papers_formula(levels, x64):
    c, h = np.linspace(-1, 1, levels), 1 / (levels - 1)
    means, log_scales = np.meshgrid([-1.2, -0.3, 0.0, 0.9], [-1.5, 0.0, 2.0])
    got = np.asarray(truncated_logistic(means, log_scales, levels))
    for i in np.ndindex(*means.shape):
        scale = np.exp(log_scales[i])
        p = logistic((c + h - means[i]) / scale) - logistic((c - h - means[i]) / scale)
        np.testing.assert_allclose(np.exp(got[i]), p / p.sum(), rtol=1e-9, atol=1e-15)


def test_truncated_logistic_in_float32():
    c, h, mean, scale = np.linspace(-1, 1, 256), 1 / 255, 0.37, np.exp(-3.0)
    p = logistic((c + h - mean) / scale) - logistic((c - h - mean) / scale)
    got = truncated_logistic(mean, -3.0, 256)
    np.testing.assert_allclose(np.exp(got), p / p.sum(), atol=1e-6)
    far = truncated_logistic(40.0, -6.0, 256)
    assert np.isfinite(far).all() and far[-1] > far[0]
    assert np.isclose(np.exp(far).sum(), 1, atol=1e-5)


def test_open_logistic_is_the_library_likelihood(x64):
    from diffjax.core import likelihoods

    args = 0.8, -1.1
    got = jax.jit(heads.open_logistic, static_argnums=2)(*args, 16)
    each = jax.jit(functools.partial(likelihoods.discretized_logistic, levels=16))
    want = [each(k, *args) for k in range(16)]
    np.testing.assert_allclose(got, want, rtol=1e-10)


def test_published_logistic_is_the_truncated_one_up_to_its_epsilon(x64):
    mean, log_scale = np.array([-0.5, 0.1]), np.array([0.2, 1.0])
    a = published_logistic(mean, log_scale, 256)
    b = truncated_logistic(mean, log_scale - 2, 256)
    difference = np.abs(np.exp(a) - np.exp(b)).max()
    assert 0 < difference < 2e-5


def test_published_logistic_is_the_published_formula(x64):
    """Written as the code has it: logits by log1p and an epsilon, then softmax."""
    mean, raw = 0.25, 0.4
    c, inverse = np.linspace(-1, 1, 256), np.exp(-(raw - 2.0))
    upper = -np.log1p(np.exp(-(c - mean + 1 / 255) * inverse))
    lower = -np.log1p(np.exp(-(c - mean - 1 / 255) * inverse))
    logits = upper + np.log1p(-np.exp(lower - upper) + 1e-6)
    p = np.exp(logits) / np.exp(logits).sum()
    got = published_logistic(mean, raw, 256)
    np.testing.assert_allclose(np.exp(got), p, rtol=1e-9)


def test_bad_input_is_named():
    family = tables.uniform(T, K)
    logits = jnp.zeros((K, K))
    with pytest.raises(ValueError, match="expected x_t in 0..3"):
        predict.joint(family, logits, jnp.asarray([0, 1, 2, 4]), 2)
    with pytest.raises(ValueError, match="expected 0 <= s < t"):
        predict.posterior_mean(family, logits, jnp.arange(K), 2, s=3)
    with pytest.raises(ValueError, match="expected 0 <= s < t"):
        predict.x_s(family, logits, jnp.arange(K), 2, s=2)
    with pytest.raises(ValueError, match="expected mask in 0..3, got 4; K counts"):
        predict.zero_masked(lambda x, t: logits, mask=4)(jnp.arange(K), 1)
    with pytest.raises(ValueError, match="expected mask in 0..3, got -1"):
        predict.carried_over(lambda x, t: logits, mask=-1)(jnp.arange(K), 1)
    with pytest.raises(ValueError, match="expected at least K = 2"):
        predict.truncated_logistic(jnp.zeros(()), jnp.zeros(()), 1)
    with pytest.raises(AssertionError):
        predict.joint(family, jnp.zeros((3, K)), jnp.arange(K), 2)
