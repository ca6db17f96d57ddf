"""A prior that is a diffusion of its own: the bound of the whole, against closed forms.

Everything is linear and Gaussian, so that log p(x) of VAE and diffusion together is
one normal density: that of the exact reverse process where the denoiser is the
oracle's, and of a reverse process that is merely linear where it is not.
"""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from diffjax import d3pm, ddpm, vae, vq
from diffjax.core import bounds, likelihoods, oracle, schedules

RNG = np.random.default_rng(0)
D, LATENT, LOG_VAR = 5, 2, np.log(0.3)
WEIGHT = np.linalg.qr(RNG.normal(size=(D, LATENT)))[0] * [1.5, 0.7]  # orthogonal
BIAS, X = RNG.normal(size=D), RNG.normal(size=D) * 2
SHIFT, SCALE = np.array([0.4, -2.0]), np.array([0.3, 0.5])
NUM = 20_000


class Units(NamedTuple):
    """The VAE with latents `a z` instead of z, and what it encodes x to."""

    mean: np.ndarray
    log_var: np.ndarray
    a: np.ndarray | float = 1.0

    def encode(self, x):
        return self.a * self.mean, self.log_var + 2 * np.log(self.a)

    def decode(self, z):
        return jnp.asarray(WEIGHT) @ (z / self.a) + BIAS, jnp.asarray(LOG_VAR)


def diffusion(schedule, denoise, variance, *, last=None):
    """A prior of `vae.composed.bound`: a density, so its decoder is a Gaussian one."""
    decoder = ddpm.likelihood.gaussian_decoder(variance=last or variance)
    return functools.partial(
        ddpm.bound, denoise, schedule, variance=variance, decoder=decoder
    )


def composed(vae_of, prior, shift, scale, *, num=NUM, seed=0):
    """Terms of many draws for the one X."""
    scaling = vae.composed.Scaling(jnp.asarray(shift), jnp.asarray(scale))

    @jax.jit
    def evaluate(rng):
        return vae.composed.bound(
            vae_of.encode,
            vae_of.decode,
            rng,
            jnp.tile(jnp.asarray(X)[None], (num, 1)),
            scaling=scaling,
            prior=prior,
            likelihood=vae.gaussian_moments,
        )

    return evaluate(jax.random.key(seed))


def mean_and_error(values):
    return float(np.mean(values)), float(np.std(values) / np.sqrt(len(values)))


def some_encoding():
    return Units(np.array([0.2, -1.5]), np.array([-2.5, -1.5]))


def exact_posterior(shift, scale):
    """Of a prior N(shift, diag scale^2); diagonal, as W has orthogonal columns."""
    precision = 1 / scale**2 + np.sum(WEIGHT**2, axis=0) / np.exp(LOG_VAR)
    pull = WEIGHT.T @ (X - BIAS) / np.exp(LOG_VAR) + shift / scale**2
    return Units(pull / precision, -np.log(precision))


def exact_elbo(q, mean, cov):
    """E_q log p(x | z) - KL(q || N(mean, cov)), by hand."""
    var = np.exp(q.log_var)
    at_mean = stats.multivariate_normal(
        WEIGHT @ q.mean + BIAS, np.exp(LOG_VAR) * np.eye(D)
    ).logpdf(X)
    spread = np.sum(WEIGHT**2 * var) / (2 * np.exp(LOG_VAR))
    inverse, gap = np.linalg.inv(cov), q.mean - mean
    kl = np.trace(inverse @ np.diag(var)) + gap @ inverse @ gap - LATENT
    kl = 0.5 * (kl + np.linalg.slogdet(cov)[1] - np.sum(q.log_var))
    return at_mean - spread - kl


def stationary(T):
    """The oracle of standard Gaussian u: it knows every x_t's law, N(0, I)."""
    schedule = schedules.linear(T, beta_min=0.1, beta_max=0.6)
    data = oracle.gaussian(jnp.zeros(LATENT), jnp.eye(LATENT))
    return diffusion(schedule, oracle.denoiser(data, schedule), ddpm.large)


@pytest.mark.parametrize("T", [1, 6])
def test_with_the_oracle_the_bound_is_the_exact_elbo_under_the_learned_prior(T):
    """Any encoder, any number of steps: the diffusion is then the law N(shift, scale^2)
    itself, the Jacobian of the scaling included."""
    q = some_encoding()
    terms = composed(q, stationary(T), SHIFT, SCALE)
    assert terms.divergences.shape == (NUM, T) and terms.prior.shape == (NUM,)
    mean, error = mean_and_error(terms.elbo)
    exact = exact_elbo(q, SHIFT, np.diag(SCALE**2))
    assert error < 0.03 and abs(mean - exact) < 4 * error


