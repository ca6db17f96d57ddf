"""The oracle of a linear Gaussian chain against quadrature on a grid."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from diffjax.core import oracle

W, B, V = (1.3, -0.7), (0.4, -0.2), (0.3, 0.8)
GRID = np.linspace(-9, 9, 1801)
STEP = GRID[1] - GRID[0]
X = 1.1

chain_log_prob = jax.jit(oracle.chain_log_prob)
chain_posterior = jax.jit(oracle.chain_posterior)
chain_conditional = jax.jit(oracle.chain_conditional, static_argnums=(1, 2))
chain_gap = jax.jit(oracle.chain_gap)


def chain():
    square = [jnp.asarray([[w]]) for w in W]
    return oracle.gaussian_chain(
        square, [jnp.asarray([b]) for b in B], [jnp.log(jnp.asarray([v])) for v in V]
    )


def joint():
    """p(x, z_1, z_2) at X on a grid of z_1 (rows) and z_2."""
    z_1, z_2 = GRID[:, None], GRID[None]
    p_x = stats.norm.pdf(X, W[0] * z_1 + B[0], np.sqrt(V[0]))
    p_1 = stats.norm.pdf(z_1, W[1] * z_2 + B[1], np.sqrt(V[1]))
    return p_x * p_1 * stats.norm.pdf(z_2)


def test_evidence(x64):
    log_p = chain_log_prob(chain(), np.array([X]))
    np.testing.assert_allclose(log_p, np.log(joint().sum() * STEP**2), rtol=1e-10)


def test_posterior(x64):
    p = joint() / joint().sum()
    mean = np.array([p.sum(1) @ GRID, p.sum(0) @ GRID])
    cross = GRID @ p @ GRID - mean[0] * mean[1]
    variances = [p.sum(1) @ GRID**2 - mean[0] ** 2, p.sum(0) @ GRID**2 - mean[1] ** 2]
    got_mean, got_cov = chain_posterior(chain(), np.array([X]))
    np.testing.assert_allclose(got_mean, mean, rtol=1e-9)
    wanted = [[variances[0], cross], [cross, variances[1]]]
    np.testing.assert_allclose(got_cov, wanted, rtol=1e-9)


@pytest.mark.parametrize("given, values", [((1,), (0.6,)), ((0, 2), (X, -0.9))])
def test_conditional(x64, given, values):
    """z_2 from below, and z_1 from both sides, by Bayes' rule on the grid."""
    if given == (1,):
        p = stats.norm.pdf(0.6, W[1] * GRID + B[1], np.sqrt(V[1]))
        p, wanted = p * stats.norm.pdf(GRID), (2,)
    else:
        p = stats.norm.pdf(X, W[0] * GRID + B[0], np.sqrt(V[0]))
        p, wanted = p * stats.norm.pdf(GRID, W[1] * -0.9 + B[1], np.sqrt(V[1])), (1,)
    p /= p.sum()
    gain, offset, cov = chain_conditional(chain(), given, wanted)
    mean = np.asarray(gain) @ values + offset
    np.testing.assert_allclose(mean[0], p @ GRID, rtol=1e-9)
    np.testing.assert_allclose(cov[0, 0], p @ (GRID - p @ GRID) ** 2, rtol=1e-9)


def test_gap(x64):
    """KL by quadrature, and 0 for the posterior itself."""
    mean, cov = chain_posterior(chain(), np.array([X]))
    mean, other = np.asarray(mean), np.diag([0.4, 0.7])
    q = stats.multivariate_normal(mean + 0.3, other).pdf(
        np.stack(np.meshgrid(GRID, GRID, indexing="ij"), -1)
    )
    p = joint() / joint().sum() / STEP**2
    kept = q > 1e-60
    kl = np.sum(q[kept] * np.log(q[kept] / p[kept])) * STEP**2
    gap = chain_gap(chain(), np.array([X]), mean + 0.3, other)
    np.testing.assert_allclose(gap, kl, rtol=1e-9)
    zero = chain_gap(chain(), np.array([X]), mean, cov)
    np.testing.assert_allclose(zero, 0, atol=1e-12)


def test_bad_input():
    one, two = jnp.zeros(1), jnp.zeros(2)
    with pytest.raises(ValueError, match="L >= 1 weights.*got 0, 0 and 0"):
        oracle.gaussian_chain([], [], [])
    with pytest.raises(ValueError, match="as many offsets and log_vars, got 1, 2 and"):
        oracle.gaussian_chain([jnp.eye(1)], [one, one], [one])
    with pytest.raises(ValueError, match=r"W_2 \[D_1, D_2\].*D_1 = \(1,\), got \(2, 2"):
        oracle.gaussian_chain([jnp.eye(1), jnp.eye(2)], [one, two], [one, two])
