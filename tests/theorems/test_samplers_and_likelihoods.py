"""Oracles 4-7: samplers in law and in order, guidance, inpainting, likelihoods."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from diffjax import ddpm
from diffjax.core import bounds, chain, likelihoods, oracle, schedules
from diffjax.ddpm import guidance, likelihood, variance


def gaussian_denoiser(mean, var, schedule):
    """E[x_0 | x_t] of N(mean, var I), in one line of algebra."""

    def denoise(x_t, t):
        ab, noise = schedule.alpha_bar[t], schedule.one_minus_alpha_bar[t]
        gain = jnp.sqrt(ab) * var / (ab * var + noise)
        return mean + gain * (x_t - jnp.sqrt(ab) * mean)

    return denoise


def walk(step, denoise, schedule, x, ts):
    """Deterministic samples from given starts [B, ...] along a grid."""
    bound_step = ddpm.samplers.bind(step, denoise, schedule)

    @jax.jit
    def run(x, ts):
        return jax.vmap(lambda x: chain.reverse(bound_step, jax.random.key(0), x, ts))(
            x
        )

    return run(x, jnp.asarray(ts))


# Oracle 4: order ---------------------------------------------------------------------


def flow_error(step, num, end):
    """Largest error on the exact flow of N(0.7, 0.25), steps even in log SNR."""
    schedule = schedules.from_gamma(np.linspace(-10.0, 10.0, num))
    start = jnp.asarray([[-1.5], [0.5], [2.0]])
    denoise = gaussian_denoiser(0.7, 0.25, schedule)
    got = walk(step, denoise, schedule, start, np.arange(num, end - 1, -1))
    exact = oracle.gaussian_flow(0.7, 0.25, schedule, start, num, end)
    return np.abs(np.subtract(got, exact)).max()


ORDERS = {
    # step, order, where the flow ends, numbers of steps
    "ddim": (ddpm.ddim(0.0), 1, 1, [1000, 10_000, 100_000]),
    "heun": (ddpm.heun, 2, 0, [200, 800, 3200]),
    "2M": (ddpm.dpm_solver_pp(2), 2, 0, [100, 400, 1600]),
    "3M": (ddpm.dpm_solver_pp(3), 3, 0, [100, 200, 400]),
    "plms": (ddpm.plms, 2, 1, [100, 400, 1600]),
}


@pytest.mark.parametrize("name", ORDERS)
def test_oracle_4_observed_order(name):
    """The slope of the error, down to 1e-6 (DDIM, whose order is 1, to 2.5e-5)."""
    step, order, end, nums = ORDERS[name]
    errors = [flow_error(step, num, end) for num in nums]
    slopes = -np.diff(np.log(errors)) / np.diff(np.log(nums))
    np.testing.assert_allclose(slopes, order, atol=0.1)
    assert errors[-1] < (3e-5 if order == 1 else 2e-6)


@pytest.mark.slow
def test_oracle_4_ddim_keeps_its_order_down_to_1e_6():
    """Data nearer to the noise, so that 1e-6 is reached in a test's time."""
    schedule_errors = []
    for num in (4000, 32_000):
        schedule = schedules.from_gamma(jnp.linspace(-10.0, 10.0, num))
        start = jnp.asarray([[-1.5], [2.0]])
        denoise = gaussian_denoiser(0.0, 0.98, schedule)
        ts = np.arange(num, 0, -1)
        got = walk(ddpm.ddim(0.0), denoise, schedule, start, ts)
        exact = oracle.gaussian_flow(0.0, 0.98, schedule, start, num, 1)
        schedule_errors.append(float(jnp.abs(got - exact).max()))
    slope = np.log(schedule_errors[0] / schedule_errors[1]) / np.log(8)
    assert slope == pytest.approx(1, abs=0.1)
    assert schedule_errors[1] < 1.5e-6 or schedule_errors[1] < schedule_errors[0] / 7


