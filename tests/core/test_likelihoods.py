"""Decoder likelihoods against quadrature, SciPy and a PixelCNN++ mixture in loops."""

import itertools
from functools import partial

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import special, stats

from diffjax.core import likelihoods

CASES = {  # mean, log scale
    "mid": (0.1, -2.0),
    "bright": (0.99, -3.0),
    "dark": (-1.2, -3.0),
    "narrow": (0.3, -7.0),
    "wide": (-0.4, 2.0),
}
LAWS = {
    "gaussian": (likelihoods.discretized_gaussian, stats.norm),
    "logistic": (likelihoods.discretized_logistic, stats.logistic),
    "tanh": (likelihoods.discretized_gaussian_tanh, None),
}
EXACT = ["gaussian", "logistic"]
NODES, WEIGHTS = np.polynomial.legendre.leggauss(200)
mixture = jax.jit(likelihoods.discretized_logistic_mixture, static_argnames="levels")
every_case = pytest.mark.parametrize("case", CASES)
every_size = pytest.mark.parametrize("levels", [256, 17, 2])


@partial(jax.jit, static_argnums=(0, 3))
def log_probs(name, mean, log_scale, levels=256):
    """log p of each level, [levels]."""
    one = lambda x: LAWS[name][0](x, mean, log_scale, levels=levels)  # noqa: E731
    return jax.vmap(one)(jnp.arange(levels))


def integrals(name, mean, log_scale, levels=256):
    """The same by Gauss-Legendre quadrature of the density over each bin, open ends."""
    law = LAWS[name][1](mean, np.exp(log_scale))
    centre, half = np.linspace(-1, 1, levels), 1 / (levels - 1)
    points = centre[:, None] + half * NODES
    bins = special.logsumexp(law.logpdf(points), b=half * WEIGHTS, axis=1)
    bins[0], bins[-1] = law.logcdf(centre[0] + half), law.logsf(centre[-1] - half)
    return bins


@every_case
@every_size
@pytest.mark.parametrize("name", LAWS)
def test_levels_sum_to_one_in_float64(x64, name, case, levels):
    total = np.exp(log_probs(name, *CASES[case], levels)).sum()
    assert total == pytest.approx(1, abs=1e-6)


@every_case
@pytest.mark.parametrize("name", LAWS)
def test_levels_sum_to_one_in_float32(name, case):
    total = np.exp(log_probs(name, *CASES[case])).sum()
    assert total == pytest.approx(1, abs=1e-4)


@every_case
@pytest.mark.parametrize("levels", [256, 17])
@pytest.mark.parametrize("name", EXACT)
def test_a_level_is_the_integral_over_its_bin(x64, name, case, levels):
    mean, log_scale = CASES[case]
    if (levels, case) == (17, "narrow"):
        log_scale = -5.0  # the quadrature needs bins of fewer deviations
    log_p = log_probs(name, mean, log_scale, levels)
    np.testing.assert_allclose(log_p, integrals(name, mean, log_scale, levels), 1e-9)


@pytest.mark.parametrize("log_scale", [-11.0, -7.0, -2.0, 1.5, 3.0, 5.0, 9.0])
@pytest.mark.parametrize("name", EXACT)
def test_float32_at_any_scale(name, log_scale):
    """From bins of many deviations to bins without a digit in their difference."""
    mean = 0.1
    log_p = log_probs(name, mean, log_scale)
    if log_scale > -8:
        expected = integrals(name, mean, log_scale)
        np.testing.assert_allclose(log_p, expected, 1e-4, 1e-4)
    else:  # all the mass is on the nearest level, far inside its bin
        assert log_p[140] == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("name", EXACT)
def test_level_254_is_not_an_edge(x64, name):
    mean, log_scale = CASES["bright"]
    log_p = log_probs(name, mean, log_scale)
    law = LAWS[name][1](mean, np.exp(log_scale))
    low, high = 1 - 3 / 255, 1 - 1 / 255
    inner = np.log(law.cdf(high) - law.cdf(low))
    assert log_p[254] == pytest.approx(inner, abs=1e-12)
    assert log_p[255] == pytest.approx(law.logsf(high), abs=1e-12)


