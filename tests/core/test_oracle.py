"""Oracles against quadrature on a fine grid, SciPy and brute force."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import integrate, special, stats

from diffjax.core import oracle, schedules

W, M, S = (
    np.array([0.3, 0.5, 0.2]),
    np.array([-2.0, 0.5, 1.5]),
    np.array([0.3, 0.6, 0.1]),
)
GRID = np.linspace(-9, 9, 20_001)
T = 50
POINTS = np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0], [1.2, 1.1]])


def line():
    """Three Gaussians in one dimension."""
    return oracle.mixture(W, M[:, None], (S**2)[:, None, None])


def plane():
    """Three correlated Gaussians in two dimensions."""
    roots = np.random.default_rng(0).normal(size=(3, 2, 2)) * 0.5
    covs = roots @ roots.swapaxes(1, 2) + 0.05 * np.eye(2)
    return oracle.mixture(W, np.stack([M, M[::-1]], axis=1), covs)


def schedule():
    return schedules.rescaled_linear(T)


def data_density(x):
    return (W * stats.norm.pdf(x[..., None], M, S)).sum(-1)


def bayes(t, x_t):
    """p(x_t) and the density of x_0 given it on GRID, by quadrature."""
    ab = float(schedule().alpha_bar[t])
    noise = stats.norm.pdf(x_t, np.sqrt(ab) * GRID, np.sqrt(1 - ab))
    joint = data_density(GRID) * noise
    evidence = integrate.trapezoid(joint, GRID)
    return evidence, joint / evidence


def at(value):
    return np.array([value])


log_prob = jax.jit(oracle.log_prob)
log_probs = jax.jit(jax.vmap(oracle.log_prob, (None, 0)))
moments = jax.jit(oracle.moments)
posterior = jax.jit(oracle.posterior)
of_class = jax.jit(oracle.of_class)


@jax.jit
def diffused_log_prob(data, table, t, x_t):
    return oracle.log_prob(oracle.diffused(data, table, t), x_t)


@jax.jit
def estimate(data, table, x_t, t):
    return oracle.denoiser(data, table)(x_t, t)


@jax.jit
def variance_of(data, table, x_t, t):
    return oracle.posterior_variance(data, table)(x_t, t)


AT = pytest.mark.parametrize("t, x_t", [(1, 0.4), (15, -0.7), (30, 2.0), (T, 0.1)])


def test_log_prob(x64):
    data, x = plane(), np.array([0.3, -1.0])
    normals = [
        stats.multivariate_normal(m, c)
        for m, c in zip(data.means, data.covs, strict=True)
    ]
    expected = np.log(sum(w * n.pdf(x) for w, n in zip(W, normals, strict=True)))
    assert log_prob(data, x) == pytest.approx(expected, abs=1e-12)
    assert log_prob(data, x[None]) == pytest.approx(expected, abs=1e-12)
    one = oracle.gaussian(data.means[0], data.covs[0])
    assert log_prob(one, x) == pytest.approx(normals[0].logpdf(x), abs=1e-12)


def test_moments(x64):
    density = data_density(GRID)
    mean = integrate.trapezoid(density * GRID, GRID)
    var = integrate.trapezoid(density * (GRID - mean) ** 2, GRID)
    chex.assert_trees_all_close(moments(line()), (at(mean), at(var)[None]), atol=1e-10)
    mean, cov = moments(plane())
    by_component = [
        W[i] * (np.outer(m - mean, m - mean) + c)
        for i, (m, c) in enumerate(zip(plane().means, plane().covs, strict=True))
    ]
    np.testing.assert_allclose(cov, sum(by_component), 1e-12)


@AT
def test_the_law_of_x_t_is_the_convolution(x64, t, x_t):
    evidence, _ = bayes(t, x_t)
    log_p = diffused_log_prob(line(), schedule(), t, at(x_t))
    assert log_p == pytest.approx(np.log(evidence), abs=1e-9)


@AT
def test_denoiser_and_posterior_variance_are_integrals(x64, t, x_t):
    _, density = bayes(t, x_t)
    mean = integrate.trapezoid(density * GRID, GRID)
    var = integrate.trapezoid(density * (GRID - mean) ** 2, GRID)
    case = line(), schedule(), at(x_t), t
    assert estimate(*case)[0] == pytest.approx(mean, abs=1e-9)
    assert variance_of(*case) == pytest.approx(var, abs=1e-9)


@AT
def test_the_posterior_is_a_normalised_law(x64, t, x_t):
    _, density = bayes(t, x_t)
    law = posterior(line(), schedule(), at(x_t), t)
    assert np.exp(law.log_weights).sum() == pytest.approx(1, abs=1e-14)
    some = slice(None, None, 400)
    log_p = log_probs(law, GRID[some, None])
    np.testing.assert_allclose(np.exp(log_p), density[some], 1e-8, 1e-9)


@pytest.mark.parametrize("t", [1, 20, T])
def test_bayes_in_two_dimensions(x64, t):
    """p(x_0 | x_t) p(x_t) = p(x_0) q(x_t | x_0), at any x_0."""
    data, table, x_t = plane(), schedule(), np.array([0.3, -0.9])
    x_0 = np.random.default_rng(1).normal(size=(20, 2))
    law = posterior(data, table, x_t, t)
    ab = float(table.alpha_bar[t])
    noise = stats.norm.logpdf(x_t, np.sqrt(ab) * x_0, np.sqrt(1 - ab)).sum(1)
    left = log_probs(law, x_0) + diffused_log_prob(data, table, t, x_t)
    np.testing.assert_allclose(left, log_probs(data, x_0) + noise, 1e-10, 1e-10)
    np.testing.assert_allclose(law.covs, np.swapaxes(law.covs, 1, 2), 1e-10, 1e-14)


score_of = jax.jit(jax.grad(diffused_log_prob, argnums=3))
jacobian_of = jax.jit(jax.jacobian(estimate, argnums=2))


@pytest.mark.parametrize("t", [1, 20, T])
def test_tweedie(x64, t):
    """x_t = sqrt(ab) E[x_0 | x_t] - (1 - ab) grad log p_t; Jacobian and covariance."""
    data, table, x_t = plane(), schedule(), np.array([0.3, -0.9])
    ab, noise = (np.asarray(a)[t] for a in (table.alpha_bar, table.one_minus_alpha_bar))
    score = score_of(data, table, t, x_t)
    x_0 = estimate(data, table, x_t, t)
    np.testing.assert_allclose(np.sqrt(ab) * x_0, x_t + noise * score, 1e-9)
    cov = np.asarray(moments(posterior(data, table, x_t, t))[1])
    jacobian = jacobian_of(data, table, x_t, t)
    np.testing.assert_allclose(jacobian, np.sqrt(ab) / noise * cov, 1e-8, 1e-10)
    variance = variance_of(data, table, x_t, t)
    assert variance == pytest.approx(np.trace(cov) / 2, rel=1e-12)


def test_a_denoiser_takes_any_shape_and_knows_the_ends(x64):
    data, x = plane(), np.array([[0.3], [-0.9]])
    denoise = jax.jit(oracle.denoiser(data, schedules.inverse(10)))
    np.testing.assert_allclose(denoise(x, 0), x, 1e-12)
    mean, _ = moments(data)
    np.testing.assert_allclose(denoise(x, 10).ravel(), mean, 1e-12)
    assert denoise(x, 3).shape == x.shape


def test_float32_oracles_keep_five_digits():
    """t = 1 is the hard end: the noise is a thousandth of the data."""
    x, ts = np.array([0.3, -0.9]), [1, 10, T]
    single = [estimate(plane(), schedule(), np.float32(x), t) for t in ts]
    with jax.enable_x64(True):
        double = [estimate(plane(), schedule(), x, t) for t in ts]
    np.testing.assert_allclose(single, double, 2e-5, 1e-6)


LABELS = np.array([0, 1, 0])


def test_classes(x64):
    """The classifier is Bayes' rule on the class-conditional laws, summing to one."""
    data, table, x_t = plane(), schedule(), np.array([0.3, -0.9])
    classifiers = [
        jax.jit(oracle.log_class_prob(data, LABELS, label, table)) for label in (0, 1)
    ]
    conditional = [of_class(data, LABELS, label) for label in (0, 1)]
    np.testing.assert_allclose(np.exp(conditional[0].log_weights), [0.6, 0, 0.4], 1e-12)
    for t in (1, 20, T):
        classify = [log_p(x_t, t) for log_p in classifiers]
        joint = [
            np.log(share) + diffused_log_prob(c, table, t, x_t)
            for share, c in zip((0.5, 0.5), conditional, strict=True)
        ]
        np.testing.assert_allclose(classify, special.log_softmax(joint), 1e-10, 1e-12)
        estimates = [estimate(c, table, x_t, t) for c in conditional]
        np.testing.assert_allclose(
            np.exp(classify) @ np.array(estimates),
            estimate(data, table, x_t, t),
            1e-10,
        )


