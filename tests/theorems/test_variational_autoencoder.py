"""T1-T3, T5, T13, T14, T18: the statements of the VAE lecture, exactly."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats
from scipy.special import logsumexp

from diffjax import vae
from diffjax.core import bounds, categorical, gaussian, oracle

LINEAR = oracle.linear_gaussian
RNG = np.random.default_rng(0)
D, LATENT = 7, 3
WEIGHT, BIAS, LOG_VAR = RNG.normal(size=(D, LATENT)), RNG.normal(size=D), np.log(0.3)
X = RNG.normal(size=(4, D)) * 2
kl_full = jax.jit(gaussian.kl_full)
log_evidence = jax.jit(LINEAR.log_evidence)


def model():
    return LINEAR.LinearGaussian(*map(jnp.asarray, (WEIGHT, BIAS, LOG_VAR)))


def encoder(seed=1):
    rng = np.random.default_rng(seed)
    parts = rng.normal(size=(LATENT, D)) * 0.3, rng.normal(size=LATENT)
    return LINEAR.LinearEncoder(*map(jnp.asarray, (*parts, rng.normal(size=LATENT))))


def numpy_evidence(x):
    cov = WEIGHT @ WEIGHT.T + np.exp(LOG_VAR) * np.eye(D)
    return stats.multivariate_normal(BIAS, cov).logpdf(x)


def numpy_posterior(x):
    precision = np.eye(LATENT) + WEIGHT.T @ WEIGHT / np.exp(LOG_VAR)
    cov = np.linalg.inv(precision)
    return cov @ WEIGHT.T @ (x - BIAS) / np.exp(LOG_VAR), cov


@jax.jit
def exact_bound(model, encoder, x):
    return LINEAR.expected_bound(model, x, *LINEAR.encoder(encoder)(x))


def of_exact_posterior(x):
    """A VAE whose latents are whitened by the posterior: q = p(z | x), L L^T = Sigma.

    z = L u is no standard Gaussian, so the decoder's law carries p(z) / N(u; 0, I):
    what is left is a VAE in u of the same evidence, with a diagonal exact posterior.
    """
    mean, cov = LINEAR.posterior(model(), x)
    root = jnp.linalg.cholesky(cov)
    standard = functools.partial(
        gaussian.log_prob, mean=jnp.zeros(LATENT), log_var=jnp.zeros(())
    )

    def likelihood(x, u):
        log_p = gaussian.log_prob(x, *LINEAR.decoder(model())(root @ u))
        jacobian = jnp.sum(jnp.log(jnp.diag(root)))
        return log_p + standard(root @ u) + jacobian - standard(u)

    return (jnp.linalg.solve(root, mean), jnp.zeros(LATENT)), likelihood


@pytest.mark.parametrize("seed", [1, 2])
def test_t1_the_gap_of_the_bound_is_the_divergence_from_the_posterior(seed):
    """log p(x) - ELBO = KL(q(z | x) || p(z | x))."""
    q = encoder(seed)
    for x in jnp.asarray(X):
        elbo = exact_bound(model(), q, x).elbo
        mean, log_var = LINEAR.encoder(q)(x)
        cov = jnp.diag(jnp.exp(log_var))
        gap = kl_full(mean, cov, *map(jnp.asarray, numpy_posterior(x)))
        np.testing.assert_allclose(numpy_evidence(x) - elbo, gap, rtol=0, atol=1e-10)
        assert gap > 0.1
        np.testing.assert_allclose(
            log_evidence(model(), x), numpy_evidence(x), rtol=0, atol=1e-10
        )
        for ours, theirs in zip(
            LINEAR.posterior(model(), x), numpy_posterior(x), strict=True
        ):
            np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-12)


def test_t1_the_gap_closes_at_the_posterior():
    """With a model whose posterior is diagonal the best encoder attains log p(x)."""
    diagonal = model()._replace(weight=jnp.linalg.qr(jnp.asarray(WEIGHT))[0])
    best = LINEAR.best_encoder(diagonal)
    for x in jnp.asarray(X):
        elbo = exact_bound(diagonal, best, x).elbo
        evidence = log_evidence(diagonal, x)
        np.testing.assert_allclose(elbo, evidence, rtol=0, atol=1e-10)


def test_t1_the_bound_of_the_library_estimates_it():
    """20000 draws of `vae.bound` within four standard errors; its KL exactly."""
    q, x = encoder(), jnp.asarray(X[0])
    terms = vae.bound(
        LINEAR.encoder(q),
        LINEAR.decoder(model()),
        jax.random.key(0),
        jnp.broadcast_to(x, (20_000, D)),
        likelihood=vae.gaussian_moments,
    )
    exact = exact_bound(model(), q, x)
    mean, error = bounds.mean_and_standard_error(terms.reconstruction)
    assert abs(mean - exact.reconstruction) < 4 * error
    np.testing.assert_allclose(terms.prior, exact.prior, rtol=1e-12)
    assert terms.divergences.shape == (20_000, 0)


def test_t1_in_float32():
    with jax.enable_x64(False):
        q = encoder()
        for x in jnp.asarray(X, jnp.float32):
            mean, log_var = LINEAR.encoder(q)(x)
            posterior = map(jnp.float32, numpy_posterior(np.asarray(x)))
            gap = kl_full(mean, jnp.diag(jnp.exp(log_var)), *posterior)
            elbo = exact_bound(model(), q, x).elbo
            evidence = log_evidence(model(), x)
            np.testing.assert_allclose(evidence - elbo, gap, rtol=1e-4)


def test_t2_the_joint_divergence_bounds_that_of_the_data_for_gaussians():
    """KL(q(x,z) || p(x,z)) = KL(p_data || p) + E KL(q(z|x) || p(z|x)) >= the first."""
    rng = np.random.default_rng(3)
    q, root = encoder(), rng.normal(size=(D, D))
    m_0, s_0 = rng.normal(size=D), root @ root.T + 0.5 * np.eye(D)
    v, c, s2 = np.asarray(q.weight), np.asarray(q.bias), np.exp(q.log_var)

    def joint(m_x, s_xx, cross, s_zz, m_z):
        return np.concatenate([m_x, m_z]), np.block([[s_xx, cross], [cross.T, s_zz]])

    inference = joint(m_0, s_0, s_0 @ v.T, v @ s_0 @ v.T + np.diag(s2), v @ m_0 + c)
    evidence_cov = WEIGHT @ WEIGHT.T + np.exp(LOG_VAR) * np.eye(D)
    generative = joint(BIAS, evidence_cov, WEIGHT, np.eye(LATENT), np.zeros(LATENT))
    total = kl_full(*inference, *generative)
    modelling = kl_full(m_0, s_0, BIAS, evidence_cov)

    def expected(f):
        """The mean of a quadratic over N(m_0, S_0): f(m) + tr(H S) / 2."""
        at_mean, hessian = jax.jit(lambda x: (f(x), jax.hessian(f)(x)))(m_0)
        return at_mean + 0.5 * np.trace(hessian @ s_0)

    def inference_error(x):
        mean, log_var = LINEAR.encoder(q)(x)
        cov = jnp.diag(jnp.exp(log_var))
        return gaussian.kl_full(mean, cov, *LINEAR.posterior(model(), x))

    gap = expected(inference_error)
    np.testing.assert_allclose(total, modelling + gap, rtol=0, atol=1e-9)
    assert total >= modelling
    # So the mean of -ELBO is the entropy of the data and the total error.
    entropy = stats.multivariate_normal(m_0, s_0).entropy()
    loss = -expected(lambda x: exact_bound(model(), q, x).elbo)
    np.testing.assert_allclose(loss, entropy + total, rtol=0, atol=1e-9)


def test_t2_the_joint_divergence_bounds_that_of_the_data_for_tables():
    """The same with random probabilities: x one of 6, z one of 4."""
    rng = np.random.default_rng(4)
    data, prior = rng.dirichlet(np.ones(6)), rng.dirichlet(np.ones(4))
    q, decoder = rng.dirichlet(np.ones(4), size=6), rng.dirichlet(np.ones(6), size=4)
    inference, generative = data[:, None] * q, (prior[:, None] * decoder).T
    evidence = generative.sum(1)
    elbo = (q * np.log(decoder.T)).sum(1) - (q * np.log(q / prior)).sum(1)

    def kl(p, q):
        return categorical.kl(jnp.log(p), jnp.log(q))

    total, modelling = kl(inference.ravel(), generative.ravel()), kl(data, evidence)
    gaps = [kl(q[i], generative[i] / evidence[i]) for i in range(6)]
    np.testing.assert_allclose(total, modelling + data @ gaps, rtol=0, atol=1e-12)
    assert total >= modelling
    np.testing.assert_allclose(np.log(evidence) - elbo, gaps, rtol=0, atol=1e-12)
    entropy = -(data * np.log(data)).sum()
    np.testing.assert_allclose(-(data @ elbo), entropy + total, rtol=0, atol=1e-12)


POINTS = np.array([[0.3, -1.2], [1.1, 0.4], [-0.8, 0.9], [0.2, 2.0], [-1.5, -0.6]])
MEANS = np.array([[-1.0], [-0.4], [0.3], [0.9], [1.5]])
LOG_VARS = np.full((5, 1), 2 * np.log(0.5))
GRID = np.linspace(-5, 6, 4001)


def blurry(z, means=MEANS):
    args = map(jnp.asarray, (means, LOG_VARS, POINTS, z))
    return vae.blurry_mean(*args)


def test_t3_the_best_decoder_is_a_blurry_average():
    """mean*(z) = E[q(z|x) x] / E[q(z|x)], the zero of the gradient of the loss."""
    for z in (-1.3, 0.1, 0.7, 40.0):
        log_q = stats.norm(MEANS[:, 0], 0.5).logpdf(z)
        weights = np.exp(log_q - logsumexp(log_q))
        best = blurry(np.array([z]))
        np.testing.assert_allclose(best, weights @ POINTS, rtol=0, atol=1e-12)

        def loss(mean, weights=weights):
            return jnp.sum(weights * jnp.sum((POINTS - mean[None]) ** 2, axis=1))

        np.testing.assert_allclose(jax.grad(loss)(best), 0, atol=1e-12)
        aggregate = vae.aggregate_log_prob(
            *map(jnp.asarray, (MEANS, LOG_VARS, np.array([z])))
        )
        np.testing.assert_allclose(aggregate, logsumexp(log_q) - np.log(5), rtol=1e-12)


def test_t3_images_with_one_encoding_come_out_as_their_mean():
    together = MEANS.copy()
    together[:2] = 9.0  # far from the others
    mean = blurry(np.array([9.1]), together)
    np.testing.assert_allclose(mean, POINTS[:2].mean(0), rtol=0, atol=1e-12)


def test_t3_the_least_loss_is_the_variance_left_by_z():
    """E ||x - mean*(z)||^2 = E Var(x | z), and no other function does better."""
    q = stats.norm(MEANS, 0.5).pdf(GRID)  # [5, grid]
    best = jax.vmap(lambda z: blurry(z[None]))(jnp.asarray(GRID))

    def loss(mean):
        squared = ((POINTS[:, None] - mean[None]) ** 2).sum(-1)
        return np.trapezoid((q * squared).mean(0), GRID)

    weights = q / q.sum(0)
    first = np.einsum("ig,id->gd", weights, POINTS)
    second = np.einsum("ig,id->g", weights, POINTS**2)
    variance = second - (first**2).sum(-1)
    least = np.trapezoid(q.mean(0) * variance, GRID)
    np.testing.assert_allclose(loss(np.asarray(best)), least, rtol=1e-12)
    assert loss(np.asarray(best) + 0.01 * np.sin(GRID)[:, None]) > least + 1e-6


def test_t3_a_trained_decoder_becomes_blurry():
    """A table over 40 cells of z, trained on the bound, is mean* within 1e-2."""
    edges = np.linspace(-2, 2.5, 41)
    centres = (edges[1:] + edges[:-1]) / 2
    mass = np.diff(stats.norm(MEANS, 0.5).cdf(edges), axis=1)  # q(cell | x_i), [5, 40]

    @jax.jit
    def train(table):
        def loss(table):
            def log_p(x, mean):
                return vae.gaussian_with(0.7)(x, mean)

            each = jax.vmap(jax.vmap(log_p, (None, 0)), (0, None))
            return -jnp.sum(mass * each(jnp.asarray(POINTS), table)) / 5

        def step(table, _):
            return table - 2.0 * jax.grad(loss)(table) / mass.mean(0)[:, None] / 5, None

        return jax.lax.scan(step, table, None, length=100)[0]

    table = train(jnp.zeros((40, 2)))
    best = jax.vmap(lambda z: blurry(z[None]))(jnp.asarray(centres))
    np.testing.assert_allclose(table, best, atol=1e-2)


def test_t5a_every_weight_of_the_exact_posterior_is_the_evidence():
    """log w = log p(x) whatever the draw, so that any k is tight."""
    eps = jnp.asarray(np.random.default_rng(5).normal(size=(200, LATENT)))
    for x in jnp.asarray(X[:2]):
        posterior, likelihood = of_exact_posterior(x)

        def log_w(eps, x=x, posterior=posterior, likelihood=likelihood):
            return vae.log_weight(lambda u: u, posterior, x, eps, likelihood=likelihood)

        log_ws = jax.vmap(log_w)(eps)
        assert np.std(log_ws) < 1e-12
        np.testing.assert_allclose(log_ws, numpy_evidence(x), rtol=0, atol=1e-11)
        np.testing.assert_allclose(
            bounds.importance_bound(log_ws), numpy_evidence(x), rtol=0, atol=1e-11
        )


def test_t5b_the_bound_rises_to_the_evidence_with_k():
    """L_1 <= L_5 <= L_50 <= L_500 <= log p, q widened by 1.5 and shifted by 0.2."""
    diagonal = model()._replace(weight=jnp.linalg.qr(jnp.asarray(WEIGHT))[0])
    best, x = LINEAR.best_encoder(diagonal), jnp.asarray(X[0])
    q = best._replace(bias=best.bias + 0.2, log_var=best.log_var + 2 * np.log(1.5))

    @functools.partial(jax.jit, static_argnames=("num", "repeats"))
    def estimate(rng, num, repeats):
        return -vae.nll(
            LINEAR.encoder(q),
            LINEAR.decoder(diagonal),
            rng,
            jnp.broadcast_to(x, (repeats, D)),
            num=num,
            likelihood=vae.gaussian_moments,
        )

    cases = [(1, 8000), (5, 4000), (50, 2000), (500, 1000)]
    values = [
        bounds.mean_and_standard_error(estimate(jax.random.key(k), k, n))
        for k, n in cases
    ]
    evidence, elbo = LINEAR.log_evidence(diagonal, x), exact_bound(diagonal, q, x).elbo
    assert abs(values[0][0] - elbo) < 4 * values[0][1]
    assert np.all(np.diff([*(mean for mean, _ in values), evidence]) > 0)
    assert evidence - values[-1][0] < 0.01 < evidence - elbo


def data_with(eigenvalues):
    root, _ = np.linalg.qr(np.random.default_rng(7).normal(size=(D, D)))
    return jnp.asarray(BIAS), jnp.asarray(root * np.array(eigenvalues) @ root.T)


@jax.jit
def mean_loss(model, encoder, mean, cov):
    """E[-ELBO] over N(mean, cov): the ELBO is quadratic in x."""
    f = lambda x: -exact_bound(model, encoder, x).elbo  # noqa: E731
    return f(mean) + 0.5 * jnp.trace(jax.hessian(f)(mean) @ cov)


EIGENVALUES = [3.1, 2.0, 1.2, 0.5, 0.4, 0.2, 0.1]


def test_t13_the_linear_vae_is_ppca():
    """At W*, sigma*, V*, s* every gradient of the mean bound is 0; -ELBO = pPCA NLL."""
    mean, cov = data_with(EIGENVALUES)
    best = LINEAR.ppca(mean, cov, LATENT)
    q = LINEAR.best_encoder(best)
    gradient = jax.jit(jax.grad(mean_loss, argnums=(0, 1)))(best, q, mean, cov)
    for leaf in jax.tree.leaves(gradient):
        np.testing.assert_allclose(leaf, 0, atol=1e-9)
    left = np.mean(EIGENVALUES[LATENT:])
    log_det = np.sum(np.log(EIGENVALUES[:LATENT])) + (D - LATENT) * np.log(left)
    nll = 0.5 * (D * np.log(2 * np.pi) + log_det + D)
    np.testing.assert_allclose(mean_loss(best, q, mean, cov), nll, rtol=0, atol=1e-10)
    np.testing.assert_allclose(np.exp(best.log_var), left, rtol=1e-12)
    # And it is no worse than its neighbours.
    rng = np.random.default_rng(8)
    for _ in range(5):
        nudge = lambda v: v + 0.05 * rng.normal(size=v.shape)  # noqa: E731
        other = jax.tree.map(nudge, (best, q))
        assert mean_loss(*other, mean, cov) > nll


def test_t14_latents_of_small_variance_collapse():
    """sigma^2 fixed: KL_i = 1/2 log max(lambda_i / sigma^2, 1), exactly 0 below."""
    eigenvalues, var = [1.0331, 0.5566, 0.45, 0.3, 0.2, 0.1, 0.05], 0.5
    mean, cov = data_with(eigenvalues)
    best = LINEAR.ppca(mean, cov, 4, var=var)
    q = LINEAR.best_encoder(best)

    def divergence(x):
        return vae.losses.grouped_kl(*LINEAR.encoder(q)(x), groups=4)

    hessian = jax.jit(jax.hessian(divergence))(mean)
    expected = divergence(mean) + 0.5 * np.einsum("gij,ij->g", hessian, cov)
    wanted = 0.5 * np.log(np.maximum(np.array(eigenvalues[:4]) / var, 1))
    np.testing.assert_allclose(expected, wanted, rtol=0, atol=1e-12)
    assert np.all(expected[2:] == 0)
    gradient = jax.jit(jax.grad(mean_loss, argnums=(0, 1)))(best, q, mean, cov)
    fixed = gradient[0]._replace(log_var=jnp.zeros(()))
    for leaf in jax.tree.leaves((fixed, gradient[1])):
        np.testing.assert_allclose(leaf, 0, atol=1e-9)
    values = jax.vmap(LINEAR.encoder(q))(mean[None] + np.eye(D))[0]
    np.testing.assert_array_equal(vae.active_units(values), [True, True, False, False])


CASES = {"mid": (0.1, -2.0), "bright": (0.99, -3.0), "narrow": (0.3, -7.0)}
LIKELIHOODS = {
    "bernoulli": vae.bernoulli,
    "categorical": vae.categorical,
    "logistic": vae.discretized_logistic(),
    "mixture": vae.logistic_mixture(levels=5),
}
OF_EACH = {k: jax.jit(jax.vmap(f, (0, None))) for k, f in LIKELIHOODS.items()}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("enable_x64", [True, False])
def test_t18_decoder_likelihoods_normalise(case, enable_x64):
    """The probabilities of all outcomes add to 1, for the callables a VAE is given."""
    mean, log_scale = CASES[case]
    levels = np.arange(256)
    logits = -np.square((levels / 127.5 - 1 - mean) * np.exp(-log_scale))
    grey = np.array([0.3, *[mean, log_scale, 0.0] * 3])
    outcomes = {
        "bernoulli": (np.arange(2), mean * np.exp(-log_scale)),
        "categorical": (levels, logits),
        "logistic": (levels, CASES[case]),
        "mixture": (np.indices((5, 5, 5)).reshape(3, -1).T, grey),
    }
    for name, (values, decoded) in outcomes.items():
        with jax.enable_x64(enable_x64):
            each = OF_EACH[name](values, jax.tree.map(jnp.asarray, decoded))
        total = np.exp(np.float64(each)).sum()
        assert abs(total - 1) < (1e-6 if enable_x64 else 1e-4), name


def test_t18_level_254_is_inside():
    """A bright pixel: where 254 counts as an edge the sum is 1.7 (NVAE's code)."""
    mean, log_scale = CASES["bright"]
    law = stats.logistic(mean, np.exp(log_scale))
    got = vae.discretized_logistic()(jnp.asarray(254), (mean, log_scale))
    inner = np.log(law.cdf(1 - 1 / 255) - law.cdf(1 - 3 / 255))
    np.testing.assert_allclose(got, inner, rtol=0, atol=1e-12)
    assert law.logsf(1 - 3 / 255) > inner + 1
