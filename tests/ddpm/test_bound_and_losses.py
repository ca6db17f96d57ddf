"""The bound as code, and the losses as estimates of what they say they estimate."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from diffjax import ddpm
from diffjax.core import bounds, chain, likelihoods, oracle, schedules
from diffjax.ddpm import likelihood, losses, predict, times, variance, weights

SCHEDULE = schedules.linear(20, beta_max=0.3)
IMAGES = np.float32(np.random.default_rng(0).integers(0, 256, (6, 3)) / 127.5 - 1)
data_denoiser = oracle.finite_denoiser(IMAGES, SCHEDULE)
bound_of = jax.jit(ddpm.bound, static_argnums=0)


def constant(x_t, t):
    return jnp.full_like(x_t, 0.25)


def test_bound_of_a_constant_denoiser_is_known_in_closed_form():
    """KL_t = 1/2 (SNR_{t-1} - SNR_t) |x_0 - c|^2, whatever the noise drawn."""
    bound = bound_of(constant, SCHEDULE, jax.random.key(0), IMAGES)
    ab = np.cumprod(np.concatenate([[1.0], 1 - np.linspace(1e-4, 0.3, 20)]))
    squared = ((IMAGES - 0.25) ** 2).sum(1)
    snr = ab[1:] / (1 - ab[1:])
    expected = 0.5 * -np.diff(snr)[None] * squared[:, None]
    np.testing.assert_allclose(bound.divergences, expected, rtol=2e-4)
    sigma = np.sqrt((1 - ab[1]) / (1 - ab[2]) * (1 - ab[2] / ab[1]))
    level = np.round((IMAGES + 1) * 127.5)
    centre = level / 127.5 - 1
    above = np.where(level == 255, np.inf, (centre + 1 / 255 - 0.25) / sigma)
    below = np.where(level == 0, -np.inf, (centre - 1 / 255 - 0.25) / sigma)
    near = np.abs(centre - 0.25) < 5 * sigma  # elsewhere float64 cdfs cancel
    log_p = np.log(stats.norm.cdf(above[near]) - stats.norm.cdf(below[near]))

    @jax.jit
    @jax.vmap
    @jax.vmap
    def decode(x):
        decoder, mean = likelihood.discretized_decoder(), jnp.full(1, 0.25)
        return decoder(SCHEDULE, x[None], x[None], mean, jnp.asarray(1))

    mine = np.asarray(decode(IMAGES))
    np.testing.assert_allclose(mine[near], log_p, rtol=1e-3)
    np.testing.assert_allclose(bound.reconstruction, mine.sum(1), rtol=1e-5)
    prior = 0.5 * (ab[-1] * IMAGES**2 - ab[-1] - np.log1p(-ab[-1])).sum(1)
    np.testing.assert_allclose(bound.prior, prior, rtol=1e-4)


def test_bound_shapes_and_identities():
    bound = bound_of(data_denoiser, SCHEDULE, jax.random.key(1), IMAGES)
    assert (bound.reconstruction.shape, bound.prior.shape) == ((6,), (6,))
    assert bound.divergences.shape == (6, 19)
    assert bool((bound.divergences >= 0).all()) and bool((bound.prior > 0).all())
    np.testing.assert_allclose(bound.elbo, -(bound.rate + bound.distortion), rtol=1e-6)


def test_bound_does_not_depend_on_the_batch():
    """An example's terms are the same in any batch that gives it the same key."""
    keys = chain.example_keys(jax.random.key(2), 6)
    whole = bound_of(data_denoiser, SCHEDULE, jax.random.key(2), IMAGES)
    part = bound_of(data_denoiser, SCHEDULE, keys[2:4], IMAGES[2:4])
    np.testing.assert_allclose(whole.elbo[2:4], part.elbo, rtol=1e-5)


