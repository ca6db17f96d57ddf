"""Sampling as code: grids, keys, trajectories, compilations, guides."""

import functools

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from diffjax import ddpm
from diffjax.core import chain, schedules
from diffjax.ddpm import guidance, predict, samplers, variance

SCHEDULE = schedules.linear(50, beta_max=0.2)
STEPS = {
    "ancestral": ddpm.ancestral,
    "large": ddpm.ancestral_with(variance.large),
    "ddim": ddpm.ddim(0.5),
    "heun": ddpm.heun,
    "churn": ddpm.heun_with_churn(0.2),
    "2M": ddpm.dpm_solver_pp(2),
    "3M": ddpm.dpm_solver_pp(3),
    "plms": ddpm.plms,
}


def denoise(x_t, t):
    return jnp.tanh(x_t + 0.01 * t)


def sample(step=None, ts=None, num=3, rng=None):
    rng = jax.random.key(0) if rng is None else rng

    @jax.jit
    def run(rng):
        return ddpm.sample(denoise, SCHEDULE, rng, (num, 2), step=step, ts=ts)

    return run(rng)


@jax.jit
def estimates_at_the_start():
    """x_0_hat(x_T, T) of the first three examples."""
    rngs = chain.example_keys(jax.random.key(0), 3)
    x_T = jax.vmap(lambda rng: samplers.start(SCHEDULE, rng, (2,))[0])(rngs)
    return denoise(x_T, 50)


@pytest.mark.parametrize("name", STEPS)
@pytest.mark.parametrize("ts", [[50, 0], [50, 49, 20, 19, 3, 0], [31, 2, 1, 0]])
def test_every_sampler_takes_any_grid(name, ts):
    """T' = 1, uneven grids and grids that start below T."""
    got = sample(STEPS[name], ts)
    assert got.shape == (3, 2) and np.isfinite(got).all()
    if ts == [50, 0] and name != "churn":
        # one step: the estimate at x_T, without noise
        np.testing.assert_allclose(got, estimates_at_the_start(), rtol=1e-5)


@pytest.mark.parametrize("name", ["ancestral", "large"])
def test_ancestral_is_the_formula_of_the_paper(x64, name):
    """x_{t-1} = (x_t - beta / sqrt(1 - ab) eps) / sqrt(alpha) + sigma z, in NumPy."""
    schedule = schedules.linear(50, beta_max=0.2)
    beta = np.linspace(1e-4, 0.2, 50)
    ab = np.cumprod(1 - beta)
    x_t, z = np.random.default_rng(0).normal(size=(2, 4))
    step = jax.jit(functools.partial(STEPS[name], denoise, schedule))
    for t in (1, 2, 50):
        x_0 = np.asarray(denoise(x_t, t))
        eps = (x_t - np.sqrt(ab[t - 1]) * x_0) / np.sqrt(1 - ab[t - 1])
        mean = x_t - beta[t - 1] / np.sqrt(1 - ab[t - 1]) * eps
        mean = mean / np.sqrt(1 - beta[t - 1])
        before = ab[t - 2] if t > 1 else 1.0
        var = {
            "ancestral": beta[t - 1] * (1 - before) / (1 - ab[t - 1]),
            "large": beta[t - 1],
        }[name]
        noise = np.sqrt(var) * z if t > 1 else 0
        got, _ = step(x_t, t, t - 1, z, None)
        np.testing.assert_allclose(got, mean + noise, rtol=1e-9)


@pytest.mark.parametrize("name", [n for n in STEPS if n != "churn"])
def test_the_last_step_adds_no_noise(name):
    x_t, eps = np.ones(2, np.float32), np.float32([3.0, -2.0])
    step = jax.jit(functools.partial(STEPS[name], denoise, SCHEDULE))
    noisy, _ = step(x_t, 1, 0, eps, None)
    quiet, _ = step(x_t, 1, 0, 0 * eps, None)
    np.testing.assert_array_equal(noisy, quiet)


def test_samples_depend_on_key_and_index_only():
    """A batch of five begins with the batch of three; keys can be passed instead."""
    five, close = sample(num=5), np.testing.assert_allclose
    close(five[:3], sample(num=3), rtol=1e-5)
    keys = chain.example_keys(jax.random.key(0), 5)
    close(sample(rng=keys[3:], num=2), five[3:], rtol=1e-5)


