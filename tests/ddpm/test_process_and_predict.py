"""The densities and the conversions, beyond what the theorems already prove."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from diffjax import ddpm
from diffjax.core import schedules
from diffjax.ddpm import predict, variance

RNG = np.random.default_rng(0)


def float64_posterior_variance(beta):
    alpha_bar = np.concatenate([[1.0], np.cumprod(1 - beta)])
    noise = np.concatenate([[0.0], -np.expm1(np.cumsum(np.log1p(-beta)))])
    return beta * noise[:-1] / noise[1:], alpha_bar, noise


def test_float32_posterior_has_the_digits_of_float64():
    """Peers lose 4e-4 of the posterior's variance at t = 4; all s < t are safe here."""
    beta = np.linspace(1e-4, 0.02, 1000)
    exact, alpha_bar, noise = float64_posterior_variance(beta)
    schedule = schedules.linear(1000)
    assert schedule.beta.dtype == jnp.float32
    t = jnp.arange(2, 1001)
    x = jnp.zeros(1)
    of_step = jax.vmap(lambda t: ddpm.posterior(schedule, x, x, t)[1])
    np.testing.assert_allclose(of_step(t), exact[1:], rtol=5e-7)
    s = jnp.maximum(t - 37, 0)[100:]
    strided = jax.vmap(lambda t, s: ddpm.posterior(schedule, x, x, t, s=s)[1])
    ratio = alpha_bar[t[100:]] / alpha_bar[s]
    expected = (1 - ratio) * noise[s] / noise[t[100:]]
    np.testing.assert_allclose(strided(t[100:], s), expected, rtol=1e-5)


def test_posterior_at_s_0_is_the_data_with_variance_0():
    schedule = schedules.linear(100)
    x_0, x_t = jnp.asarray(RNG.normal(size=(2, 3)), jnp.float32)
    for t in (1, 40, 100):
        mean, var = ddpm.posterior(schedule, x_0, x_t, t, s=0)
        np.testing.assert_allclose(mean, x_0, rtol=1e-6)
        assert var == 0


TO_X_0 = {
    "x_0": lambda schedule, x_t, value, t: value,
    "eps": predict.x_0_from_eps,
    "v": predict.x_0_from_v,
    "score": predict.x_0_from_score,
    "mean": predict.x_0_from_mean,
}
FROM_X_0 = {
    "x_0": lambda schedule, x_t, value, t: value,
    "eps": predict.eps_from_x_0,
    "v": predict.v_from_x_0,
    "score": predict.score_from_x_0,
    "mean": predict.mean_from_x_0,
}


@pytest.mark.parametrize("a, b", list(itertools.product(TO_X_0, repeat=2)))
def test_each_from_each(x64, a, b):
    """a -> x_0 -> b -> x_0 -> a comes back, and b is the true b of (x_0, eps)."""
    schedule = schedules.linear(100)
    x_0, eps = jnp.asarray(RNG.normal(size=(2, 4)))
    for t in (1, 2, 57, 100):
        x_t = ddpm.diffuse(schedule, x_0, eps, t)
        value = FROM_X_0[a](schedule, x_t, x_0, t)
        as_b = FROM_X_0[b](schedule, x_t, TO_X_0[a](schedule, x_t, value, t), t)
        again = FROM_X_0[a](schedule, x_t, TO_X_0[b](schedule, x_t, as_b, t), t)
        np.testing.assert_allclose(again, value, rtol=1e-9, atol=1e-9)
        np.testing.assert_allclose(as_b, truth(b, schedule, x_0, eps, t), atol=1e-9)


def truth(name, schedule, x_0, eps, t):
    """The definitions, in terms of the data and noise that made x_t."""
    ab = np.asarray(schedule.alpha_bar)
    root, sigma = np.sqrt(ab[t]), np.sqrt(1 - ab[t])
    x_t, alpha = root * x_0 + sigma * eps, ab[t] / ab[t - 1]
    return {
        "x_0": x_0,
        "eps": eps,
        "v": root * eps - sigma * x_0,
        "score": -eps / sigma,
        "mean": (x_t - (1 - alpha) / sigma * eps) / np.sqrt(alpha),
    }[name]