@pytest.mark.parametrize("enable_x64", [False, True])
@pytest.mark.parametrize("name", LAWS)
def test_extreme_scales_stay_finite(name, enable_x64):
    """All 256 levels, log scales in +-20, means inside and far outside."""
    with jax.enable_x64(enable_x64):
        grid = jnp.meshgrid(
            jnp.arange(256),
            jnp.array([-5.0, -1.0, 0.3, 0.99, 1.0, 5.0]),
            jnp.linspace(-20.0, 20.0, 41),
        )
        f = jax.value_and_grad(LAWS[name][0], argnums=(1, 2))
        value, gradient = jax.jit(jax.vmap(f))(*(axis.ravel() for axis in grid))
        chex.assert_tree_all_finite((value, gradient))
        assert np.all(value <= 1e-6)


@pytest.mark.parametrize("enable_x64", [False, True])
def test_a_gaussian_far_from_its_mean(enable_x64):
    """Narrow bins a hundred deviations out, then more than rounding can resolve."""
    with jax.enable_x64(enable_x64):
        mean, log_scale, rtol = (1.4e5, 7.3, 1e-12) if enable_x64 else (64, 0.5, 5e-7)
        expected = integrals("gaussian", mean, log_scale)[1:-1]
        log_p = log_probs("gaussian", mean, log_scale)[1:-1]
        np.testing.assert_allclose(log_p, expected, rtol)
        f = jax.jit(likelihoods.discretized_gaussian)
        value = f(jnp.array(7), jnp.array(1e6), -1.0)
        deviation = (2 * 7 / 255 - 1 - 1e6) * np.e
        assert value == pytest.approx(-(deviation**2) / 2, rel=1e-4)


@partial(jax.jit, static_argnums=0)
def slopes(name, x, mean, log_scale):
    """d log p / d mean, for many means."""
    f = jax.grad(LAWS[name][0], argnums=1)
    return jax.vmap(f, (None, 0, None))(x, mean, log_scale)


@pytest.mark.parametrize("log_scale", [-5.0, -7.0, -9.0, -11.0, -15.0])
@pytest.mark.parametrize("name", EXACT)
def test_float32_gradients_far_from_the_mean(name, log_scale):
    """Out there the mass of a bin is at its near edge: the slope is the density's."""
    mean = np.linspace(0.4, 0.9, 50, dtype=np.float32)
    half, scale = 1 / 255, np.exp(log_scale)
    slope = slopes(name, 60, mean, log_scale)
    distance = (2 * 60 / 255 - 1 + half - np.float64(mean)) / scale
    expected = distance / scale if name == "gaussian" else np.full(50, -1 / scale)
    np.testing.assert_allclose(slope, expected, 5e-3)


@pytest.mark.parametrize("name", EXACT)
def test_sums_are_float32_whatever_the_network_is(name):
    """Design, convention 9: a bfloat16 mean has no more digits than a bin is wide."""
    mean, x = jnp.full(256, 0.5, jnp.bfloat16), jnp.arange(256)
    one = lambda x, mean: LAWS[name][0](x, mean, jnp.bfloat16(-2))  # noqa: E731
    log_p = jax.jit(jax.vmap(one))(x, mean)
    assert log_p.dtype == jnp.float32
    np.testing.assert_allclose(log_p, log_probs(name, 0.5, -2.0), 1e-5)


@pytest.mark.parametrize("name", EXACT)
def test_gradients_are_finite_differences(x64, name):
    f, (x, mean, log_scale) = LAWS[name][0], map(jnp.array, (120, 0.1, -2.0))
    f = jax.jit(f)
    gradient = jax.jit(jax.grad(f, argnums=(1, 2)))(x, mean, log_scale)
    h = 1e-5
    by_mean = f(x, mean + h, log_scale) - f(x, mean - h, log_scale)
    by_scale = f(x, mean, log_scale + h) - f(x, mean, log_scale - h)
    np.testing.assert_allclose(gradient, (by_mean / (2 * h), by_scale / (2 * h)), 1e-6)