@pytest.mark.parametrize(
    "num, end, bar", [(100, 0, 4e-4), (200, 0, 2e-4), (400, 0, 2e-4), (50, 400, 2e-4)]
)
def test_oracle_4_float32_does_not_stall(num, end, bar):
    """2M on DDPM's own schedule in float32, evenly strided, up to 3 deviations out."""
    exact_schedule = schedules.linear(1000)
    with jax.enable_x64(False):
        schedule = schedules.linear(1000)
        start = jnp.linspace(-3, 3, 13)[:, None]
        denoise = gaussian_denoiser(0.5, 0.25, schedule)
        ts = np.round(np.linspace(1000, end, num + 1)).astype(np.int32)
        got = walk(ddpm.dpm_solver_pp(2), denoise, schedule, start, ts)
        assert got.dtype == jnp.float32
    start = jnp.asarray(start, jnp.float64)
    exact = oracle.gaussian_flow(0.5, 0.25, exact_schedule, start, 1000, end)
    assert float(jnp.abs(got - exact).max()) < bar


def test_ddim_inverse_round_trip():
    """invert, then sample deterministically: back to the start, given iterations."""
    schedule = schedules.linear(1000)
    grid = [*range(1000, 0, -50), 0]
    denoise = gaussian_denoiser(0.5, 0.25, schedule)
    x_0 = jnp.asarray([[-0.4], [0.5], [1.3]])
    decode = jax.jit(lambda x: ddpm.samplers.decode(denoise, schedule, x, ts=grid))
    errors = []
    for iterations in (1, 5, 40):
        options = {"iterations": iterations, "ts": grid}
        x_T = jax.jit(lambda x, o=options: ddpm.invert(denoise, schedule, x, **o))(x_0)
        back = decode(x_T)
        errors.append(float(jnp.abs(back - x_0).max()))
    assert errors[1] < errors[0] / 10 and errors[2] < 1e-9


# Oracle 5: mixtures, guidance, inpainting --------------------------------------------

WEIGHTS = np.array([0.5, 0.3, 0.2])
MEANS = np.array([[-1.2], [0.4], [1.5]])
STDS = np.array([0.3, 0.2, 0.4])
LABELS = jnp.asarray([0, 1, 1])
NUM = 20_000


def three_modes():
    covs = jnp.asarray(STDS**2).reshape(3, 1, 1)
    return oracle.mixture(jnp.asarray(WEIGHTS), jnp.asarray(MEANS), covs)


def mixture_cdf(x, weights=WEIGHTS):
    return sum(
        w * stats.norm.cdf(x, m, s)
        for w, m, s in zip(weights, MEANS[:, 0], STDS, strict=True)
    )


def draw(denoise, schedule, *, num=NUM, dims=1, step=None, ts=None, seed=0):
    run = jax.jit(
        lambda rng: ddpm.sample(denoise, schedule, rng, (num, dims), step=step, ts=ts)
    )
    return np.asarray(run(jax.random.key(seed)))


def assert_moments(samples, mean, var, kurtosis_bound=3.0):
    """Mean and variance within four standard errors."""
    num = len(samples)
    np.testing.assert_allclose(samples.mean(), mean, atol=4 * np.sqrt(var / num))
    error = var * np.sqrt((kurtosis_bound - 1) / num)
    np.testing.assert_allclose(samples.var(), var, atol=4 * error)


SAMPLERS = {
    "ancestral": (ddpm.ancestral, 1),
    "ddim": (ddpm.ddim(0.0), 2),
    "ddim(0.5)": (ddpm.ddim(0.5), 1),
    "heun": (ddpm.heun, 10),
    "heun with churn": (ddpm.heun_with_churn(0.1), 10),
    "2M": (ddpm.dpm_solver_pp(2), 10),
    "3M": (ddpm.dpm_solver_pp(3), 10),
    "plms": (ddpm.plms, 10),
}


