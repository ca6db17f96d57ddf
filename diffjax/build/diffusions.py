"""Diffusion of categories, and what it shares with that of real values."""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from diffjax import d3pm, ddpm
from diffjax.build import nets, tables
from diffjax.build.model import Context, Model, Process, expect_whole, objectives
from diffjax.core import schedules, times
from diffjax.d3pm.objective import bound as d3pm_bound
from diffjax.d3pm.objective import example_net as d3pm_net
from diffjax.d3pm.objective import unguided
from diffjax.data import text
from diffjax.types import Array, Net, Objective, Params

FRAMES = 32
"""Of a chain, about so many are kept."""
SCHEDULES: tables.Table = {
    "linear": schedules.linear,
    "rescaled_linear": schedules.rescaled_linear,
    "cosine": schedules.cosine,
    "cosine_d3pm": schedules.cosine_d3pm,
    "quadratic": schedules.quadratic,
    "sigmoid": schedules.sigmoid,
    "constant": schedules.constant,
    "inverse": schedules.inverse,
}
STEPS: tables.Table = {
    "ancestral": lambda: ddpm.ancestral,
    "ancestral_large": lambda: ddpm.ancestral_with(ddpm.large),
    "ddim": lambda *, eta=0.0: ddpm.ddim(eta),
    "dpm_solver_pp": lambda *, order=2: ddpm.dpm_solver_pp(order),
    "heun": lambda: ddpm.heun,
    "plms": lambda: ddpm.plms,
}
TIMES: tables.Table = {"uniform": times.uniform, "stratified": times.stratified}


def _timed(loss: Callable[..., Any]) -> Callable[..., Any]:
    def timed(*, times: str = "uniform") -> Callable[..., Any]:
        tables.among("model.loss.times", times, TIMES)
        return functools.partial(loss, times=TIMES[times])

    return timed


LOSSES: tables.Table = {
    "vb": _timed(d3pm.vb_loss),
    "hybrid": lambda *, lam=None: functools.partial(d3pm.hybrid_loss, lam=lam),
    "cross_entropy": _timed(d3pm.cross_entropy),
    "absorbing": _timed(d3pm.absorbing_loss),
}


def _absorbing_level(*, betas: np.ndarray, K: int, level: int) -> Any:
    tables.number("model.transitions.level", level, least=0, whole=True)
    return d3pm.transitions.absorbing(betas, K, mask=level)


FAMILIES: tables.Table = {
    "uniform": d3pm.transitions.uniform,
    "absorbing": d3pm.transitions.absorbing,
    "absorbing_level": _absorbing_level,
    "gaussian": d3pm.transitions.gaussian,
    "banded": d3pm.transitions.banded,
}
CHOICES: tables.Choices = {
    "parameterization": {
        "eps": ddpm.predict.EPS,
        "x_0": ddpm.predict.X_0,
        "v": ddpm.predict.V,
    },
    "weight": {
        "uniform": ddpm.weights.uniform,
        "snr": ddpm.weights.snr,
        "min_snr": ddpm.weights.min_snr(),
    },
    "guide": {
        "none": ddpm.guidance.unguided,
        "clipped": ddpm.guidance.clipped,
        "dynamically_clipped": ddpm.guidance.dynamically_clipped,
    },
    "variance": {
        "small": ddpm.small,
        "large": ddpm.large,
        "learned_range": ddpm.learned_range,
    },
    "predict": {
        "joint": d3pm.predict.joint,
        "posterior_mean": d3pm.predict.posterior_mean,
    },
}


