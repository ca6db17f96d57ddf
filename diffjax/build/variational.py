"""Variational diffusion: real time, and a schedule that may be learned."""

from typing import Any

from diffjax import ddpm
from diffjax.build import nets, tables
from diffjax.build.data import Prepared
from diffjax.build.diffusions import chain_of
from diffjax.build.model import Context, Model, objectives
from diffjax.core.schedules import Schedule
from diffjax.ddpm import variational
from diffjax.ddpm.predict import Denoise
from diffjax.types import Array, Net, Objective, Params

GAMMAS: tables.Table = {
    "fixed": variational.fixed,
    "learned_ends": variational.learned_ends,
    "monotone": variational.monotone,
}


def vdm_model(
    *, context: Context, gamma: Any = "learned_ends", steps: int = 1000
) -> Model:
    r"""Variational diffusion of levels, in continuous time.

        {"name": "vdm", "gamma": "learned_ends", "steps": 1000}

    Args: context: Context.  gamma: of GAMMAS, the schedule.  steps: for sampling; the
        bound has none.
    Returns: Model.
    """
    data, shape = context.data, context.data.shape
    _expect_centred(data)
    tables.number("model.steps", steps, least=1, whole=True)
    gammas = tables.make("model.gamma", GAMMAS, gamma)
    net = nets.denoiser(context.net, shape)

    def objective_of(net: Net) -> Objective:
        return variational.objective(net, gammas, levels=data.levels)

    def reverse(params: Params) -> tuple[Denoise, Schedule]:
        bound_to = variational.bind(net, gammas, params)
        return variational.discrete(*bound_to, steps, levels=data.levels)

    def sampler(params: Params, rng: Array, num: int) -> Array:
        return ddpm.sample(*reverse(params), rng, (num, *shape))

    def walk(
        params: Params, rng: Array, size: tuple[int, ...], *, every: int
    ) -> tuple[Array, Array]:
        return ddpm.trajectory(*reverse(params), rng, size, every=every)

    return Model(
        *objectives(context.net, objective_of, net),
        sampler,
        variational.net_bound(net, gammas, levels=data.levels),
        chain_of(walk, steps + 1, shape),
    )


def _expect_centred(data: Prepared) -> None:
    if data.whole or not data.levels or data.span[1] != 1 - 1 / data.levels:
        raise ValueError(
            f"expected levels at the centres of their bins for vdm, got {data.name} on "
            f"{list(data.span)}; make `centred` one of data.transforms"
        )