@pytest.mark.optimized
@pytest.mark.slow
@pytest.mark.parametrize("name", SAMPLERS)
def test_oracle_5_samplers_draw_the_mixture(name):
    """Kolmogorov-Smirnov against the exact cdf; strides as the order allows."""
    step, stride = SAMPLERS[name]
    schedule = schedules.cosine(1000)
    denoise = oracle.denoiser(three_modes(), schedule)
    ts = [*range(1000, 0, -stride), 0]
    samples = draw(denoise, schedule, num=5000, step=step, ts=ts)
    assert stats.kstest(samples[:, 0], mixture_cdf).pvalue > 1e-3


@pytest.mark.optimized
def test_oracle_5_class_guidance_of_weight_one_is_the_class():
    """Classifier-free at w = 1 and the exact classifier both give p(x | y)."""
    schedule = schedules.cosine(400)
    data, label = three_modes(), jnp.asarray(1)
    of_class = oracle.denoiser(oracle.of_class(data, LABELS, label), schedule)
    everything = oracle.denoiser(data, schedule)
    log_p = oracle.log_class_prob(data, LABELS, label, schedule)
    free = guidance.classifier_free(of_class, everything, 1.0)
    by_classifier = guidance.classifier(everything, schedule, log_p)
    found, wanted, other = jax.jit(
        lambda x_t, t: [f(x_t, t) for f in (free, of_class, by_classifier)]
    )(np.array([0.3]), 150)
    np.testing.assert_allclose(found, wanted, rtol=1e-12)
    np.testing.assert_allclose(other, wanted, rtol=1e-9)
    samples = draw(by_classifier, schedule, num=5000)
    weights = np.array([0, 0.6, 0.4])
    assert stats.kstest(samples[:, 0], lambda x: mixture_cdf(x, weights)).pvalue > 1e-3


@pytest.mark.parametrize("scale", [0.0, 0.5, 2.0, 4.0])
def test_oracle_5_classifier_free_guidance_is_the_tilted_score(scale):
    """score = grad log p_t(x)^(1 - w) p_t(x | y)^w, at every x and t."""
    schedule = schedules.cosine(100)
    data, label = three_modes(), jnp.asarray(1)
    conditional = oracle.of_class(data, LABELS, label)
    guided = guidance.classifier_free(
        oracle.denoiser(conditional, schedule), oracle.denoiser(data, schedule), scale
    )

    def log_tilted(x, t):
        log_y = oracle.log_prob(oracle.diffused(conditional, schedule, t), x)
        log_all = oracle.log_prob(oracle.diffused(data, schedule, t), x)
        return (1 - scale) * log_all + scale * log_y

    @jax.jit
    def scores(x_t, t):
        score = ddpm.predict.score_from_x_0(schedule, x_t, guided(x_t, t), t)
        return score, jax.grad(log_tilted)(x_t, t)

    for t in (1, 30, 99):
        np.testing.assert_allclose(*scores(np.array([0.35]), t), rtol=1e-9)


@pytest.mark.parametrize("scale", [0.5, 3.0])
def test_oracle_5_classifier_free_guidance_draws_the_tilted_density(scale):
    """Two components of one variance: p_a^w p_b^(1-w) is N(w a + (1 - w) b, var)."""
    schedule = schedules.cosine(1000)
    a, b, var = 0.4, -0.1, 0.2
    guided = guidance.classifier_free(
        gaussian_denoiser(a, var, schedule), gaussian_denoiser(b, var, schedule), scale
    )
    samples = draw(guided, schedule)[:, 0]
    assert_moments(samples, scale * a + (1 - scale) * b, var)


