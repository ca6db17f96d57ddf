"""scheduler_config.json: the process it describes, and what is refused."""

import json

import jax.numpy as jnp
import numpy as np
import pytest

from diffjax import ddpm
from diffjax.interop import diffusers, schedulers
from interop.cases import SCHEDULER


def read(folder, **options):
    config = json.dumps({**SCHEDULER, **options})
    (folder / "scheduler_config.json").write_text(config)
    return schedulers.read_scheduler(folder)


def test_the_scheduler_of_google_ddpm_cifar10_32(tmp_path):
    read(tmp_path, tensor_format="pt", timestep_values=None, trained_betas=None)
    schedule, variance = diffusers.load_scheduler(tmp_path)
    assert variance is ddpm.large
    np.testing.assert_allclose(schedule.beta[1:], np.linspace(1e-4, 0.02, 1000), 1e-6)
    np.testing.assert_allclose(schedule.alpha_bar[1000], 4.0358297654e-05, 1e-6)


def squared_cosine(u):
    return np.cos((u + 0.008) / 1.008 * np.pi / 2) ** 2


U = np.arange(50) / 50
FORMULAS = {
    "scaled_linear": np.linspace(0.01, 0.02**0.5, 50) ** 2,
    "squaredcos_cap_v2": 1 - squared_cosine(U + 1 / 50) / squared_cosine(U),
    "sigmoid": 1e-4 + (0.02 - 1e-4) / (1 + np.exp(-np.linspace(-6, 6, 50))),
}


@pytest.mark.parametrize("name", FORMULAS)
def test_schedules(tmp_path, name):
    schedule = read(tmp_path, beta_schedule=name, num_train_timesteps=50).schedule
    wanted = np.minimum(FORMULAS[name], 0.999)
    np.testing.assert_allclose(schedule.beta[1:], wanted, 1e-5)


def test_betas_that_were_trained(tmp_path):
    for betas in ([0.1, 0.2, 0.3], [0.1, 0.3, 0.2]):
        given = read(tmp_path, trained_betas=betas, num_train_timesteps=3).schedule
        np.testing.assert_allclose(given.beta[1:], betas, 1e-6)
    with pytest.raises(ValueError, match=r"\[num_train_timesteps\] = \[1000\]"):
        read(tmp_path, trained_betas=[0.1, 0.2])


def test_variances(tmp_path):
    wanted = {"fixed_small": ddpm.small, "fixed_small_log": ddpm.small}
    for name, variance in {**wanted, "fixed_large": ddpm.large}.items():
        assert read(tmp_path, variance_type=name).variance is variance


def test_what_the_output_means(tmp_path):
    targets = {"epsilon": ddpm.predict.EPS, "v_prediction": ddpm.predict.V}
    for name, target in {**targets, "sample": ddpm.predict.X_0}.items():
        assert read(tmp_path, prediction_type=name).parameterization is target
    assert read(tmp_path, predict_epsilon=False).parameterization is ddpm.predict.X_0


def test_clipping_is_the_files(tmp_path):
    def huge(x_t, t):
        return 9 * jnp.ones(3)

    for options, bound in (({}, 1), ({"clip_sample_range": 2.5}, 2.5)):
        clipped = read(tmp_path, **options).clip(huge)
        np.testing.assert_array_equal(clipped(None, None), bound)
    assert read(tmp_path, clip_sample=False).clip(huge) is huge


@pytest.mark.parametrize(
    ("options", "wanted"),
    [
        ({}, (751, 501, 251, 1, 0)),
        ({"steps_offset": 1}, (752, 502, 252, 2, 0)),
        ({"timestep_spacing": "trailing"}, (1000, 750, 500, 250, 0)),
        ({"timestep_spacing": "linspace"}, (1000, 667, 334, 1, 0)),
    ],
)
def test_grids_are_those_of_diffusers_counted_from_one(tmp_path, options, wanted):
    grid = read(tmp_path, **options).grid
    assert grid(4) == wanted
    assert len(grid(7)) == 8


def test_grids_that_do_not_exist(tmp_path):
    grid = read(tmp_path, steps_offset=1).grid
    with pytest.raises(ValueError, match="expected 1 <= steps <= T = 1000, got 1001"):
        grid(1001)
    with pytest.raises(ValueError, match="got 1001 with steps_offset 1"):
        grid(1000)


@pytest.mark.parametrize(
    ("key", "value", "match"),
    [
        ("_class_name", "PNDMScheduler", "'DDPMScheduler' or 'DDIMScheduler'"),
        ("beta_schedule", "laplace", "'linear' or 'scaled_linear' or 'squaredcos"),
        ("variance_type", "learned_range", "'fixed_small' or .* got 'learned_range'"),
        ("variance_type", "fixed_large_log", "variance_type"),
        ("prediction_type", "flow", "'epsilon' or 'sample' or 'v_prediction'"),
        ("thresholding", True, "expected thresholding False"),
        ("rescale_betas_zero_snr", True, "expected rescale_betas_zero_snr False"),
        ("set_alpha_to_one", False, "expected set_alpha_to_one True"),
        ("timestep_values", [1, 2], "expected timestep_values None"),
        ("use_karras_sigmas", True, "understood, got use_karras_sigmas; supported"),
    ],
)
def test_what_is_not_understood_is_refused(tmp_path, key, value, match):
    with pytest.raises(ValueError, match=match):
        read(tmp_path, **{key: value})
