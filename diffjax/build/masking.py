"""Diffusion that masks, trained in real time."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from diffjax import d3pm
from diffjax.build import nets, tables
from diffjax.build.diffusions import chain_of, grid
from diffjax.build.model import Context, Model, expect_whole, objectives
from diffjax.d3pm import continuous, schedules
from diffjax.d3pm.continuous import Alpha
from diffjax.d3pm.objective import bound as d3pm_bound
from diffjax.d3pm.objective import example_net as d3pm_net
from diffjax.d3pm.predict import Denoise
from diffjax.types import Array, Net, Objective, Params

ALPHAS: tables.Table = {
    "linear": lambda: continuous.linear,
    "cosine": lambda: continuous.cosine,
    "polynomial": lambda *, power: continuous.polynomial(power),
}


def masked_model(
    *, context: Context, alpha: Any = "linear", T: int = 1000, steps: int | None = None
) -> Model:
    r"""Diffusion that masks, as MD4 and MDLM train it: the network is told t in [0, 1].

        {"name": "masked", "alpha": "linear", "T": 1000}

    The mask is a category more than the data have.

    Args: context: Context.  alpha: of ALPHAS, the share that is not masked at t.  T:
        steps of the bound.  steps: for sampling, all T if None.
    Returns: Model.
    """
    data = context.data
    expect_whole(data, "masked")
    mask, survival = data.levels, tables.make("model.alpha", ALPHAS, alpha)
    tables.number("model.T", T, least=1, whole=True)
    family = d3pm.transitions.absorbing(_betas(survival, T), mask + 1, mask=mask)
    net, ts = nets.categorical(context.net, data.shape, mask + 1), grid(T, steps)

    def guide(denoise: Denoise) -> Denoise:
        in_steps = lambda x_t, t: denoise(x_t, t / T)  # noqa: E731
        return d3pm.predict.zero_masked(in_steps, mask=mask)

    def cost(denoise: Denoise, family: Any, rng: Array, x_0: Array) -> Array:
        return continuous.absorbing_loss(denoise, survival, rng, x_0, mask=mask)

    def objective_of(net: Net) -> Objective:
        return d3pm.objective(net, family, loss=cost)

    def walk(
        params: Params, rng: Array, size: tuple[int, ...], *, every: int
    ) -> tuple[Array, Array]:
        denoise = guide(d3pm_net(net, params))
        options: dict[str, Any] = {"ts": ts, "every": every}
        return d3pm.samplers.trajectory(denoise, family, rng, size, **options)

    return Model(
        *objectives(context.net, objective_of, net),
        d3pm.sampler(net, family, data.shape, ts=ts, guide=guide),
        d3pm_bound(net, family, guide=guide),
        chain_of(walk, steps or T, data.shape),
    )


def _betas(alpha: Alpha, T: int) -> np.ndarray:
    with jax.enable_x64(True):
        return schedules.from_survival(
            lambda u: np.asarray(jax.vmap(alpha)(jnp.asarray(u))), T
        )
