"""Gaussian densities against SciPy, quadrature and closed forms."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import integrate, stats

from diffjax.core import gaussian


@pytest.fixture
def draws():
    """Two Gaussians in 2 x 3 dimensions and a point, as float64 NumPy arrays."""
    rng = np.random.default_rng(0)
    x, m_q, m_p, lv_q, lv_p = rng.normal(size=(5, 2, 3))
    return x, (m_q, lv_q), (m_p, lv_p)


def covariance(seed, dim=4):
    root = np.random.default_rng(seed).normal(size=(dim, dim))
    return root @ root.T + 0.1 * np.eye(dim)


def numpy_kl_full(m_q, s_q, m_p, s_p):
    inverse, d = np.linalg.inv(s_p), m_p - m_q
    log_det = np.linalg.slogdet(s_p)[1] - np.linalg.slogdet(s_q)[1]
    return 0.5 * (log_det - len(d) + np.trace(inverse @ s_q) + d @ inverse @ d)


def test_log_prob(x64, draws):
    x, (mean, log_var), _ = draws
    expected = stats.norm.logpdf(x, mean, np.exp(log_var / 2)).sum()
    np.testing.assert_allclose(gaussian.log_prob(x, mean, log_var), expected, 1e-12)
    shared = stats.norm.logpdf(x, mean, np.exp(-1.5)).sum()
    np.testing.assert_allclose(gaussian.log_prob(x, mean, -3.0), shared, 1e-12)


def test_log_prob_full(x64):
    x, mean = np.random.default_rng(1).normal(size=(2, 4))
    cov = covariance(2)
    expected = stats.multivariate_normal.logpdf(x, mean, cov)
    np.testing.assert_allclose(gaussian.log_prob_full(x, mean, cov), expected, 1e-12)
    diagonal = gaussian.log_prob(x, mean, np.log(np.diag(cov)))
    of_diagonal = gaussian.log_prob_full(x, mean, np.diag(np.diag(cov)))
    np.testing.assert_allclose(of_diagonal, diagonal, 1e-12)


def test_kl_is_the_integral_it_claims_to_be(x64):
    q, p = stats.norm(0.3, np.exp(-0.4)), stats.norm(-0.5, np.exp(0.35))
    integral, _ = integrate.quad(
        lambda x: q.pdf(x) * (q.logpdf(x) - p.logpdf(x)), -9, 9, epsabs=1e-13
    )
    args = map(jnp.asarray, (0.3, -0.8, -0.5, 0.7))
    np.testing.assert_allclose(gaussian.kl(*args), integral, 1e-11)


def test_kl_of_diagonals_and_of_full_covariances_agree(x64, draws):
    _, q, p = draws
    full = [f(v.ravel()) for v, f in zip((*q, *p), [np.array, to_cov] * 2, strict=True)]
    np.testing.assert_allclose(gaussian.kl(*q, *p), numpy_kl_full(*full), 1e-12)
    np.testing.assert_allclose(gaussian.kl_full(*full), numpy_kl_full(*full), 1e-12)


def to_cov(log_var):
    return np.diag(np.exp(log_var))


@pytest.mark.parametrize("dim", [1, 2, 6])
def test_kl_full(x64, dim):
    m_q, m_p = np.random.default_rng(dim).normal(size=(2, dim))
    args = m_q, covariance(3, dim), m_p, covariance(4, dim)
    np.testing.assert_allclose(gaussian.kl_full(*args), numpy_kl_full(*args), 1e-11)
    same = gaussian.kl_full(m_q, args[1], m_q, args[1])
    np.testing.assert_allclose(same, 0, atol=1e-12)


def test_kl_standard(x64, draws):
    _, (mean, log_var), _ = draws
    expected = gaussian.kl(mean, log_var, np.zeros((2, 3)), np.zeros((2, 3)))
    np.testing.assert_allclose(gaussian.kl_standard(mean, log_var), expected, 1e-12)
    assert gaussian.kl_standard(jnp.zeros(3), jnp.zeros(())) == 0
    gradient = jax.grad(gaussian.kl_standard, argnums=(0, 1))(mean, log_var)
    chex.assert_trees_all_close(
        gradient, (mean, 0.5 * (np.exp(log_var) - 1)), rtol=1e-12
    )


def test_one_variance_may_be_shared(x64, draws):
    _, (m_q, _), (m_p, _) = draws
    each = gaussian.kl(m_q, np.full((2, 3), 0.4), m_p, np.full((2, 3), -0.2))
    shared = gaussian.kl(m_q, jnp.array(0.4), m_p, jnp.array(-0.2))
    np.testing.assert_allclose(shared, each, 1e-12)
    each = gaussian.kl_standard(m_q, np.full((2, 3), 0.4))
    np.testing.assert_allclose(gaussian.kl_standard(m_q, jnp.array(0.4)), each, 1e-12)


def test_float32_keeps_the_digits_of_close_variances():
    """exp(d) - 1 - d would have no digit left at d = 1e-3 but the first."""
    d, zero = 1e-3, jnp.zeros(())
    exact = 0.5 * (d**2 / 2 + d**3 / 6)
    kl = gaussian.kl(zero, jnp.float32(d), zero, zero)
    np.testing.assert_allclose(kl, exact, 1e-3)
    np.testing.assert_allclose(gaussian.kl_standard(zero, jnp.float32(d)), exact, 1e-3)


def test_sums_are_float32_whatever_the_network_is():
    """Design, convention 9: a thousand bfloat16 terms lose all but two digits."""
    x, zero = jnp.full(1000, 0.5, jnp.bfloat16), jnp.zeros(1000, jnp.bfloat16)
    expected = 1000 * stats.norm.logpdf(0.5)
    for value, truth in (
        (gaussian.log_prob(x, zero, zero), expected),
        (gaussian.kl(x, zero, zero, zero), 125),
        (gaussian.kl_standard(x, zero), 125),
    ):
        assert value.dtype == jnp.float32
        assert value == pytest.approx(truth, rel=1e-5)


def test_reparameterize(x64, draws):
    eps, (mean, log_var), _ = draws
    x = gaussian.reparameterize(mean, log_var, eps)
    np.testing.assert_allclose((x - mean) / np.exp(log_var / 2), eps, 1e-12)
    change_of_variables = stats.norm.logpdf(eps).sum() - log_var.sum() / 2
    np.testing.assert_allclose(
        gaussian.log_prob(x, mean, log_var), change_of_variables, 1e-12
    )


def test_shapes_that_differ_are_refused():
    three, one = jnp.zeros(3), jnp.zeros(1)
    for call in (
        lambda: gaussian.log_prob(three, one, one),
        lambda: gaussian.kl(three, three, one, three),
        lambda: gaussian.reparameterize(three, three, one),
        lambda: gaussian.kl_full(three, three, three, three),
        lambda: gaussian.log_prob_full(three, three, three),
    ):
        with pytest.raises(AssertionError):
            call()


class Variants(chex.TestCase):
    """float32, alone, under jit and on several devices."""

    @chex.variants(with_jit=True, without_jit=True, with_pmap=True)
    def test_log_prob_and_kl(self):
        rng = np.random.default_rng(5)
        x, mean, m_p, log_var, lv_p = rng.normal(size=(5, 7)).astype(np.float32)
        scale, cov, cov_p = np.exp(log_var / 2), *map(to_cov, (log_var, lv_p))
        for f, args, expected in (
            (gaussian.log_prob, (x, mean, log_var), stats.norm.logpdf(x, mean, scale)),
            (
                gaussian.kl,
                (mean, log_var, m_p, lv_p),
                numpy_kl_full(mean, cov, m_p, cov_p),
            ),
            (
                gaussian.kl_full,
                (mean, cov, m_p, cov_p),
                numpy_kl_full(mean, cov, m_p, cov_p),
            ),
            (gaussian.reparameterize, (mean, log_var, x), mean + scale * x),
        ):
            expected = expected.sum() if f is gaussian.log_prob else expected
            np.testing.assert_allclose(self.variant(f)(*args), expected, 1e-5, 1e-6)