def test_shortcuts_agree_with_the_way_through_x_0(x64):
    schedule, t = schedules.cosine(50), 20
    x_t, value = jnp.asarray(RNG.normal(size=(2, 4)))
    by_x_0 = predict.eps_from_x_0(
        schedule, x_t, predict.x_0_from_v(schedule, x_t, value, t), t
    )
    np.testing.assert_allclose(predict.eps_from_v(schedule, x_t, value, t), by_x_0)
    back = predict.v_from_eps(schedule, x_t, by_x_0, t)
    np.testing.assert_allclose(back, value, rtol=1e-12)


def test_denoisers_of_networks_that_know_the_truth(x64):
    schedule, t = schedules.linear(50), jnp.asarray(30)
    x_0, eps = jnp.asarray(RNG.normal(size=(2, 4)))
    x_t = ddpm.diffuse(schedule, x_0, eps, t)
    makers = {
        "eps": predict.denoiser_from_eps,
        "v": predict.denoiser_from_v,
        "score": predict.denoiser_from_score,
        "mean": predict.denoiser_from_mean,
    }
    for name, make in makers.items():
        value = truth(name, schedule, x_0, eps, 30)
        denoise = make(schedule, lambda x_t, t, value=value: value)
        np.testing.assert_allclose(denoise(x_t, t), x_0, rtol=1e-10)


def test_velocity_survives_zero_terminal_snr():
    schedule = schedules.rescale_zero_terminal_snr(schedules.linear(100))
    assert schedule.alpha_bar[-1] == 0
    denoise = predict.denoiser_from_v(schedule, lambda x_t, t: -0.5 * jnp.ones(2))
    np.testing.assert_allclose(denoise(jnp.ones(2), 100), 0.5 * np.ones(2))
    sample = ddpm.sample(denoise, schedule, jax.random.key(0), (3, 2))
    assert bool(jnp.isfinite(sample).all())
    steps = [ddpm.heun, ddpm.dpm_solver_pp(3), ddpm.ddim(0.0), ddpm.plms]
    for step in [*steps, ddpm.heun_with_churn(0.2)]:
        got = ddpm.sample(denoise, schedule, jax.random.key(0), (3, 2), step=step)
        assert bool(jnp.isfinite(got).all())


def test_variances_at_their_ends(x64):
    """-1 is small, 1 is large, and the first step has the one of t = 2 (golden)."""
    schedule = schedules.linear(1000)
    x = jnp.zeros(2)
    for t in (2, 500, 1000):
        arguments = (schedule, x, jnp.asarray(t), jnp.asarray(t - 1))
        beta = np.linspace(1e-4, 0.02, 1000)
        exact, _, _ = float64_posterior_variance(beta)
        np.testing.assert_allclose(variance.small(*arguments), exact[t - 1], rtol=1e-10)
        np.testing.assert_allclose(variance.large(*arguments), beta[t - 1], rtol=1e-12)
        for place, end in ((-1.0, variance.small), (1.0, variance.large)):
            ranged = variance.learned_range(lambda x, t, p=place: p * jnp.ones(2))
            np.testing.assert_allclose(ranged(*arguments), end(*arguments), rtol=1e-12)
        middle = variance.learned_range(lambda x, t: jnp.zeros(2))(*arguments)
        geometric = np.sqrt(exact[t - 1] * beta[t - 1])
        np.testing.assert_allclose(middle, geometric, rtol=1e-10)
    first = variance.first_clipped(schedule, x, jnp.asarray(1), jnp.asarray(0))
    np.testing.assert_allclose(np.log(first), -9.81672514, atol=5e-9)
    log_var = variance.learned(lambda x, t: -2.0 * jnp.ones(2))
    np.testing.assert_allclose(log_var(*arguments), np.exp(-2) * np.ones(2))


def test_variance_of_a_schedule_of_one_step():
    schedule = schedules.respace(schedules.linear(10), [10])
    first = variance.first_clipped(
        schedule, jnp.zeros(1), jnp.asarray(1), jnp.asarray(0)
    )
    np.testing.assert_allclose(first, schedule.beta[1])
