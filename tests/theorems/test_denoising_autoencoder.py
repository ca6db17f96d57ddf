"""T4: the denoising autoencoder of a finite data set (lecture 002)."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from diffjax.core import oracle

POINTS = np.array([[0.3, -1.2], [1.1, 0.4], [-0.8, 0.9], [0.2, 2.0], [-1.5, -0.6]])
PROBES = np.random.default_rng(0).normal(size=(20, 2)) * 1.5


def test_t4a_dae_minimises_the_denoising_loss():
    """E || x_i - f(x_i + eps) ||^2, integrated in 1-D; nothing else does better."""
    points, sigma = np.array([-1.0, 0.2, 1.5]), 0.4
    grid = np.linspace(-5, 6, 40001)
    density = np.exp(-((grid[None] - points[:, None]) ** 2) / (2 * sigma**2))
    density /= np.sqrt(2 * np.pi) * sigma * len(points)

    def loss(f):
        squared = (points[:, None] - f[None]) ** 2
        return np.trapezoid((density * squared).sum(0), grid)

    dae = jax.vmap(oracle.finite_dae(jnp.asarray(points)[:, None], jnp.asarray(sigma)))
    best = np.asarray(dae(jnp.asarray(grid)[:, None]))[:, 0]
    # The excess of any other function is its squared distance, weighted by p_sigma.
    for bump in (np.sin(3 * grid), np.exp(-(grid**2)), np.ones_like(grid)):
        excess = np.trapezoid(density.sum(0) * (1e-2 * bump) ** 2, grid)
        for sign in (1, -1):
            gap = loss(best + sign * 1e-2 * bump) - loss(best)
            np.testing.assert_allclose(gap, excess, rtol=1e-8, atol=1e-12)


@pytest.mark.parametrize("sigma", [0.1, 0.7, 3.0])
def test_t4b_tweedie(sigma):
    """DAE(x) = x + sigma^2 grad log p_sigma(x)."""
    points, sigma = jnp.asarray(POINTS), jnp.asarray(sigma)
    score = jax.grad(lambda x: oracle.smoothed_log_prob(points, sigma, x))
    dae = oracle.finite_dae(points, sigma)
    for x in jnp.asarray(PROBES):
        np.testing.assert_allclose(dae(x), x + sigma**2 * score(x), atol=1e-12)


def test_t4b_smoothed_density_is_a_density():
    """The score above is of the right function: p_sigma against scipy's Gaussians."""
    from scipy.stats import multivariate_normal

    x = jnp.asarray(PROBES[0])
    expected = np.mean([multivariate_normal(p, 0.49).pdf(x) for p in POINTS])
    got = oracle.smoothed_log_prob(jnp.asarray(POINTS), jnp.asarray(0.7), x)
    np.testing.assert_allclose(got, np.log(expected), rtol=1e-12)


def test_t4c_jacobian_is_the_posterior_covariance():
    """dDAE/dx = Cov(x_i | x) / sigma^2, symmetric and positive semi-definite."""
    sigma = 0.6
    dae = oracle.finite_dae(jnp.asarray(POINTS), jnp.asarray(sigma))
    for x in PROBES:
        weight = np.exp(-((x - POINTS) ** 2).sum(1) / (2 * sigma**2))
        cov = np.cov(POINTS.T, aweights=weight / weight.sum(), ddof=0)
        jacobian = jax.jacfwd(dae)(jnp.asarray(x))
        np.testing.assert_allclose(jacobian, cov / sigma**2, atol=1e-12)
        assert np.linalg.eigvalsh(jacobian).min() >= -1e-12


@pytest.mark.parametrize("sigma", [0.05, 0.1, 0.2])
def test_t4d_small_noise_restores_the_nearest_image(sigma):
    """|| DAE(x) - nearest || <= (N - 1) exp(-gap / 2 sigma^2) diameter."""
    dae = oracle.finite_dae(jnp.asarray(POINTS), jnp.asarray(sigma))
    diameter = max(np.linalg.norm(a - b) for a in POINTS for b in POINTS)
    for x in PROBES:
        squared = ((x - POINTS) ** 2).sum(1)
        nearest, second = np.sort(squared)[:2]
        bound = 4 * np.exp(-(second - nearest) / (2 * sigma**2)) * diameter
        error = np.linalg.norm(dae(jnp.asarray(x)) - POINTS[np.argmin(squared)])
        assert error <= bound + 1e-12


def test_t4d_large_noise_gives_the_mean_image():
    """sigma^2 || DAE(x) - mean || tends to a constant as sigma grows."""
    x, scaled = np.array([1.0, -0.5]), []
    for sigma in (10.0, 100.0, 1000.0):
        dae = oracle.finite_dae(jnp.asarray(POINTS), jnp.asarray(sigma))
        scaled.append(np.linalg.norm(dae(jnp.asarray(x)) - POINTS.mean(0)) * sigma**2)
    # The weights' first order: 1/N (1 - |x - x_i|^2 / 2 sigma^2), normalised.
    squared = ((x - POINTS) ** 2).sum(1)
    limit = np.linalg.norm((squared - squared.mean()) @ POINTS / (2 * len(POINTS)))
    np.testing.assert_allclose(scaled, limit, rtol=0.02)
    np.testing.assert_allclose(scaled[1:], limit, rtol=2e-4)


@pytest.mark.parametrize("eta", [0.1, 0.5, 1.0, 1.9])
def test_t4e_small_steps_climb_to_the_manifold(eta):
    """x' = x - eta (x - DAE(x)): p_sigma never falls; the limit is a mode near x_i."""
    points, sigma = jnp.asarray(POINTS), jnp.asarray(0.2)
    dae = oracle.finite_dae(points, sigma)
    log_p = jax.vmap(lambda x: oracle.smoothed_log_prob(points, sigma, x))
    for x in jnp.asarray(PROBES[:5]):
        path = oracle.attract(dae, x, eta=eta, num=400)
        assert np.diff(log_p(path)).min() >= -1e-12
        np.testing.assert_allclose(path[-1], dae(path[-1]), atol=1e-12)
        nearest = np.linalg.norm(np.asarray(path[-1]) - POINTS, axis=1).min()
        assert nearest < 5e-3  # a mode of p_sigma, not the point itself


def test_t4e_the_attractor_becomes_the_data_point_as_the_noise_vanishes():
    """Errata E9: the attractor is a mode of p_sigma, and tends to x_i with sigma."""
    points = jnp.asarray([[-0.5], [0.5]])
    distances = []
    for sigma in (0.45, 0.3, 0.2, 0.1):
        dae = oracle.finite_dae(points, jnp.asarray(sigma))
        limit = oracle.attract(dae, jnp.asarray([0.4]), eta=1.0, num=2000)[-1]
        distances.append(abs(float(limit[0]) - 0.5))
    assert distances[0] > 0.1
    assert distances == sorted(distances, reverse=True) and distances[-1] < 1e-10
