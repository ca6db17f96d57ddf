"""Diffusion models, of real values and of categories."""

import functools
from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
import numpy as np

from diffjax import d3pm, ddpm
from diffjax.build import nets, tables
from diffjax.build.model import Context, Model, expect_whole, objectives
from diffjax.core import schedules
from diffjax.core.bounds import Bound
from diffjax.d3pm.objective import bound as d3pm_bound
from diffjax.d3pm.objective import example_net as d3pm_net
from diffjax.d3pm.objective import unguided
from diffjax.ddpm.objective import example_net as ddpm_net
from diffjax.types import Array, Batch, Net, Objective, Params

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
LOSSES: tables.Table = {
    "vb": lambda: d3pm.vb_loss,
    "hybrid": lambda *, lam: functools.partial(d3pm.hybrid_loss, lam=lam),
    "cross_entropy": lambda: d3pm.cross_entropy,
    "absorbing": lambda: d3pm.absorbing_loss,
}
FAMILIES: tables.Table = {
    "uniform": d3pm.transitions.uniform,
    "absorbing": d3pm.transitions.absorbing,
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
    "predict": {
        "joint": d3pm.predict.joint,
        "posterior_mean": d3pm.predict.posterior_mean,
    },
}


def ddpm_model(
    *,
    context: Context,
    schedule: Any,
    parameterization: Any = ddpm.predict.EPS,
    weight: Any = ddpm.weights.uniform,
    guide: Any = ddpm.guidance.unguided,
    step: Any = "ancestral",
    steps: int | None = None,
) -> Model:
    r"""Denoising diffusion of real values, or of levels on [-1, 1].

        {"name": "ddpm", "schedule": {"name": "cosine", "T": 1000}, ...}

    Args: context: Context.  schedule: of SCHEDULES.  parameterization, weight, guide:
        of CHOICES; a weight is one of eps.  step: of STEPS, for sampling.  steps: for
        sampling, all T if None.
    Returns: Model.
    """
    data = context.data
    if data.whole or (data.levels and data.span != (-1.0, 1.0)):
        raise ValueError(
            f"expected data on [-1, 1] for ddpm, got {data.name} on {list(data.span)}; "
            "make `symmetric` one of data.transforms"
        )
    table = tables.make("model.schedule", SCHEDULES, schedule)
    net, ts = nets.denoiser(context.net, data.shape), _grid(table.T, steps)
    move = tables.make("model.step", STEPS, step)
    if weight is not ddpm.weights.uniform:
        weight = ddpm.weights.on(parameterization, weight)
    decoder = ddpm.likelihood.gaussian_decoder()
    if data.levels:
        decoder = ddpm.likelihood.discretized_decoder(levels=data.levels)

    def denoise(params: Params) -> Any:
        # The bound is of the model that is drawn from, so it is guided too.
        return guide(parameterization.denoiser(table, ddpm_net(net, params)))

    def bound(params: Params, rng: Array, batch: Batch) -> Bound:
        return ddpm.bound(denoise(params), table, rng, batch["x"], decoder=decoder)

    kind = {"parameterization": parameterization}
    walk = functools.partial(ddpm.trajectory, step=move, ts=ts)

    def objective_of(net: Net) -> Objective:
        return ddpm.objective(net, table, weight=weight, **kind)

    return Model(
        *objectives(context.net, objective_of, net),
        ddpm.sampler(net, table, data.shape, step=move, ts=ts, guide=guide, **kind),
        bound,
        _chain(walk, denoise, table, data.shape, steps),
    )


def d3pm_model(
    *,
    context: Context,
    schedule: Any,
    transitions: Any,
    loss: Any = "vb",
    predict: Any = d3pm.predict.joint,
    steps: int | None = None,
) -> Model:
    r"""Denoising diffusion of categories: levels or tokens.

        {"name": "d3pm", "schedule": {...}, "transitions": "uniform", "loss": "vb", ...}

    The mask of absorbing transitions is a category more than the data have.

    Args: context: Context.  schedule: of SCHEDULES, for its betas.  transitions: of
        FAMILIES.  loss: of LOSSES.  predict: of CHOICES.  steps: for sampling, all T if
        None.
    Returns: Model.
    """
    data = context.data
    expect_whole(data, "d3pm")
    masked = tables.name(transitions) == "absorbing"
    K = data.levels + masked
    betas = tables.make("model.schedule", SCHEDULES, schedule).beta[1:]
    given = {"betas": np.asarray(betas, np.float64), "K": K, "mask": K - 1}
    family = tables.make("model.transitions", FAMILIES, transitions, given=given)
    net, ts = nets.categorical(context.net, data.shape, K), _grid(family.T, steps)
    guide = functools.partial(d3pm.predict.zero_masked, mask=K - 1)
    guided: dict[str, Any] = {"guide": guide if masked else unguided}

    def denoise(params: Params) -> Any:
        return guided["guide"](d3pm_net(net, params))

    cost = tables.make("model.loss", LOSSES, loss)

    def objective_of(net: Net) -> Objective:
        return d3pm.objective(net, family, loss=cost, **guided)

    walk = functools.partial(d3pm.samplers.trajectory, predict=predict, ts=ts)
    return Model(
        *objectives(context.net, objective_of, net),
        d3pm.sampler(net, family, data.shape, predict=predict, ts=ts, **guided),
        d3pm_bound(net, family, predict=predict, **guided),
        _chain(walk, denoise, family, data.shape, steps),
    )


def _chain(
    walk: Callable[..., Any],
    denoise: Callable[[Params], Any],
    law: Any,
    shape: tuple[int, ...],
    steps: int | None,
) -> Callable[[Params, Array, int], Array]:
    """A trajectory with its end as the last frame."""
    every = max(1, (steps or law.T) // FRAMES)

    def chain(params: Params, rng: Array, num: int) -> Array:
        last, passed = walk(denoise(params), law, rng, (num, *shape), every=every)
        return jnp.concatenate([passed, last[:, None]], axis=1)

    return chain


def _grid(T: int, steps: int | None) -> np.ndarray | None:
    """So many steps from T down to 0, as evenly as integers are; None for all."""
    if steps is None:
        return None
    tables.number("model.steps", steps, least=1, whole=True)
    if steps > T:
        raise ValueError(f"expected model.steps <= T, got {steps} > {T}; T is enough")
    return np.round(np.linspace(T, 0, steps + 1)).astype(int)