def test_trajectory_is_the_sample_with_records():
    ts = [50, 40, 30, 20, 10, 5, 0]

    def trajectory(**options):
        arguments = (denoise, SCHEDULE, jax.random.key(0), (3, 2))
        return jax.jit(lambda: ddpm.trajectory(*arguments, ts=ts, **options))()

    final, states = trajectory(every=1)
    np.testing.assert_allclose(final, sample(ts=ts), rtol=1e-6)
    assert states.shape == (3, 6, 2)
    _, some = trajectory(every=4)
    np.testing.assert_allclose(some, states[:, ::4], rtol=1e-6)
    _, estimates = trajectory(every=2, observe=denoise)
    expected = np.stack([denoise(states[:, i], ts[i]) for i in (0, 2, 4)], axis=1)
    np.testing.assert_allclose(estimates, expected, rtol=1e-5)


def test_program_size_does_not_depend_on_the_number_of_steps():
    def size(num, step):
        schedule = schedules.linear(1000)
        ts = jnp.asarray(np.linspace(1000, 0, num + 1).astype(np.int32))

        def run(rng, ts):
            return ddpm.sample(denoise, schedule, rng, (3, 2), step=step, ts=ts)

        return len(jax.jit(run).lower(jax.random.key(0), ts).as_text())

    for step in (ddpm.ancestral, ddpm.heun, ddpm.dpm_solver_pp(3), ddpm.plms):
        assert size(1000, step) <= 1.1 * size(10, step)


def test_one_trace_for_all_grids_keys_and_schedules():
    @jax.jit
    @chex.assert_max_traces(n=1)
    def run(schedule, rng, ts):
        return ddpm.sample(denoise, schedule, rng, (3, 2), ts=ts)

    for seed, ts in ((0, [50, 20, 0]), (1, [45, 1, 0])):
        run(SCHEDULE, jax.random.key(seed), jnp.asarray(ts))
    run(schedules.cosine(50), jax.random.key(2), jnp.asarray([50, 20, 0]))

    @jax.jit
    @chex.assert_max_traces(n=1)
    def evaluate(schedule, rng, x_0, ts):
        return ddpm.bound(denoise, schedule, rng, x_0, ts=ts)

    for seed in (0, 1):
        x_0 = jax.random.uniform(jax.random.key(seed), (2, 2))
        evaluate(SCHEDULE, jax.random.key(seed), x_0, jnp.asarray([50, 20 + seed, 0]))


def test_churn_noises_up_to_a_step_of_the_schedule(x64):
    """With the exact x_0 a churned step keeps the marginal too."""
    schedule, x_0 = schedules.linear(50), jnp.asarray([0.4])
    t, s = jnp.asarray(20), jnp.asarray(12)

    @jax.jit
    @functools.partial(jax.grad, argnums=(0, 1))
    def slopes_of(eps_t, eps):
        x_t = ddpm.diffuse(schedule, x_0, eps_t, t)
        step = ddpm.heun_with_churn(0.3)
        return step(lambda x, t: x_0, schedule, x_t, t, s, eps, None)[0][0]

    slopes = slopes_of(jnp.zeros(1), jnp.zeros(1))
    assert float(slopes[1][0]) ** 2 > 1e-3
    np.testing.assert_allclose(
        sum(float(slope[0]) ** 2 for slope in slopes),
        schedule.one_minus_alpha_bar[12],
        rtol=1e-10,
    )
    churned, plain = (
        jax.jit(functools.partial(step, denoise, schedule))(
            jnp.asarray([0.7]), t, s, jnp.ones(1), None
        )[0]
        for step in (ddpm.heun_with_churn(0.3, high=0.01), ddpm.heun)
    )
    np.testing.assert_allclose(churned, plain)


@pytest.mark.parametrize("high", [jnp.inf, 0.5])
def test_churn_may_reach_the_same_step_twice(high):
    step = ddpm.heun_with_churn(2.0, high=high)
    for ts in ([50, 49, 0], [50, 30, 0], [4, 3, 2, 1, 0]):
        assert bool(jnp.isfinite(sample(step, ts)).all())


def test_gradients_reach_a_learned_schedule():
    gamma = jnp.linspace(-6.0, 6.0, 5)
    for step in (*STEPS.values(), ddpm.ddim(0.0), ddpm.ddim(1.0)):

        def spread(gamma, f=step):
            schedule = schedules.from_gamma(gamma)
            got = ddpm.sample(denoise, schedule, jax.random.key(0), (2, 2), step=f)
            return jnp.var(got)

        slope = jax.jit(jax.grad(spread))(gamma)
        assert bool(jnp.isfinite(slope).all()) and float(jnp.abs(slope).max()) > 0


