"""scheduler_config.json of diffusers, and the process it describes."""

import functools
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from diffjax.core import schedules
from diffjax.core.schedules import Schedule
from diffjax.ddpm import guidance, predict, variance
from diffjax.ddpm.predict import Denoise, Parameterization
from diffjax.ddpm.variance import Variance
from diffjax.interop.configs import complete, expect_class
from diffjax.interop.files import read_config

CLASSES = ("DDPMScheduler", "DDIMScheduler")
DEFAULTS: dict[str, Any] = {
    "num_train_timesteps": 1000,
    "beta_start": 1e-4,
    "beta_end": 0.02,
    "beta_schedule": "linear",
    "trained_betas": None,
    "variance_type": "fixed_small",
    "clip_sample": True,
    "clip_sample_range": 1.0,
    "prediction_type": "epsilon",
    "predict_epsilon": True,
    "thresholding": False,
    "timestep_spacing": "leading",
    "steps_offset": 0,
    "rescale_betas_zero_snr": False,
    "set_alpha_to_one": True,
    "timestep_values": None,
}
"""What diffusers assumes where a file says nothing; predict_epsilon and timestep_values
are of 2022."""
UNUSED = {"dynamic_thresholding_ratio", "sample_max_value", "tensor_format"}
BETAS: dict[str, Callable[..., Schedule]] = {
    "linear": schedules.linear,
    "scaled_linear": schedules.quadratic,
    "squaredcos_cap_v2": lambda T, *, beta_min, beta_max: schedules.cosine(T),
    "sigmoid": schedules.sigmoid,
}
VARIANCES: dict[str, Variance] = {
    "fixed_small": variance.small,
    "fixed_small_log": variance.small,  # the same, through its logarithm
    "fixed_large": variance.large,
}
TARGETS = {
    "epsilon": predict.EPS,
    "sample": predict.X_0,
    "v_prediction": predict.V,
}
SPACINGS: dict[str, Callable[[int, int], np.ndarray]] = {
    "leading": lambda T, steps: np.arange(steps) * (T // steps),
    "trailing": lambda T, steps: np.round(np.arange(T, 0, -T / steps))[::-1] - 1,
    "linspace": lambda T, steps: np.linspace(0, T - 1, steps).round(),
}
ONLY: dict[str, tuple[Any, ...]] = {
    "beta_schedule": tuple(BETAS),
    "variance_type": tuple(VARIANCES),
    "prediction_type": tuple(TARGETS),
    "timestep_spacing": tuple(SPACINGS),
    "thresholding": (False,),
    "rescale_betas_zero_snr": (False,),
    "set_alpha_to_one": (True,),
    "timestep_values": (None,),
}
"""Keys of which only some values are supported."""


class Scheduler(NamedTuple):
    """A process, and how its checkpoint is meant to be sampled.

    schedule: Schedule.  variance: of the reverse step.
    parameterization: what the network's output means.
    clip: denoise -> denoise, as the file says; nothing else clips.
    grid: number of steps -> ts, 1-based, descending to 0.
    """

    schedule: Schedule
    variance: Variance
    parameterization: Parameterization
    clip: Callable[[Denoise], Denoise]
    grid: Callable[[int], tuple[int, ...]]


def read_scheduler(directory: Path) -> Scheduler:
    r"""All that a scheduler_config.json says.

        beta_schedule -> schedule, variance_type -> variance, clip_sample -> clip, ...

    Args: directory: where the file is.
    Returns: Scheduler.
    """
    config = read_config(directory / "scheduler_config.json")
    expect_class(config, CLASSES)
    full = complete(config, DEFAULTS, ONLY, UNUSED)
    target = full["prediction_type"] if full["predict_epsilon"] else "sample"
    schedule = _schedule(full)
    grid = functools.partial(
        spaced, schedule.T, full["timestep_spacing"], full["steps_offset"]
    )
    bound = full["clip_sample_range"]
    clipped = functools.partial(guidance.clipped, low=-bound, high=bound)
    return Scheduler(
        schedule=schedule,
        variance=VARIANCES[full["variance_type"]],
        parameterization=TARGETS[target],
        clip=clipped if full["clip_sample"] else guidance.unguided,
        grid=grid,
    )


def spaced(T: int, spacing: str, offset: int, steps: int) -> tuple[int, ...]:
    r"""The times at which diffusers calls the network, in our counting, and then 0.

        leading:  t_i = 1 + offset + i floor(T / steps)

    Args: T: steps of the process.  spacing: a key of SPACINGS.  offset: added to those
        of "leading".  steps: how many.
    Returns: ts [steps + 1], descending to 0 (no unit).
    """
    if not 1 <= steps <= T:
        raise ValueError(f"expected 1 <= steps <= T = {T}, got {steps}")
    shift = 1 + (offset if spacing == "leading" else 0)
    ts = SPACINGS[spacing](T, steps).astype(int) + shift
    if ts[-1] > T:
        raise ValueError(
            f"expected times up to T = {T}, got {ts[-1]} with steps_offset {offset}"
        )
    return (*map(int, ts[::-1]), 0)


def _schedule(config: Mapping[str, Any]) -> Schedule:
    T = config["num_train_timesteps"]
    if config["trained_betas"] is None:
        ends = {"beta_min": config["beta_start"], "beta_max": config["beta_end"]}
        return BETAS[config["beta_schedule"]](T, **ends)
    betas = np.asarray(config["trained_betas"], np.float64)
    if betas.shape != (T,):
        raise ValueError(
            f"expected trained_betas [num_train_timesteps] = [{T}], got {betas.shape}"
        )
    if (np.diff(betas) < 0).any():
        return schedules.from_alpha_bar(np.cumprod(1 - betas))
    return schedules.from_betas(betas)