def test_the_absent_class_leaves_finite_gradients():
    """Weights of zero are structural: neither values nor slopes become nan."""
    data, table = oracle.of_class(plane(), LABELS, 1), schedule()
    denoise = oracle.denoiser(data, table)
    f = lambda x: denoise(x, 5).sum() + oracle.log_prob(data, x)  # noqa: E731
    slope = jax.jit(jax.value_and_grad(f))
    chex.assert_tree_all_finite(slope(np.float32([0.3, -0.9])))


def test_a_mixture_needs_weights():
    means, covs = np.zeros((2, 1)), np.ones((2, 1, 1))
    for weights in ([0.0, 0.0], [-0.1, 1.1]):
        with pytest.raises(
            ValueError, match="expected weights >= 0 that do not all van"
        ):
            oracle.mixture(np.array(weights), means, covs)
    with pytest.raises(AssertionError):
        oracle.mixture(np.ones(2), means, np.ones((2, 2, 2)))
    halves = oracle.mixture(np.array([2.0, 2.0]), means, covs)
    np.testing.assert_allclose(np.exp(halves.log_weights), 0.5, 1e-6)


def test_the_gaussian_flow_keeps_quantiles_and_composes(x64):
    table, mean, var = schedule(), jnp.array([0.5, -1.0]), jnp.array([0.04, 2.0])
    x_t = jnp.array([0.3, 1.7])
    law = lambda t: stats.norm(  # noqa: E731
        np.sqrt(table.alpha_bar[t]) * mean,
        np.sqrt(table.alpha_bar[t] * var + table.one_minus_alpha_bar[t]),
    )
    to = lambda t, s, x: oracle.gaussian_flow(mean, var, table, x, t, s)  # noqa: E731
    for t, s in ((T, 0), (30, 12), (5, 40)):
        np.testing.assert_allclose(law(s).cdf(to(t, s, x_t)), law(t).cdf(x_t), 1e-11)
    np.testing.assert_allclose(to(30, 0, to(T, 30, x_t)), to(T, 0, x_t), 1e-12)


