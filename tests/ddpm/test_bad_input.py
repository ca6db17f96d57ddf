"""Mistakes in values: what was expected, what came, and what to do."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from diffjax import ddpm
from diffjax.core import likelihoods, schedules
from diffjax.ddpm import guidance

SCHEDULE = schedules.linear(10)
KEY = jax.random.key(0)
X = jnp.zeros(2)
BYTES = jnp.zeros((1, 2), jnp.uint8)


def denoise(x_t, t):
    return x_t


CASES = {
    "betas that fall": (
        lambda: schedules.from_betas([0.1, 0.05]),
        r"do not decrease, got beta_2 = 0.05 after 0.1.*from_alpha_bar",
    ),
    "beta of 0": (lambda: schedules.from_betas([0.0, 0.1]), r"in \(0, 1\).*from 0 to"),
    "beta above 1": (lambda: schedules.from_betas([0.1, 1.2]), r"to 1.2"),
    "beta of nan": (lambda: schedules.from_betas([0.1, np.nan]), r"got nan at t = 2"),
    "betas of rank 2": (lambda: schedules.from_betas([[0.1]]), r"shape \[T\], got"),
    "too steep": (lambda: schedules.rescaled_linear(10), r"expected betas in"),
    "infinite alpha_bar": (
        lambda: schedules.from_alpha_bar([np.inf, 0.1]),
        r"finite alpha_bar, got inf at t = 1",
    ),
    "alpha_bar that rises": (
        lambda: schedules.from_alpha_bar([0.5, 0.6]),
        r"alpha_bar to decrease",
    ),
    "gamma that falls": (
        lambda: schedules.from_gamma(jnp.asarray([1.0, 0.0])),
        r"gamma to increase",
    ),
    "no steps": (lambda: schedules.linear(0), r"T >= 1, got 0"),
    "t of 0": (lambda: ddpm.diffuse(SCHEDULE, X, X, 0), r"1 <= t <= T = 10, got t = 0"),
    "t above T": (lambda: ddpm.posterior(SCHEDULE, X, X, 11), r"got t = 11"),
    "real t": (lambda: ddpm.marginal(SCHEDULE, X, 0.5), r"integer t, got float32"),
    "s not below t": (
        lambda: ddpm.posterior(SCHEDULE, X, X, 3, s=3),
        r"0 <= s < t, got s = 3, t = 3",
    ),
    "bytes to diffuse": (
        lambda: ddpm.diffuse(SCHEDULE, BYTES, BYTES, 1),
        r"x_0 of a floating dtype, got uint8.*x / 127.5 - 1",
    ),
    "bytes to a loss": (
        lambda: ddpm.simple_loss(denoise, SCHEDULE, KEY, BYTES),
        r"floating dtype, got uint8",
    ),
    "bytes to the bound": (
        lambda: ddpm.bound(denoise, SCHEDULE, KEY, BYTES),
        r"floating dtype, got uint8",
    ),
    "grid that rises": (
        lambda: ddpm.sample(denoise, SCHEDULE, KEY, (1, 2), ts=[0, 5, 10]),
        r"descend from at most T = 10 to 0, got 0, 5, 10.*kept\[::-1\]",
    ),
    "grid without 0": (
        lambda: ddpm.sample(denoise, SCHEDULE, KEY, (1, 2), ts=[10, 5, 1]),
        r"to 0, got 10, 5, 1",
    ),
    "grid above T": (
        lambda: ddpm.bound(denoise, SCHEDULE, KEY, X[None], ts=[11, 0]),
        r"at most T = 10",
    ),
    "real grid": (
        lambda: ddpm.sample(denoise, SCHEDULE, KEY, (1, 2), ts=[10.0, 0.0]),
        r"integers, got shape \(2,\), dtype float64",
    ),
    "respacing with 0": (
        lambda: schedules.respace(SCHEDULE, [0, 5]),
        r"ascend within 1..T = 10, got 0 to 5",
    ),
    "respacing twice the same": (
        lambda: schedules.respace(SCHEDULE, [5, 5]),
        r"expected ts to ascend",
    ),
    "no such stride": (
        lambda: schedules.respace_steps(1000, "ddim600"),
        r'whole stride of T = 1000 gives, got "ddim600"',
    ),
    "spec in words": (
        lambda: schedules.respace_steps(1000, "fast"),
        r'spec like "ddim50".*got "fast"',
    ),
    "crowded section": (
        lambda: schedules.respace_steps(10, "20"),
        r"at most 10 steps in a section, got 20",
    ),
    "eta of 2": (lambda: ddpm.ddim(2.0), r"0 <= eta <= 1, got 2.0"),
    "order 4": (lambda: ddpm.dpm_solver_pp(4), r"order 1, 2 or 3, got 4"),
    "negative churn": (lambda: ddpm.heun_with_churn(-1.0), r"churn >= 0"),
    "levels on [-1, 1]": (
        lambda: likelihoods.discretized_gaussian(X, X, X),
        r"integer levels 0 .. 255, got dtype float32",
    ),
    "number as mask": (
        lambda: guidance.inpaint(denoise, SCHEDULE, KEY, X[None], X),
        r"boolean mask \(1, 2\) or \(2,\), got float32 \(2,\)",
    ),
    "no steps between records": (
        lambda: ddpm.trajectory(denoise, SCHEDULE, KEY, (1, 2), every=0),
        r"every >= 1, got 0",
    ),
    "keys of another batch": (
        lambda: ddpm.sample(denoise, SCHEDULE, jax.random.split(KEY, 3), (2, 2)),
        r"one key or 2 keys, got 3",
    ),
    "terminal SNR of one step": (
        lambda: schedules.rescale_zero_terminal_snr(schedules.linear(1)),
        r"T >= 2, got 1",
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_bad_input_is_a_value_error_that_says_what_to_do(name):
    call, message = CASES[name]
    with pytest.raises(ValueError, match=message):
        call()


def test_shapes_are_checked_too():
    with pytest.raises(AssertionError):
        ddpm.diffuse(SCHEDULE, X, jnp.zeros(3), 1)
    with pytest.raises(AssertionError):
        ddpm.predict.x_0_from_eps(SCHEDULE, X, jnp.zeros((1, 2)), 1)