def test_with_the_exact_posterior_too_it_is_log_p():
    """Nothing is lost anywhere: VAE, scaling and diffusion are one normal density."""
    q = exact_posterior(SHIFT, SCALE)
    mean, error = mean_and_error(composed(q, stationary(6), SHIFT, SCALE).elbo)
    cov = (WEIGHT * SCALE**2) @ WEIGHT.T + np.exp(LOG_VAR) * np.eye(D)
    log_p = stats.multivariate_normal(WEIGHT @ SHIFT + BIAS, cov).logpdf(X)
    assert error < 0.03 and abs(mean - log_p) < 4 * error


def test_it_tends_to_the_exact_elbo_with_the_number_of_steps():
    """A prior that the scaling does not whiten, its latents correlated: with T steps of
    one variance for all dimensions the gap falls as 1 / T."""
    mean, cov = np.array([0.5, -0.3]), np.array([[0.8, 0.4], [0.4, 0.5]])
    units = np.diag(SCALE)
    exact = exact_elbo(some_encoding(), SHIFT + SCALE * mean, units @ cov @ units)
    gaps = []
    for T in (4, 16, 64):
        schedule = schedules.cosine(T)
        data = oracle.gaussian(jnp.asarray(mean), jnp.asarray(cov))
        variance = ddpm.variance.optimal(oracle.posterior_variance(data, schedule))
        prior = diffusion(schedule, oracle.denoiser(data, schedule), variance)
        terms = composed(some_encoding(), prior, SHIFT, SCALE)
        gaps.append(abs(exact - np.mean(terms.elbo)))
    assert gaps[0] > 2 * gaps[1] > 4 * gaps[2] and gaps[2] < 0.3


def reverse_moments(schedule, slope, intercept, var_last):
    """Mean and variance of u_0 of a reverse process with x_0_hat = slope x_t +
    intercept and the small variance; one dimension, by recursion from N(0, 1)."""
    beta, ab = np.asarray(schedule.beta), np.asarray(schedule.alpha_bar)
    mean, var = 0.0, 1.0
    for t in range(schedule.T, 1, -1):
        of_x_0 = np.sqrt(ab[t - 1]) * beta[t] / (1 - ab[t])
        of_x_t = np.sqrt(1 - beta[t]) * (1 - ab[t - 1]) / (1 - ab[t])
        gain, noise = of_x_0 * slope + of_x_t, beta[t] * (1 - ab[t - 1]) / (1 - ab[t])
        mean, var = gain * mean + of_x_0 * intercept, gain**2 * var + noise
    return slope * mean + intercept, slope**2 * var + var_last


@pytest.mark.parametrize("slope, intercept", [(0.2, 0.0), (0.9, 0.3), (-0.5, -1.0)])
def test_it_is_a_bound_whatever_the_denoiser_says(slope, intercept):
    """A linear denoiser, right or wrong, makes u_0 Gaussian: log p(x) is known."""
    schedule = schedules.linear(5, beta_min=0.1, beta_max=0.6)
    prior = diffusion(
        schedule,
        lambda x_t, t: slope * x_t + intercept,
        ddpm.small,
        last=lambda schedule, x_t, t, s: jnp.asarray(0.09),
    )
    mean, var = reverse_moments(schedule, slope, intercept, 0.09)
    shift, scale = SHIFT + SCALE * mean, SCALE * np.sqrt(var)
    q = exact_posterior(shift, scale)
    found, error = mean_and_error(composed(q, prior, SHIFT, SCALE).elbo)
    cov = (WEIGHT * scale**2) @ WEIGHT.T + np.exp(LOG_VAR) * np.eye(D)
    log_p = stats.multivariate_normal(WEIGHT @ shift + BIAS, cov).logpdf(X)
    assert found < log_p + 4 * error


def test_no_unit_of_the_latents_is_left():
    """Latents a z: each term is what it was, draw by draw."""
    a = np.array([0.01, 30.0])
    one = composed(some_encoding(), stationary(3), SHIFT, SCALE, num=50)
    units = some_encoding()._replace(a=a)
    other = composed(units, stationary(3), a * SHIFT, a * SCALE, num=50)
    for left, right in zip(one, other, strict=True):
        np.testing.assert_allclose(left, right, rtol=1e-9, atol=1e-9)