@pytest.mark.parametrize("kept", [[20], [1, 20], [1, 7, 8, 20], [3, 11]])
def test_bound_on_a_sub_grid_is_that_of_the_respaced_schedule(x64, kept):
    schedule = schedules.linear(20, beta_max=0.3)
    x_0 = jnp.asarray(IMAGES, jnp.float64)
    respaced = schedules.respace(schedule, kept)
    grid = [*kept[::-1], 0]
    arguments = (jax.random.key(0), x_0)
    ours = jax.jit(functools.partial(ddpm.bound, constant, ts=grid))(
        schedule, *arguments
    )
    theirs = bound_of(constant, respaced, *arguments)
    assert ours.divergences.shape == (6, len(kept) - 1)
    np.testing.assert_allclose(ours.divergences, theirs.divergences, rtol=1e-10)
    np.testing.assert_allclose(ours.prior, theirs.prior, rtol=1e-10)
    np.testing.assert_allclose(ours.reconstruction, theirs.reconstruction, rtol=1e-10)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["small", "large"])
def test_vlb_loss_is_an_unbiased_estimate_of_the_bound(name):
    options = {"variance": getattr(variance, name)}

    @jax.jit
    def both(rng):
        arguments = (data_denoiser, SCHEDULE, rng, IMAGES)
        bound = ddpm.bound(*arguments, **options)
        loss = ddpm.vlb_loss(*arguments, **options)
        return -bound.elbo.mean(), loss

    exact, estimates = jax.vmap(both)(jax.random.split(jax.random.key(3), 3000))
    target, target_error = bounds.mean_and_standard_error(exact)
    got, error = bounds.mean_and_standard_error(estimates)
    assert abs(float(got - target)) < 4 * float(jnp.hypot(error, target_error))


@pytest.mark.slow
def test_importance_vlb_loss_is_unbiased_and_remembers():
    denoise, T = data_denoiser, SCHEDULE.T
    every = np.tile(np.arange(1, T + 1, dtype=np.int32), 10)
    guess = np.linspace(5.0, 1.0, T, dtype=np.float32)[every - 1]
    history = jax.jit(times.history_update)(times.history_init(T), every, guess)

    @jax.jit
    def both(rng):
        loss, after = ddpm.importance_vlb_loss(denoise, SCHEDULE, rng, IMAGES, history)
        return loss, ddpm.vlb_loss(denoise, SCHEDULE, rng, IMAGES), after.counts

    ours, plain, counts = jax.vmap(both)(jax.random.split(jax.random.key(5), 4000))
    (got, error), (mean, spread) = map(bounds.mean_and_standard_error, (ours, plain))
    assert abs(float(got - mean)) < 4 * float(jnp.hypot(error, spread))
    np.testing.assert_array_equal(counts.sum(1), 10 * T + len(IMAGES))


def test_hybrid_loss_calls_the_network_once():
    """Mean and variance share a call: one tanh in the compiled program, not two."""

    def loss(w, rng):
        def net(x_t, t):
            return jnp.tanh(w * x_t)

        ranged = variance.learned_range(net)
        denoise = predict.denoiser_from_eps(SCHEDULE, net)
        return ddpm.hybrid_loss(denoise, SCHEDULE, rng, IMAGES, variance=ranged)

    text = jax.jit(loss).lower(0.3, jax.random.key(0)).compile().as_text()
    assert text.count(" tanh(") == 1


@pytest.mark.slow
def test_stratified_times_are_unbiased_and_vary_less():
    keys = jax.random.split(jax.random.key(4), 1000)

    def draws(steps):
        def loss(rng):
            return ddpm.vlb_loss(data_denoiser, SCHEDULE, rng, IMAGES, times=steps)

        return jax.jit(jax.vmap(loss))(keys)

    values = draws(times.uniform), draws(times.stratified)
    (mean_u, error_u), (mean_s, error_s) = map(bounds.mean_and_standard_error, values)
    assert abs(float(mean_u - mean_s)) < 4 * float(jnp.hypot(error_u, error_s))
    assert error_s < 0.9 * error_u