@pytest.mark.optimized
@pytest.mark.slow
@pytest.mark.parametrize("scale", [0.5, 3.0])
def test_oracle_5_classifier_guidance_draws_the_tilted_density(scale):
    """p(x) p(y | x)^w with the exact noisy classifier log E[p(y | x_0)^w | x_t]."""
    schedule = schedules.cosine(1000)
    data, label = three_modes(), jnp.asarray(1)
    nodes, weights = np.polynomial.hermite_e.hermegauss(16)
    nodes, weights = jnp.asarray(nodes), jnp.asarray(weights / weights.sum())

    def log_class(x_0):
        joint = jnp.log(jnp.asarray(WEIGHTS)) + jax.scipy.stats.norm.logpdf(
            x_0, jnp.asarray(MEANS[:, 0]), jnp.asarray(STDS)
        )
        of_label = jnp.where(LABELS == label, joint, -jnp.inf)
        return jax.nn.logsumexp(of_label) - jax.nn.logsumexp(joint)

    def log_tilt(x_t, t):
        given = oracle.posterior(data, schedule, x_t, t)
        std = jnp.sqrt(given.covs[:, 0, 0])
        x_0 = given.means[:, 0][:, None] + std[:, None] * nodes[None]
        log_y = jax.vmap(jax.vmap(log_class))(x_0) * scale
        return jax.nn.logsumexp(
            given.log_weights[:, None] + jnp.log(weights)[None] + log_y
        )

    guided = guidance.classifier(oracle.denoiser(data, schedule), schedule, log_tilt)
    samples = draw(guided, schedule, num=2000, ts=[*range(1000, 0, -4), 0])[:, 0]
    grid = np.linspace(-4, 5, 20_001)
    log_p = np.asarray(jax.vmap(log_class)(jnp.asarray(grid))) * scale
    density = np.gradient(mixture_cdf(grid), grid) * np.exp(log_p)
    density /= np.trapezoid(density, grid)
    mean = np.trapezoid(grid * density, grid)
    var = np.trapezoid((grid - mean) ** 2 * density, grid)
    fourth = np.trapezoid((grid - mean) ** 4 * density, grid) / var**2
    assert_moments(samples, mean, var, kurtosis_bound=fourth)


CORRELATED = {
    "gaussian": ([1.0], [[1.0, -1.0]], [[[0.5, 0.2], [0.2, 0.3]]]),
    "mixture": (
        [0.6, 0.4],
        [[0.6, -0.7], [1.2, 0.3]],
        [[[0.5, 0.2], [0.2, 0.3]], [[0.4, -0.1], [-0.1, 0.3]]],
    ),
}


@pytest.mark.optimized
@pytest.mark.slow
@pytest.mark.parametrize("name", CORRELATED)
def test_oracle_5_inpainting_draws_the_conditional(name):
    """RePaint with the exact reverse variance tends to p(x_2 | x_1)."""
    weights, means, covs = map(np.asarray, CORRELATED[name])
    schedule, seen, num = schedules.linear(1000), 1.5, 2000
    data = oracle.mixture(*map(jnp.asarray, (weights, means, covs)))
    step = ddpm.ancestral_with(
        variance.optimal(oracle.posterior_variance(data, schedule))
    )
    known = jnp.full((num, 2), seen)
    mask = jnp.asarray([True, False])
    run = jax.jit(
        lambda rng: guidance.inpaint(
            oracle.denoiser(data, schedule),
            schedule,
            rng,
            known,
            mask,
            step=step,
            repeats=20,
            ts=[*range(1000, 0, -10), 0],
        )
    )
    samples = np.asarray(run(jax.random.key(0)))
    np.testing.assert_array_equal(samples[:, 0], seen)
    gain = covs[:, 1, 0] / covs[:, 0, 0]
    given_mean = means[:, 1] + gain * (seen - means[:, 0])
    given_var = covs[:, 1, 1] - gain * covs[:, 0, 1]
    share = weights * stats.norm.pdf(seen, means[:, 0], np.sqrt(covs[:, 0, 0]))
    share /= share.sum()
    mean = share @ given_mean
    var = share @ (given_var + (given_mean - mean) ** 2)
    assert_moments(samples[:, 1], mean, var)


# Oracle 6: finite data ---------------------------------------------------------------


