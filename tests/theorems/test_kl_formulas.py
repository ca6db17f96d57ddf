"""T20: the divergences of the notes against quadrature, each other and torch."""

import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import norm

from diffjax.core import gaussian

RNG = np.random.default_rng(0)
NODES, WEIGHTS = np.polynomial.hermite_e.hermegauss(40)
TORCH_FULL = 1.2027362969960549
TORCH_DIAGONAL = 1.6493147888160580


@pytest.mark.parametrize("case", range(5))
def test_t20_diagonal_kl_is_the_expected_log_ratio(case):
    rng = np.random.default_rng(case)
    mean_q, mean_p, log_var_q, log_var_p = rng.normal(size=(4, 3))
    expected = 0.0
    for m_q, m_p, l_q, l_p in zip(mean_q, mean_p, log_var_q, log_var_p, strict=True):
        x = m_q + np.exp(l_q / 2) * NODES
        q, p = norm(m_q, np.exp(l_q / 2)), norm(m_p, np.exp(l_p / 2))
        log_ratio = q.logpdf(x) - p.logpdf(x)
        expected += WEIGHTS @ log_ratio / WEIGHTS.sum()
    got = gaussian.kl(*map(jnp.asarray, (mean_q, log_var_q, mean_p, log_var_p)))
    np.testing.assert_allclose(got, expected, rtol=1e-10)


def test_t20_standard_kl_is_the_special_case():
    mean, log_var = jnp.asarray(RNG.normal(size=(2, 6)))
    zero = jnp.zeros(6)
    np.testing.assert_allclose(
        gaussian.kl_standard(mean, log_var),
        gaussian.kl(mean, log_var, zero, zero),
        rtol=1e-12,
    )


def test_t20_full_kl_of_diagonal_matrices_is_the_diagonal_kl():
    mean_q, mean_p, log_var_q, log_var_p = jnp.asarray(RNG.normal(size=(4, 5)))
    full = gaussian.kl_full(
        mean_q, jnp.diag(jnp.exp(log_var_q)), mean_p, jnp.diag(jnp.exp(log_var_p))
    )
    diagonal = gaussian.kl(mean_q, log_var_q, mean_p, log_var_p)
    np.testing.assert_allclose(full, diagonal, rtol=1e-12)


def test_t20_full_kl_is_the_formula_of_the_notes():
    """1/2 [ log |S_p|/|S_q| - d + tr(S_p^-1 S_q) + dm^T S_p^-1 dm ], with inverses."""
    mean_q, mean_p = RNG.normal(size=(2, 4))
    root_q, root_p = RNG.normal(size=(2, 4, 4))
    cov_q, cov_p = root_q @ root_q.T + np.eye(4), root_p @ root_p.T + np.eye(4)
    inverse, shift = np.linalg.inv(cov_p), mean_p - mean_q
    log_det = np.log(np.linalg.det(cov_p) / np.linalg.det(cov_q))
    notes = 0.5 * (log_det - 4 + np.trace(inverse @ cov_q) + shift @ inverse @ shift)
    got = gaussian.kl_full(*map(jnp.asarray, (mean_q, cov_q, mean_p, cov_p)))
    np.testing.assert_allclose(got, notes, rtol=1e-12)


def test_t20_against_torch():
    """torch.distributions 2.13.0, MultivariateNormal and Normal, float64."""
    mean_q, mean_p = jnp.asarray([0.3, -1.0]), jnp.asarray([0.0, 0.5])
    cov_q = jnp.asarray([[1.0, 0.3], [0.3, 0.5]])
    cov_p = jnp.asarray([[2.0, -0.4], [-0.4, 1.5]])
    np.testing.assert_allclose(
        gaussian.kl_full(mean_q, cov_q, mean_p, cov_p), TORCH_FULL, rtol=1e-12
    )
    log_var_q, log_var_p = jnp.asarray([0.2, -1.5]), jnp.asarray([-0.7, 0.4])
    np.testing.assert_allclose(
        gaussian.kl(mean_q, log_var_q, mean_p, log_var_p), TORCH_DIAGONAL, rtol=1e-12
    )
