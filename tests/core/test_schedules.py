"""Schedules against the golden lines, exact decimal products and their closed forms."""

from decimal import Decimal
from math import cos, exp, log, pi, sqrt

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import special

from diffjax.core import gaussian, schedules

# T; beta_1; beta_T; alpha_bar_T; alpha_bar_{T/2+1}; posterior variance and its log at
# t = 2; prior bits/dim for |x_0| = 1. Printed by the improved-diffusion code, whose
# steps count from 0.
GOLDEN = """
linear 1000 1.0000000000e-04 2.0000000000e-02 4.0358297654e-05 7.7796658365e-02 5.4531876613e-05 -9.81672514  2.911236e-05
linear 4000 2.5000000000e-05 5.0000000000e-03 4.2466522758e-05 7.8746475224e-02 1.2803628613e-05 -11.26578194 3.059013e-05
cosine 1000 4.1284224822e-05 9.9900000000e-01 2.4287669070e-09 4.9228517245e-01 2.1789496146e-05 -10.73408253 1.751985e-09
cosine 4000 9.8658188137e-06 9.9900000000e-01 1.5179804689e-10 4.9345397967e-01 5.0076833952e-06 -12.20453715 1.094991e-10
"""  # noqa: E501
FAMILIES = {
    "linear": schedules.linear,
    "rescaled_linear": schedules.rescaled_linear,
    "cosine": schedules.cosine,
    "cosine_d3pm": schedules.cosine_d3pm,
    "quadratic": schedules.quadratic,
    "sigmoid": schedules.sigmoid,
    "constant": lambda T: schedules.constant(T, beta=0.01),
    "inverse": schedules.inverse,
    "sigmoid_alpha_bar": schedules.sigmoid_alpha_bar,
    "from_gamma": lambda T: schedules.from_gamma(jnp.linspace(-9.0, 5.0, T)),
    "zero_terminal": lambda T: schedules.rescale_zero_terminal_snr(schedules.linear(T)),
    "respaced": lambda T: schedules.respace(schedules.cosine(9 * T), 9 * steps(T)),
}
every_family = pytest.mark.parametrize("name", FAMILIES)


def steps(T):
    return np.arange(1, T + 1)


def f_cosine(u, s=0.008):
    return cos((u + s) / (1 + s) * pi / 2)


BETAS = {  # beta_t as printed in the papers
    "linear": lambda t, T: 1e-4 + (t - 1) / (T - 1) * (0.02 - 1e-4),
    "rescaled_linear": lambda t, T: (0.1 + (t - 1) / (T - 1) * 19.9) / T,
    "cosine": lambda t, T: min(
        1 - (f_cosine(t / T) / f_cosine((t - 1) / T)) ** 2, 0.999
    ),
    "cosine_d3pm": lambda t, T: min(1 - f_cosine(t / T) / f_cosine((t - 1) / T), 0.999),
    "quadratic": lambda t, T: (0.01 + (t - 1) / (T - 1) * (sqrt(0.02) - 0.01)) ** 2,
    "sigmoid": lambda t, T: 1e-4 + 0.0199 / (1 + exp(6 - 12 * (t - 1) / (T - 1))),
    "constant": lambda t, T: 0.01,
    "inverse": lambda t, T: 1 / (T - t + 1),
}