def test_simple_loss_of_known_denoisers():
    """eps_hat = 0 costs E eps^2 = 1; knowing x_0 costs nothing."""
    x_0 = np.full((4000, 2), 0.3, np.float32)
    simple_loss = jax.jit(ddpm.simple_loss, static_argnums=0)

    def ignorant(x_t, t):
        return predict.x_0_from_eps(SCHEDULE, x_t, jnp.zeros_like(x_t), t)

    loss = simple_loss(ignorant, SCHEDULE, jax.random.key(5), x_0)
    np.testing.assert_allclose(loss, 1, atol=4 * np.sqrt(2 / 8000))
    omniscient = simple_loss(
        lambda x_t, t: jnp.full(2, 0.3), SCHEDULE, jax.random.key(5), x_0
    )
    assert omniscient < 1e-9


@pytest.mark.parametrize("target", [predict.X_0, predict.V, predict.SCORE])
@pytest.mark.parametrize(
    "weight", [weights.min_snr(), weights.p2(), weights.sigmoid(1.0)]
)
def test_weights_carry_over_to_any_target(x64, target, weight):
    """w on eps = on(target, w) on the target, for the same draws."""
    schedule = schedules.linear(20, beta_max=0.3)
    x_0 = jnp.asarray(IMAGES, jnp.float64)

    @jax.jit
    def both(*arguments):
        of_eps = losses.simple_loss(constant, *arguments, weight=weight)
        carried = losses.matching_loss(
            constant, target, *arguments, weight=weights.on(target, weight)
        )
        return of_eps, carried

    of_eps, carried = both(schedule, jax.random.key(6), x_0)
    np.testing.assert_allclose(carried, of_eps, rtol=1e-10)


def test_weights_closed_forms(x64):
    schedule = schedules.linear(1000)
    families = (
        weights.snr,
        weights.min_snr(5.0),
        weights.p2(k=2.0, gamma=0.5),
        weights.sigmoid(1.5),
    )
    at = jax.jit(lambda t: [weight(schedule, t) for weight in families])
    for t in (1, 300, 1000):
        ab = np.cumprod(1 - np.linspace(1e-4, 0.02, 1000))[t - 1]
        snr = ab / (1 - ab)
        sigmoid = 1 / (1 + snr * np.exp(-1.5))
        expected = [snr, min(snr, 5) / snr, (2 + snr) ** -0.5, sigmoid]
        np.testing.assert_allclose(at(t), expected, rtol=1e-9)
    uniform = jax.jit(jax.vmap(weights.uniform_snr, (None, 0)))
    all_t = np.asarray(uniform(schedule, np.arange(1, 1001)))
    np.testing.assert_allclose(all_t.mean(), 1, rtol=1e-9)
    gamma = schedules.from_gamma(np.linspace(-5.0, 5.0, 40))
    even = uniform(gamma, np.arange(1, 41))
    np.testing.assert_allclose(even, 1, rtol=1e-6)


def test_losses_do_not_depend_on_how_the_batch_is_split():
    """Given the keys of a global batch, the mean over parts is the whole."""
    keys = chain.example_keys(jax.random.key(7), 6)
    for loss in (ddpm.simple_loss, ddpm.x_0_loss, ddpm.v_loss, ddpm.vlb_loss):
        run = jax.jit(lambda rng, x, f=loss: f(constant, SCHEDULE, rng, x))
        whole = run(jax.random.key(7), IMAGES)
        parts = [run(keys[i : i + 2], IMAGES[i : i + 2]) for i in (0, 2, 4)]
        np.testing.assert_allclose(np.mean(parts), whole, rtol=1e-5)