def test_self_conditioning_shows_the_last_estimate():
    seen = []

    def informed(x_t, t, previous):
        return 0.5 * previous + 1.0

    step = samplers.self_conditioned(ddpm.ddim(0.0))
    x, memory = jnp.ones(1), None
    for t, s in ((50, 30), (30, 10), (10, 0)):
        t, s = jnp.asarray(t), jnp.asarray(s)
        x, memory = step(informed, SCHEDULE, x, t, s, jnp.zeros(1), memory)
        seen.append(float(memory[1][0]))
    np.testing.assert_allclose(seen, [1.0, 1.5, 1.75])
    np.testing.assert_allclose(x, 1.75)


def test_clipping_and_dynamic_thresholding():
    x = jnp.asarray([-3.0, -0.5, 0.5, 2.0])
    same = lambda x_t, t: x_t  # noqa: E731
    np.testing.assert_array_equal(guidance.clipped(same)(x, 1), [-1, -0.5, 0.5, 1])
    dynamic = guidance.dynamically_clipped(same, quantile=1.0)(x, 1)
    np.testing.assert_allclose(dynamic, x / 3)
    inside = guidance.dynamically_clipped(same)(x / 4, 1)
    np.testing.assert_allclose(inside, x / 4)


def test_guidance_interval_and_rescale():
    conditional, unconditional = (lambda x, t: x + 1.0), (lambda x, t: 0.5 * x)
    x = jnp.asarray([1.0, -2.0, 0.3])
    guide = guidance.classifier_free(
        conditional, unconditional, guidance.within(3.0, low=10, high=20)
    )
    np.testing.assert_allclose(guide(x, 5), x + 1)
    np.testing.assert_allclose(guide(x, 15), 0.5 * x + 3 * (0.5 * x + 1), rtol=1e-6)
    rescaled = guidance.rescaled(guide, conditional, phi=1.0)(x, 15)
    np.testing.assert_allclose(rescaled.std(), x.std(), rtol=1e-6)
    np.testing.assert_allclose(
        guidance.rescaled(guide, conditional, phi=0.0)(x, 15), guide(x, 15), rtol=1e-6
    )


def test_resampling_path():
    path = guidance.resampling_path(6, repeats=2, jump=2)
    np.testing.assert_array_equal(path, [0, 1, 2, 1, 0, 1, 2, 3, 4, 3, 2, 3, 4, 5])
    once = guidance.resampling_path(5, repeats=1, jump=3)
    np.testing.assert_array_equal(once, [0, 1, 2, 3, 4])


def test_inpainting_keeps_what_is_known():
    known = np.float32([[0.3, 9.0], [0.7, 9.0]])

    def inpaint(mask, **options):
        arguments = (denoise, SCHEDULE, jax.random.key(0), known, mask)
        return jax.jit(lambda: guidance.inpaint(*arguments, **options))()

    ts = [50, 40, 30, 20, 10, 5, 0]
    got = inpaint(np.array([True, False]), repeats=2, jump=3, ts=ts)
    np.testing.assert_array_equal(got[:, 0], known[:, 0])
    assert not np.isclose(got[:, 1], 9.0).any()
    everything = inpaint(np.ones((2, 2), bool), repeats=1)
    np.testing.assert_array_equal(everything, known)


@pytest.mark.slow
def test_networks_may_compute_in_bfloat16():
    """Tables and states stay float32 whatever the network returns."""

    def half(x_t, t):
        return jnp.tanh(x_t.astype(jnp.bfloat16))

    for step in STEPS.values():
        got = jax.jit(
            lambda rng, f=step: ddpm.sample(half, SCHEDULE, rng, (2, 2), step=f)
        )(jax.random.key(0))
        assert got.dtype == jnp.float32
    x_0 = jnp.zeros((2, 2))
    bound = jax.jit(functools.partial(ddpm.bound, half))(
        SCHEDULE, jax.random.key(0), x_0
    )
    assert bound.elbo.dtype == jnp.float32
    eps = predict.eps_from_x_0(SCHEDULE, x_0[0], half(x_0[0], 1), 3)
    assert eps.dtype == jnp.float32