def test_the_scaling_whitens_the_aggregate_posterior():
    """By hand: means 1 and 3 with variance 1, and means 2 and 2 with 0.5 and 1.5."""
    mean, log_var = np.array([[1.0, 2.0], [3.0, 2.0]]), np.log([[1, 0.5], [1, 1.5]])
    scaling = vae.composed.standardizing(jnp.asarray(mean), jnp.asarray(log_var))
    np.testing.assert_allclose(scaling.shift, [2, 2], rtol=1e-14)
    np.testing.assert_allclose(scaling.scale, np.sqrt([2, 1]), rtol=1e-14)
    z = jnp.asarray(RNG.normal(size=(3, 4, 2)))
    back = vae.composed.unscaled(scaling, vae.composed.scaled(scaling, z))
    np.testing.assert_allclose(back, z, rtol=1e-14)
    volume = vae.composed.log_volume(scaling, z.shape)
    np.testing.assert_allclose(volume, 12 * np.log(2) / 2, rtol=1e-14)


K, P = 3, np.array([0.6, 0.3, 0.1])
LAW = jnp.log(jnp.asarray([0.6, 0.3, 0.1, 0.0]))


def families(T):
    return {
        "absorbing": d3pm.transitions.absorbing(1 / np.arange(T, 0, -1), K + 1, mask=K),
        "uniform": d3pm.transitions.uniform(np.full(T, 0.9), K),
    }


def knowing_the_law(family):
    """Leave-one-out: what a position's own token says is for eq. 4 to add."""
    return lambda x_t, t: jnp.broadcast_to(LAW[: family.K], (*x_t.shape, family.K))


@pytest.mark.parametrize("name", ["absorbing", "uniform"])
def test_codes_cost_what_their_law_says(name):
    """Independent codes, each position its own chain: with the oracle nothing is lost,
    log p(x | codes) + log p(codes) exactly; the uniform prior loses 2 log K - H."""
    T = 4
    family = families(T)[name]
    denoise = knowing_the_law(family)
    codes = jnp.tile(jnp.array([[0, 2]]), (NUM, 1))
    logits = jnp.asarray(RNG.normal(size=(2, K)))

    @jax.jit
    def evaluate(rng):
        return vq.composed.bound(
            lambda x: x,
            lambda codes: logits,
            rng,
            codes,
            likelihood=likelihoods.categorical,
            prior=lambda rng, c: d3pm.bound(denoise, family, rng, c),
        )

    terms = evaluate(jax.random.key(0))
    assert terms.divergences.shape == (NUM, T)
    assert float(jnp.min(terms.divergences)) > -1e-12  # of codes, all are divergences
    mean, error = mean_and_error(terms.elbo)
    log_x = float(likelihoods.categorical(codes[0], logits))
    exact = log_x + np.log(P[0] * P[2])
    assert error < 0.03 and abs(mean - exact) < 4 * error + 1e-9


def test_the_terms_add_up_to_the_bound_with_the_same_prior():
    """To `vq.bound` whose log prior is the diffusion's elbo at the same keys."""
    family = families(3)["uniform"]
    denoise = knowing_the_law(family)
    keys = jax.random.split(jax.random.key(1), 6)
    codes = jnp.asarray(RNG.integers(0, K, (6, 2)))
    logits = jnp.asarray(RNG.normal(size=(2, K)))
    options = {"likelihood": likelihoods.categorical}

    def prior(rng, c):
        return d3pm.bound(denoise, family, rng, c)

    @jax.jit
    def whole(keys):
        return vq.composed.bound(
            lambda x: x, lambda c: logits, keys, codes, prior=prior, **options
        ).elbo

    @jax.jit
    @jax.vmap
    def alone(key, c):
        def log_prior(c):
            return prior(key[None], c[None]).elbo[0]

        return vq.bound(
            lambda x: x, lambda c: logits, c[None], log_prior=log_prior, **options
        ).elbo[0]

    np.testing.assert_allclose(whole(keys), alone(keys, codes), rtol=1e-12)


def test_stacking_keeps_every_term():
    inner = bounds.Bound(jnp.array([-3.0]), jnp.array([[1.0, 2.0]]), jnp.array([0.5]))
    found = bounds.stacked(jnp.array([-10.0]), jnp.array([-1.5]), inner)
    np.testing.assert_array_equal(found.divergences, [[1.5, 1.0, 2.0]])
    np.testing.assert_allclose(found.elbo, [-10 + 1.5 + inner.elbo[0]], rtol=1e-15)