def test_hybrid_loss_teaches_the_mean_by_the_simple_loss_alone():
    """d L_hybrid / d mean = d L_simple / d mean, and only L_vlb moves the variance."""
    key = jax.random.key(8)
    learned = variance.learned_range(lambda x_t, t: 0.2 * jnp.ones_like(x_t))

    def denoise(shift):
        return lambda x_t, t: constant(x_t, t) + shift

    def hybrid(shift, place):
        ranged = variance.learned_range(lambda x_t, t: place * jnp.ones_like(x_t))
        return ddpm.hybrid_loss(denoise(shift), SCHEDULE, key, IMAGES, variance=ranged)

    @jax.jit
    @jax.value_and_grad
    def simple(shift):
        return ddpm.simple_loss(denoise(shift), SCHEDULE, key, IMAGES)

    by_mean, by_place = jax.jit(jax.grad(hybrid, argnums=(0, 1)))(0.1, 0.2)
    value, slope = simple(0.1)
    np.testing.assert_allclose(by_mean, slope, rtol=1e-5)
    assert abs(float(by_place)) > 1e-5

    @jax.jit
    def weighted(lam):
        options = {"variance": learned, "lam": lam}
        return ddpm.hybrid_loss(denoise(0.1), SCHEDULE, key, IMAGES, **options)

    @jax.jit
    def bits():
        vlb = ddpm.vlb_loss(denoise(0.1), SCHEDULE, key, IMAGES, variance=learned)
        at_T = jax.vmap(lambda x: likelihood.prior(SCHEDULE, x, jnp.asarray(20)))
        return bounds.bits_per_dim(vlb - at_T(IMAGES).mean(), 3)

    # lam weighs bits per dimension.
    values = [float(weighted(lam)) for lam in (0.0, 1.0)]
    np.testing.assert_allclose(values[0], value, rtol=1e-6)
    np.testing.assert_allclose(values[1] - values[0], bits(), rtol=1e-4)


@pytest.mark.parametrize("T", [1, 2, 3, 1000])
def test_losses_and_bound_are_finite_in_value_and_gradient(T):
    schedule = schedules.linear(T) if T > 1 else schedules.constant(1, beta=0.5)

    def loss(shift, rng):
        def denoise(x_t, t):
            return jnp.tanh(x_t) * shift

        bound = ddpm.bound(denoise, schedule, rng, IMAGES)
        estimate = ddpm.vlb_loss(denoise, schedule, rng, IMAGES)
        return estimate - jnp.mean(bound.elbo)

    values, slopes = jax.jit(jax.vmap(jax.value_and_grad(loss), (None, 0)))(
        0.5, jax.random.split(jax.random.key(9), 20)
    )
    assert np.isfinite(values).all() and np.isfinite(slopes).all()


def test_parity_decoder_has_the_golden_values():
    """The DDPM code's tanh decoder through the same door, reference gaussian.md."""
    x = jnp.asarray([-1, -1 + 2 / 255, 1 / 255, 1])
    mean = jnp.asarray([-0.9, -0.9, 0.1, 0.95])
    decode = likelihood.discretized_decoder(
        variance=lambda schedule, x_t, t, s: jnp.exp(jnp.asarray(-6.0)),
        likelihood=likelihoods.discretized_gaussian_tanh,
    )
    got = jax.jit(decode)(SCHEDULE, x, x, mean, 1)
    golden = [-3.6194620, -4.4717278, -4.6194587, -1.7288592]
    np.testing.assert_allclose(got, sum(golden), rtol=1e-5)


def test_bound_memory_does_not_grow_with_T():
    """Live memory beyond arguments and results, as XLA plans it."""
    x_0 = jnp.zeros((8, 64, 64, 3))
    temporary = []
    for T in (10, 1000):
        schedule = schedules.linear(T)

        def evaluate(schedule, rng, x):
            return ddpm.bound(lambda x_t, t: jnp.tanh(x_t), schedule, rng, x)

        compiled = jax.jit(evaluate).lower(schedule, jax.random.key(0), x_0).compile()
        temporary.append(compiled.memory_analysis().temp_size_in_bytes)
    assert temporary[1] <= 1.1 * temporary[0], temporary