@pytest.mark.parametrize("step", [ddpm.ancestral, ddpm.dpm_solver_pp(2)])
def test_oracle_6_the_optimal_denoiser_of_finite_data_samples_it(step):
    """Every sample is a data point, each as often as it should be."""
    points = jnp.asarray([[-1.0, 0.5], [0.3, 0.9], [0.8, -0.7], [-0.4, -0.9]])
    schedule = schedules.cosine(400)
    denoise = oracle.finite_denoiser(points, schedule)
    samples = draw(denoise, schedule, num=2000, dims=2, step=step)
    distance = np.linalg.norm(samples[:, None] - np.asarray(points)[None], axis=-1)
    assert distance.min(axis=1).max() < 0.02
    counts = np.bincount(distance.argmin(axis=1), minlength=4)
    assert stats.chisquare(counts).pvalue > 1e-3


def test_oracle_6_the_optimal_denoiser_minimises_the_simple_loss():
    """By quadrature in 1-D; perturbing it only adds the perturbation's square."""
    points = np.array([-0.9, 0.1, 0.8])
    schedule, t = schedules.linear(1000), jnp.asarray(300)
    ab, noise = float(schedule.alpha_bar[t]), float(schedule.one_minus_alpha_bar[t])
    grid = np.linspace(-7, 7, 20_001)
    density = stats.norm.pdf(grid, np.sqrt(ab) * points[:, None], np.sqrt(noise)) / 3
    denoise = oracle.finite_denoiser(jnp.asarray(points)[:, None], schedule)
    x_0_hat = jax.vmap(denoise, (0, None))(jnp.asarray(grid)[:, None], t)[:, 0]
    eps_hat = (grid - np.sqrt(ab) * np.asarray(x_0_hat)) / np.sqrt(noise)
    eps = (grid - np.sqrt(ab) * points[:, None]) / np.sqrt(noise)

    def loss(guess):
        return np.trapezoid((density * (eps - guess[None]) ** 2).sum(0), grid)

    for bump in (np.cos(grid), np.ones_like(grid), np.exp(-(grid**2))):
        excess = np.trapezoid(density.sum(0) * (0.03 * bump) ** 2, grid)
        for sign in (-1, 1):
            gap = loss(eps_hat + sign * 0.03 * bump) - loss(eps_hat)
            np.testing.assert_allclose(gap, excess, rtol=1e-8)


# Oracle 7: likelihood ----------------------------------------------------------------


def test_oracle_7_flow_log_prob_is_the_density():
    """With the exact trace: log N(x; m, S + sigma_1^2 I), with an error in 1/T^2."""
    mean, cov = jnp.asarray([0.4, -0.2]), jnp.asarray([[0.5, 0.2], [0.2, 0.3]])
    x_0 = jnp.asarray([0.9, -0.6])
    errors = []
    for num in (200, 800):
        schedule = schedules.sigmoid_alpha_bar(num)  # no signal is left at T
        data = oracle.gaussian(mean, cov)
        denoise = oracle.denoiser(data, schedule)
        flow = jax.jit(lambda x, d=denoise, s=schedule: ddpm.flow_log_prob(d, s, x))
        got = flow(x_0)
        start = schedule.one_minus_alpha_bar[1] / schedule.alpha_bar[1] * np.eye(2)
        exact = stats.multivariate_normal(mean, cov + start).logpdf(x_0)
        errors.append(abs(float(got - exact)))
    assert errors[1] < errors[0] / 12 and errors[1] < 1e-4


def test_oracle_7_hutchinson_is_unbiased_with_the_stated_variance():
    """Rademacher probes: mean tr A, variance 2 sum_{i != j} ((A_ij + A_ji) / 2)^2."""
    matrix = np.random.default_rng(0).normal(size=(4, 4))

    def linear(x):
        return jnp.asarray(matrix) @ x

    x = jnp.ones(4)
    signs = jax.random.rademacher(jax.random.key(0), (20_000, 1, 4), jnp.float64)
    _, exact = likelihood.exact_trace(linear, x)
    np.testing.assert_allclose(exact, np.trace(matrix), rtol=1e-12)
    estimates = jax.vmap(lambda u: likelihood.hutchinson_trace(u)(linear, x)[1])(signs)
    symmetric = (matrix + matrix.T) / 2
    var = 2 * (np.sum(symmetric**2) - np.sum(np.diag(symmetric) ** 2))
    np.testing.assert_allclose(
        estimates.mean(), np.trace(matrix), atol=4 * np.sqrt(var / 20_000)
    )
    np.testing.assert_allclose(estimates.var(), var, rtol=0.06)