def test_the_tanh_variant_has_the_golden_values(x64):
    """Of the published code, run in double; the printed line is of a float32 run."""
    x = np.array([0, 1, 128, 192, 255])
    # Its fourth x is level 191.5: half a level up for both x and the mean.
    mean = np.array([-0.9, -0.9, 0.1, 0.5 + (2 * 192 / 255 - 1) - 0.5019608, 0.95])
    printed = [-3.6194620, -4.4717278, -4.6194587, -2.7688715, -1.7288592]
    double = [-3.6194609477, -4.4717260415, -4.6194595635, -2.7688713306, -1.7288586320]
    f = jax.jit(jax.vmap(likelihoods.discretized_gaussian_tanh, (0, 0, None)))
    np.testing.assert_allclose(f(x, mean, -3.0), double, atol=6e-11, rtol=0)
    np.testing.assert_allclose(f(x, mean, -3.0), printed, atol=2e-6, rtol=0)
    (clamped,) = f(x[:1], mean[4:], -5.0)
    assert clamped == pytest.approx(np.log(1e-12))


@pytest.mark.parametrize("name", LAWS)
def test_dimensions_add_and_one_scale_may_be_shared(x64, name):
    x, mean = np.array([[0, 17, 60], [130, 200, 255]]), 0.1
    total = np.asarray(log_probs(name, mean, -1.5))[x].sum()
    f, means = jax.jit(LAWS[name][0]), np.full((2, 3), mean)
    np.testing.assert_allclose(f(x, means, -1.5), total, 1e-10)
    np.testing.assert_allclose(f(x, means, np.full((2, 3), -1.5)), total, 1e-10)


def numpy_mixture(x, params, levels=256):
    """PixelCNN++ in plain loops: one image [H, W, 3], params [H, W, 10 M]."""
    num, total = params.shape[-1] // 10, 0.0
    for place in np.ndindex(x.shape[:2]):
        weights = special.softmax(params[place][:num])
        mean, log_scale, raw = params[place][num:].reshape(3, 3, num).swapaxes(0, 1)
        r, g, _ = value = 2 * x[place] / (levels - 1) - 1
        p = 0.0
        for m in range(num):
            c = np.tanh(raw[:, m])
            centre = mean[:, m] + np.array([0, c[0] * r, c[1] * r + c[2] * g])
            law = stats.logistic(centre, np.exp(np.maximum(log_scale[:, m], -7)))
            above = np.where(
                x[place] < levels - 1, law.cdf(value + 1 / (levels - 1)), 1
            )
            below = np.where(x[place] > 0, law.cdf(value - 1 / (levels - 1)), 0)
            p += weights[m] * np.prod(above - below)
        total += np.log(p)
    return total