@pytest.mark.parametrize("line", GOLDEN.strip().splitlines(), ids=lambda v: v[:11])
def test_golden_lines(x64, line):
    """To the digits printed."""
    name, T, *golden = line.split()
    T, golden = int(T), [float(v) for v in golden]
    table = {"linear": schedules.rescaled_linear, "cosine": schedules.cosine}[name](T)
    beta, ab, noise = table
    variance = beta[2] * noise[1] / noise[2]
    prior = gaussian.kl_standard(jnp.sqrt(ab[T]), jnp.log(noise[T])) / log(2)
    values = beta[1], beta[T], ab[T], ab[T // 2 + 1], variance
    np.testing.assert_allclose(values, golden[:5], 6e-11)
    assert jnp.log(variance) == pytest.approx(golden[5], abs=6e-9)
    assert prior == pytest.approx(-np.log1p(-golden[2]) / (2 * log(2)), rel=1e-9)
    assert prior == pytest.approx(golden[6], rel=2e-3)  # printed from a float32 run
    assert table.T == T


@pytest.mark.parametrize("name", BETAS)
def test_betas_are_those_of_the_paper(x64, name):
    T = 50
    expected = [0.0] + [BETAS[name](t, T) for t in steps(T)]
    np.testing.assert_allclose(FAMILIES[name](T).beta, expected, 1e-12)


@every_family
@pytest.mark.parametrize("T", [1000, 50])
def test_tables_are_the_exact_products_of_their_betas(x64, name, T):
    """alpha_bar and 1 - alpha_bar in 50-digit arithmetic, to 1e-12."""
    table = FAMILIES[name](T)
    product, alpha_bar, noise = Decimal(1), [], []
    for beta in np.asarray(table.beta).tolist():
        product *= 1 - Decimal(beta)
        alpha_bar.append(float(product))
        noise.append(float(1 - product))
    np.testing.assert_allclose(table.alpha_bar, alpha_bar, 1e-12, atol=1e-15)
    np.testing.assert_allclose(table.one_minus_alpha_bar, noise, 1e-12)


@every_family
def test_tables_start_at_the_data_and_lose_signal(x64, name):
    table = FAMILIES[name](100)
    assert (table.beta[0], table.alpha_bar[0], table.one_minus_alpha_bar[0]) == (
        0,
        1,
        0,
    )
    assert table.T == 100 and {v.shape for v in table} == {(101,)}
    assert np.all(np.diff(table.alpha_bar) < 0) and table.alpha_bar[-1] >= 0
    assert np.all((table.beta[1:] > 0) & (table.beta[1:] <= 1))
    assert np.all(np.diff(table.one_minus_alpha_bar) >= 0)


@every_family
def test_float32_tables_are_the_float64_ones_rounded(name):
    """Half a unit in the last place, 6e-8; more only where the input was float32."""
    single = FAMILIES[name](1000)
    with jax.enable_x64(True):
        double = FAMILIES[name](1000)
    derived = name in ("from_gamma", "zero_terminal", "respaced")
    rtol, atol = (2e-4, 1e-12) if derived else (1e-7, 0)
    for a, b in zip(single, double, strict=True):
        assert a.dtype == jnp.float32 and b.dtype == jnp.float64
        np.testing.assert_allclose(a, b, rtol, atol)


@pytest.mark.parametrize(
    "name", sorted(set(FAMILIES) - {"rescaled_linear", "zero_terminal"})
)
def test_one_step_is_a_schedule(name):
    assert FAMILIES[name](1).T == 1


def test_signal_that_ends_at_zero_ends_there_exactly():
    inverse = schedules.inverse(10)
    np.testing.assert_allclose(inverse.alpha_bar, 1 - np.arange(11) / 10, atol=1e-7)
    for table in (
        inverse,
        schedules.sigmoid_alpha_bar(10),
        FAMILIES["zero_terminal"](10),
    ):
        ends = (table.beta[-1], table.alpha_bar[-1], table.one_minus_alpha_bar[-1])
        assert ends == (1, 0, 1)


def test_sigmoid_alpha_bar(x64):
    v = special.expit(-3 + 6 * np.arange(41) / 40)
    expected = (v[-1] - v) / (v[-1] - v[0])
    table = schedules.sigmoid_alpha_bar(40)
    np.testing.assert_allclose(table.alpha_bar, expected, 1e-12, atol=1e-15)


def test_zero_terminal_snr_keeps_the_first_step_and_the_shape(x64):
    """sqrt(alpha_bar) is shifted and scaled: differences keep their ratios."""
    before = schedules.linear(100)
    after = schedules.rescale_zero_terminal_snr(before)
    assert after.alpha_bar[1] == pytest.approx(1 - 1e-4, rel=1e-14)
    roots = [np.sqrt(table.alpha_bar[1:]) for table in (before, after)]
    ratio = np.diff(roots[1]) / np.diff(roots[0])
    np.testing.assert_allclose(ratio, ratio[0], 1e-11)


def test_from_gamma_is_differentiable_and_keeps_both_ends(x64):
    gamma = jnp.array([-30.0, -2.0, 0.0, 3.0])
    table = schedules.from_gamma(gamma)
    np.testing.assert_allclose(table.alpha_bar[1:], special.expit(-gamma), 1e-14)
    np.testing.assert_allclose(
        table.one_minus_alpha_bar[1:], special.expit(gamma), 1e-14
    )
    again = schedules.from_alpha_bar(special.expit(-gamma))
    np.testing.assert_allclose(table.beta[2:], again.beta[2:], 1e-12)
    assert table.beta[1] == pytest.approx(exp(-30), rel=1e-12)
    slope = jax.jit(jax.jacobian(lambda g: schedules.from_gamma(g).alpha_bar[1:]))(
        gamma
    )
    expected = -special.expit(gamma) * special.expit(-gamma)
    np.testing.assert_allclose(slope, np.diag(expected), 1e-12, atol=1e-30)


RESPACINGS = {  # the golden lists count from 0, these steps from 1
    (1000, "ddim50"): (50, [0, 20, 40], [960, 980]),
    (1000, "50"): (50, [0, 20, 41, 61], [958, 979, 999]),
    (4000, "ddim250"): (250, [0, 16, 32], [3968, 3984]),
    (4000, "250"): (250, [0, 16, 32, 48], [3967, 3983, 3999]),
    (300, "10,15,20"): (45, [0, 11, 22, 33], [289, 294, 299]),
    (1000, "1"): (1, [0], [0]),
    (10, "10"): (10, [0, 1, 2], [8, 9]),
    (10, "ddim4"): (4, [0, 3], [6, 9]),
}


@pytest.mark.parametrize("T, spec", RESPACINGS)
def test_kept_steps_are_the_golden_ones(T, spec):
    num, first, last = RESPACINGS[T, spec]
    kept = schedules.respace_steps(T, spec)
    assert len(kept) == num
    assert (kept[: len(first)] - 1).tolist() == first
    assert (kept[-len(last) :] - 1).tolist() == last


def test_quadratic_steps_are_those_of_ddim():
    """floor(0.8 T (i / 9)^2), repeats dropped: small steps where the data is."""
    kept = schedules.respace_steps(1000, "quad10") - 1
    assert kept.tolist() == [800 * i * i // 81 for i in range(10)]
    many = schedules.respace_steps(1000, "quad100")
    assert len(many) < 100 and np.all(np.diff(many) > 0) and many[0] == 1


@pytest.mark.parametrize("ts", [[1000], [1], [3, 400, 999], range(1, 1001, 20)])
@pytest.mark.parametrize("family", [schedules.linear, schedules.cosine])
def test_respacing_keeps_the_marginals(x64, family, ts):
    table = family(1000)
    short = schedules.respace(table, ts)
    kept = np.array([0, *ts])
    np.testing.assert_array_equal(short.alpha_bar, table.alpha_bar[kept])
    np.testing.assert_array_equal(
        short.one_minus_alpha_bar, table.one_minus_alpha_bar[kept]
    )
    ratio = table.alpha_bar[kept][1:] / table.alpha_bar[kept][:-1]
    np.testing.assert_allclose(short.beta[1:], 1 - ratio, atol=1e-14)


def test_keeping_every_step_changes_nothing():
    for table in (
        schedules.linear(1000),
        schedules.cosine(1000),
        schedules.inverse(20),
    ):
        for same, old in zip(
            schedules.respace(table, steps(table.T)), table, strict=True
        ):
            np.testing.assert_array_equal(same, old)


def test_respacing_a_float32_table_keeps_its_digits():
    """1 - alpha_bar_t / alpha_bar_s would be 6e-4 off at the first steps."""
    ts = schedules.respace_steps(1000, "500")
    single = schedules.respace(schedules.linear(1000), ts)
    with jax.enable_x64(True):
        double = schedules.respace(schedules.linear(1000), ts)
    np.testing.assert_allclose(single.beta, double.beta, 2e-5)


def test_signal_below_float32_is_refused_and_never_becomes_nan():
    """linear(20000) has alpha_bar = 0 a third before its end: 0 / 0 on respacing."""
    with pytest.raises(ValueError, match="expected"):
        schedules.respace(schedules.linear(20_000), [100, 15_000, 20_000])


LINEAR = schedules.linear(10)
MISTAKES = [
    (lambda: schedules.linear(0), "expected a number of steps T >= 1, got 0"),
    (lambda: schedules.cosine(10.0), r"expected a number of steps T >= 1, got 10\.0"),
    (
        lambda: schedules.rescaled_linear(10),
        r"betas in \(0, 1\), .* 0.01 to 2; they are",
    ),
    (lambda: schedules.constant(5, beta=0.0), r"betas in \(0, 1\), .*from 0 to 0"),
    (lambda: schedules.constant(5, beta=1.0), r"betas in \(0, 1\), .*from 1 to 1"),
    (lambda: schedules.from_betas([0.1, -0.2]), r"betas in \(0, 1\)"),
    (lambda: schedules.from_betas([0.1, 1.5]), "the last at most 1, .* 0.1 to 1.5"),
    (
        lambda: schedules.linear(10, beta_min=0.02, beta_max=0.01),
        "do not decrease, got beta_2 = .* after 0.02; .*from_alpha_bar",
    ),
    (lambda: schedules.from_betas([0.1, 0.3, 0.2]), "got beta_3 = 0.2 after 0.3"),
    (lambda: schedules.from_betas([0.1, np.nan]), "finite betas, got nan at t = 2"),
    (lambda: schedules.from_betas([np.inf]), "finite betas, got inf at t = 1"),
    (lambda: schedules.from_betas([]), r"betas of shape \[T\], got \(0,\)"),
    (lambda: schedules.from_betas([[0.1]]), r"betas of shape \[T\], got \(1, 1\)"),
    (
        lambda: schedules.from_alpha_bar([0.9, 0.9]),
        "alpha_bar to decrease from below 1",
    ),
    (
        lambda: schedules.from_alpha_bar([1.0, 0.5]),
        "below 1 to 0 or above, got 1 to 0.5",
    ),
    (
        lambda: schedules.from_alpha_bar([0.5, -0.1]),
        "got 0.5 to -0.1; it is the signal",
    ),
    (lambda: schedules.from_alpha_bar([0.5, 0.0, -0.1]), "alpha_bar to decrease"),
    (lambda: schedules.from_alpha_bar([np.nan]), "finite alpha_bar, got nan at t = 1"),
    (lambda: schedules.from_gamma(jnp.array([1.0, 1.0])), "expected gamma to increase"),
    (lambda: schedules.from_gamma(jnp.array([1.0, np.nan])), "expected .*gamma.* nan"),
    (lambda: schedules.respace(LINEAR, [0, 5]), "ascend within 1..T = 10, got 0 to 5"),
    (
        lambda: schedules.respace(LINEAR, [5, 11]),
        "ascend within 1..T = 10, got 5 to 11",
    ),
    (
        lambda: schedules.respace(LINEAR, [5, 3, 9]),
        "ascend .*respace_steps makes valid",
    ),
    (lambda: schedules.respace(LINEAR, [3, 3]), "ascend within"),
    (lambda: schedules.respace(LINEAR, []), "a list of integers, got .*respace_steps"),
    (lambda: schedules.respace(LINEAR, [0.5]), "a list of integers"),
    (lambda: schedules.respace(LINEAR, 5), "a list of integers, got 5"),
    (
        lambda: schedules.rescale_zero_terminal_snr(schedules.linear(1)),
        "expected T >= 2, got 1",
    ),
    (
        lambda: schedules.respace_steps(10, "ddim7"),
        'T = 10 gives, got "ddim7"; "7" places',
    ),
    (
        lambda: schedules.respace_steps(10, "11"),
        "at most 10 steps in a section, got 11",
    ),
    (lambda: schedules.respace_steps(10, "6,2"), "at most 5 steps in a section, got 6"),
    (
        lambda: schedules.respace_steps(10, "fast"),
        'expected a spec like .*, got "fast"',
    ),
    (lambda: schedules.respace_steps(10, "ddim"), 'got "ddim"'),
    (lambda: schedules.respace_steps(10, "quad0"), 'got "quad0"'),
    (lambda: schedules.respace_steps(10, "5,,5"), 'got "5,,5"'),
    (lambda: schedules.respace_steps(10, "²"), 'expected a spec like .*, got "²"'),
]


@pytest.mark.parametrize("call, message", MISTAKES)
def test_mistakes_are_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