def test_oracle_7_flow_log_prob_with_probes_is_unbiased():
    schedule = schedules.from_gamma(jnp.linspace(-8.0, 10.0, 100))
    mean, cov = jnp.asarray([0.4, -0.2]), jnp.asarray([[0.5, 0.2], [0.2, 0.3]])
    denoise = oracle.denoiser(oracle.gaussian(mean, cov), schedule)
    x_0 = jnp.asarray([0.9, -0.6])
    exact = ddpm.flow_log_prob(denoise, schedule, x_0)
    probes = jax.random.rademacher(jax.random.key(1), (400, 1, 2), jnp.float64)

    def estimate(u):
        trace = likelihood.hutchinson_trace(u)
        return ddpm.flow_log_prob(denoise, schedule, x_0, trace=trace)

    values = jax.jit(jax.vmap(estimate))(probes)
    center, error = bounds.mean_and_standard_error(values)
    assert abs(float(center - exact)) < 4 * float(error) + 1e-9


@pytest.mark.slow
def test_oracle_7_the_bound_tends_to_the_likelihood():
    """-E elbo of discretised Gaussian data falls to its entropy as T grows."""
    levels, mean, std = 17, 0.1, 0.4
    level = jnp.arange(levels)
    log_p = jax.vmap(
        lambda k: likelihoods.discretized_gaussian(
            k[None], jnp.full(1, mean), jnp.log(jnp.full(1, std)), levels=levels
        )
    )(level)
    probability = np.exp(log_p)
    np.testing.assert_allclose(probability.sum(), 1, atol=1e-12)
    points = (2 * level / (levels - 1) - 1)[:, None]
    entropy = -np.sum(probability * np.asarray(log_p))
    gaps = []
    for num in (30, 300):
        schedule = schedules.from_gamma(jnp.linspace(-9.0, 9.0, num))

        def denoise(x_t, t, schedule=schedule):
            scale = jnp.sqrt(schedule.alpha_bar[t])
            var = schedule.one_minus_alpha_bar[t]
            log_w = oracle.source_weights(points, x_t, scale=scale, var=var)
            return jax.nn.softmax(log_w + log_p) @ points

        evaluate = jax.jit(
            lambda rng, x, f=denoise, s=schedule: (
                ddpm.bound(
                    f, s, rng, x, decoder=likelihood.discretized_decoder(levels=levels)
                ).elbo
            )
        )
        elbo = evaluate(jax.random.key(0), jnp.repeat(points, 300, axis=0))
        elbo = np.asarray(elbo).reshape(levels, 300)
        error = np.sqrt(probability**2 @ elbo.var(1) / 300)
        gaps.append((-(probability @ elbo.mean(1)) - entropy, error))
    assert gaps[0][0] > gaps[1][0] + 2 * (gaps[0][1] + gaps[1][1])
    assert -4 * gaps[1][1] < gaps[1][0] < 0.1


def test_oracle_7_bits_per_dim_add_up():
    """The terms' bits/dim sum to that of the whole; uniform bytes cost 8."""
    schedule = schedules.linear(20)
    denoise = gaussian_denoiser(0.0, 0.3, schedule)
    x_0 = jnp.asarray(np.random.default_rng(0).integers(0, 256, (3, 4)) / 127.5 - 1)
    b = jax.jit(lambda rng: ddpm.bound(denoise, schedule, rng, x_0))(jax.random.key(0))
    parts = [b.distortion, *b.divergences.T, b.prior]
    total = sum(bounds.bits_per_dim(part, 4) for part in parts)
    np.testing.assert_allclose(total, bounds.bits_per_dim(-b.elbo, 4), rtol=1e-12)
    np.testing.assert_allclose(bounds.bits_per_dim(jnp.log(256.0) * 4, 4), 8)