def test_finite_denoiser_is_the_average_of_the_likely_points(x64):
    table, x_t = schedule(), np.array([0.6, 0.8])
    denoise = jax.jit(oracle.finite_denoiser(POINTS, table))
    dots = oracle.mixture(np.ones(4), POINTS, np.full((4, 1, 1), 1e-12) * np.eye(2))
    for t in (1, 25, T):
        ab = float(table.alpha_bar[t])
        p = stats.norm.pdf(x_t, np.sqrt(ab) * POINTS, np.sqrt(1 - ab)).prod(1)
        expected = p @ POINTS / p.sum()
        finite = denoise(x_t, t)
        np.testing.assert_allclose(finite, expected, 1e-9)
        limit = estimate(dots, table, x_t, t)
        np.testing.assert_allclose(finite, limit, 1e-6, 1e-9)


def test_source_weights_are_a_law_even_far_away():
    for x in ([0.6, 0.8], [1e6, 1e6]):
        log_p = oracle.source_weights(
            jnp.array(POINTS), jnp.array(x), scale=jnp.array(0.7), var=jnp.array(1e-3)
        )
        assert np.exp(log_p).sum() == pytest.approx(1, abs=1e-6)
        assert log_p.argmax() == 3


def test_smoothed_density(x64):
    x = jnp.array([0.6, 0.8])
    kernels = stats.norm.pdf(x, POINTS, 0.3).prod(1)
    log_p = oracle.smoothed_log_prob(jnp.array(POINTS), 0.3, x)
    assert log_p == pytest.approx(np.log(kernels.mean()), abs=1e-12)


def test_dae_is_tweedie_and_its_jacobian_a_covariance(x64):
    x, sigma = np.array([0.6, 0.8]), 0.4
    dae = jax.jit(oracle.finite_dae(POINTS, sigma))
    slope = jax.jit(jax.grad(oracle.smoothed_log_prob, argnums=2))
    score = slope(POINTS, sigma, x)
    np.testing.assert_allclose(dae(x), x + sigma**2 * score, 1e-11)
    p = stats.norm.pdf(x, POINTS, sigma).prod(1)
    cov = np.cov(POINTS.T, aweights=p / p.sum(), ddof=0)
    jacobian = jax.jit(jax.jacobian(dae))(x)
    np.testing.assert_allclose(jacobian, cov / sigma**2, 1e-9)


def test_attract_walks_to_the_nearest_mode(x64):
    sigma, x = 0.2, np.array([0.9, 0.2])
    dae = jax.jit(oracle.finite_dae(POINTS, sigma))

    def attract(eta, num):
        path = jax.jit(lambda x: oracle.attract(dae, x, eta=eta, num=num))(x)
        return np.asarray(path)

    path = attract(1.0, 60)
    assert path.shape == (61, 2)
    np.testing.assert_array_equal(path[0], x)
    np.testing.assert_allclose(path[1], dae(x), 1e-12)  # mean shift
    np.testing.assert_allclose(path[-1], dae(path[-1]), 1e-9)  # a fixed point
    assert np.linalg.norm(path[-1] - POINTS[1]) < 0.05
    half = attract(0.5, 1)
    np.testing.assert_allclose(half[1], (x + dae(x)) / 2, 1e-12)
    smoothed = jax.jit(jax.vmap(oracle.smoothed_log_prob, (None, None, 0)))
    log_p = smoothed(POINTS, sigma, path)
    assert np.all(np.diff(log_p) > -1e-12)


class Variants(chex.TestCase):
    """float32, alone, under jit and on several devices."""

    @chex.variants(with_jit=True, without_jit=True, with_pmap=True)
    def test_denoisers(self):
        x_t, t = jnp.array([0.4]), jnp.array(15)
        _, density = bayes(15, 0.4)
        expected = integrate.trapezoid(density * GRID, GRID)
        denoise = self.variant(oracle.denoiser(line(), schedule()))
        assert denoise(x_t, t)[0] == pytest.approx(expected, rel=1e-4)
        one = self.variant(oracle.finite_denoiser(jnp.array(POINTS[:1]), schedule()))
        np.testing.assert_allclose(one(jnp.array([3.0, 4.0]), t), POINTS[0], atol=1e-6)