def mixture_case(shape=(3, 2), num=4, levels=256, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.integers(levels, size=(*shape, 3))
    x[0, 0] = 0, levels - 1, levels - 2
    return x, rng.normal(size=(*shape, 10 * num)) * 0.7


def test_the_rgb_mixture_is_that_of_pixelcnn(x64):
    x, params = mixture_case()
    log_p = mixture(x, params)
    np.testing.assert_allclose(log_p, numpy_mixture(x, params), 1e-10)


def test_the_rgb_mixture_sums_to_one(x64):
    _, params = mixture_case(num=3)
    colours = jnp.array(list(itertools.product(range(9), repeat=3)))
    one = lambda x: mixture(x, params[0, 0], levels=9)  # noqa: E731
    log_p = jax.vmap(one)(colours)
    assert np.exp(log_p).sum() == pytest.approx(1, abs=1e-12)


def test_a_mixture_of_one_without_coupling_is_three_logistics(x64):
    x, params = np.array([3, 200, 255]), [0, -0.9, -2, 0, 0.5, -2, 0, 0.8, -2, 0]
    separate = [
        log_probs("logistic", params[i], -2.0)[k]
        for i, k in zip((1, 4, 7), x, strict=True)
    ]
    log_p = mixture(x, np.array(params))
    np.testing.assert_allclose(log_p, np.sum(separate), 1e-12)


def test_the_rgb_mixture_stays_finite_far_out():
    x, params = mixture_case()
    f = jax.value_and_grad(mixture, argnums=1)
    for factor in (30, -30, 1e4):
        raw = np.float32(factor * params).clip(-1e4, 20)
        chex.assert_tree_all_finite(f(x, raw))


def test_bernoulli(x64):
    x, logits = np.array([[0, 1], [1, 0]]), np.array([[0.3, -2.0], [4.0, 1.0]])
    expected = stats.bernoulli.logpmf(x, special.expit(logits)).sum()
    np.testing.assert_allclose(likelihoods.bernoulli(x, logits), expected, 1e-12)
    as_floats = likelihoods.bernoulli(x.astype(float), logits)
    np.testing.assert_allclose(as_floats, expected, 1e-12)


bernoulli = jax.jit(jax.value_and_grad(likelihoods.bernoulli, argnums=1))
categorical = jax.jit(jax.value_and_grad(likelihoods.categorical, argnums=1))


@pytest.mark.parametrize("logit", [-1e4, 1e4])
@pytest.mark.parametrize("x", [0, 1])
def test_extreme_logits_stay_finite(logit, x):
    value, gradient = bernoulli(np.array([x]), np.float32([logit]))
    assert value == (0 if (logit > 0) == (x == 1) else -1e4)
    assert gradient == x - (logit > 0)
    logits = np.float32([[logit, -logit, 0.0]])
    value, gradient = categorical(np.array([x]), logits)
    assert value == logits[0, x] - 1e4
    chex.assert_tree_all_finite(gradient)


def test_categorical(x64):
    logits = np.random.default_rng(3).normal(size=(2, 5))
    expected = special.log_softmax(logits, axis=1)[[0, 1], [4, 2]].sum()
    log_p = likelihoods.categorical(jnp.array([4, 2]), jnp.array(logits))
    np.testing.assert_allclose(log_p, expected, 1e-12)


def test_mistakes_are_refused():
    level, real = jnp.zeros(3, int), jnp.zeros(3)
    for f, _ in LAWS.values():
        with pytest.raises(ValueError, match=r"integer levels 0 \.\. 255, got .*float"):
            f(real, real, real)
        with pytest.raises(ValueError, match="at least 2 levels, got 1"):
            f(level, real, real, levels=1)
        with pytest.raises(AssertionError):
            f(level, jnp.zeros(1), real)
    for x, params in ((jnp.zeros(2, int), jnp.zeros(10)), (level, jnp.zeros(12))):
        with pytest.raises(
            ValueError, match=r"x \[\.\.\., 3\] and params \[\.\.\., 10 M\]"
        ):
            mixture(x, params)


class Variants(chex.TestCase):
    """float32, alone, under jit and on several devices."""

    @chex.variants(with_jit=True, without_jit=True, with_pmap=True)
    def test_all(self):
        x, mean, log_scale = jnp.array([7, 255]), jnp.array([0.1, 0.9]), -jnp.ones(2)
        for name in EXACT:
            expected = sum(
                integrals(name, m, -1.0)[i] for i, m in ((7, 0.1), (255, 0.9))
            )
            value = self.variant(LAWS[name][0])(x, mean, log_scale)
            assert value == pytest.approx(expected, rel=1e-5)

    @chex.variants(with_jit=True, with_pmap=True)
    def test_mixture(self):
        x, params = mixture_case()
        f = self.variant(likelihoods.discretized_logistic_mixture)
        value = f(x, np.float32(params))
        assert value == pytest.approx(numpy_mixture(x, params), rel=1e-5)