def d3pm_model(
    *,
    context: Context,
    schedule: Any,
    transitions: Any,
    loss: Any = "vb",
    predict: Any = d3pm.predict.joint,
    steps: int | None = None,
    infill: str | None = None,
) -> Model:
    r"""Denoising diffusion of categories: levels or tokens.

        {"name": "d3pm", "schedule": {...}, "transitions": "uniform", "loss": "vb", ...}

    The mask of absorbing transitions is a category more than the data have; that of
    "absorbing_level" is one of theirs, a grey for example.

    Args: context: Context.  schedule: of SCHEDULES, for its betas.  transitions: of
        FAMILIES.  loss: of LOSSES.  predict: of CHOICES.  steps: for sampling, all T if
        None.  infill: of samples, the letters to keep, with _ for those to draw; of all
        if None.
    Returns: Model.
    """
    data = context.data
    expect_whole(data, "d3pm")
    masked = tables.name(transitions) == "absorbing"
    K = data.levels + masked
    betas = tables.make("model.schedule", SCHEDULES, schedule).beta[1:]
    given = {"betas": np.asarray(betas, np.float64), "K": K, "mask": K - 1}
    family = tables.make("model.transitions", FAMILIES, transitions, given=given)
    net, ts = nets.categorical(context.net, data.shape, K), grid(family.T, steps)
    guide = functools.partial(d3pm.predict.zero_masked, mask=K - 1)
    guided: dict[str, Any] = {"guide": guide if masked else unguided}

    cost = tables.make("model.loss", LOSSES, loss)
    drawn: dict[str, Any] = {"predict": predict, "ts": ts}
    if infill is not None:
        given_text = text.template(infill, data.alphabet, length=data.shape[0])
        drawn["known"], drawn["known_mask"] = given_text

    def objective_of(net: Net) -> Objective:
        return d3pm.objective(net, family, loss=cost, **guided)

    def walk(
        params: Params, rng: Array, size: tuple[int, ...], *, every: int
    ) -> tuple[Array, Array]:
        denoise = guided["guide"](d3pm_net(net, params))
        return d3pm.samplers.trajectory(
            denoise, family, rng, size, every=every, **drawn
        )

    return Model(
        *objectives(context.net, objective_of, net),
        d3pm.sampler(net, family, data.shape, **drawn, **guided),
        d3pm_bound(net, family, predict=predict, **guided),
        chain_of(walk, steps or family.T, data.shape),
        process=_process(family),
    )


def _process(family: d3pm.process.Transitions) -> Process:
    def diffuse(rng: Array, x_0: Array, t: Array) -> Array:
        gumbel = jax.random.gumbel(rng, (*x_0.shape, family.K), mode="high")
        return d3pm.diffuse(family, x_0, gumbel, t)

    start = jnp.asarray(0)
    return Process(family.T, diffuse, lambda t: family.matrix(start, t))


def process_of(schedule: schedules.Schedule) -> Process:
    r"""The forward process of real values.

        x_t = sqrt(alpha_bar_t) x_0 + sqrt(1 - alpha_bar_t) eps

    Args: schedule: tables [T + 1].
    Returns: Process.
    """

    def diffuse(rng: Array, x_0: Array, t: Array) -> Array:
        return ddpm.diffuse(schedule, x_0, jax.random.normal(rng, x_0.shape), t)

    return Process(schedule.T, diffuse)


def chain_of(
    walk: Callable[..., Any], T: int, shape: tuple[int, ...]
) -> Callable[[Params, Array, int], Array]:
    r"""A trajectory with its end as the last frame.

        x_T, x_{T - k}, ..., x_0,    about FRAMES of them

    Args: walk: (params, rng, (num, *shape), every=...) -> x_0, and what it passed.
        T: its steps.  shape: of one example.
    Returns: (params, rng, num) -> [num, frames, *shape] (data units).
    """
    every = max(1, T // FRAMES)

    def chain(params: Params, rng: Array, num: int) -> Array:
        last, passed = walk(params, rng, (num, *shape), every=every)
        return jnp.concatenate([passed, last[:, None]], axis=1)

    return chain


def grid(T: int, steps: int | None) -> np.ndarray | None:
    r"""So many steps from T down to 0, as evenly as integers are.

        t_i = round(T (1 - i / steps)),    i = 0 .. steps

    Args: T: of the schedule.  steps: of the grid, None for all.
    Returns: integers [steps + 1], or None (no unit).
    """
    if steps is None:
        return None
    tables.number("model.steps", steps, least=1, whole=True)
    if steps > T:
        raise ValueError(f"expected model.steps <= T, got {steps} > {T}; T is enough")
    return np.round(np.linspace(T, 0, steps + 1)).astype(int)
