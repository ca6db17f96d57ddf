"""Networks of variational diffusion: a denoiser and its schedule, trained together.

The parameters are {"net": ..., "gamma": ...}. The network estimates eps and is told of
gamma(t), scaled to [0, 1]; the mathematics is that of `continuous`.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

from diffjax.core import schedules
from diffjax.core.batching import of_example
from diffjax.core.bounds import Bound, bits_per_dim
from diffjax.core.schedules import Schedule
from diffjax.ddpm import continuous
from diffjax.ddpm.continuous import Gamma
from diffjax.ddpm.predict import Denoise
from diffjax.types import Array, Batch, Metrics, Net, Objective, Params


class Schedules(NamedTuple):
    """The schedules that training chooses from.

    init: key -> params.
    bind: params -> Gamma.
    gamma_min, gamma_max: the ends at the start, which scale what a network is told.
    """

    init: Callable[[Array], Params]
    bind: Callable[[Params], Gamma]
    gamma_min: float
    gamma_max: float


def fixed(*, gamma_min: float = -13.3, gamma_max: float = 5.0) -> Schedules:
    r"""A single schedule, nothing to train.

        gamma(t) = gamma_min + (gamma_max - gamma_min) t

    Kingma et al. 2021 (VDM, arXiv:2107.00630), published code.

    Args: gamma_min, gamma_max: its ends, -log SNR.
    Returns: Schedules (nats).
    """
    _expect_rising(gamma_min, gamma_max)
    gamma = continuous.linear_gamma(gamma_min, gamma_max)
    return Schedules(lambda rng: (), lambda params: gamma, gamma_min, gamma_max)


def learned_ends(*, gamma_min: float = -13.3, gamma_max: float = 5.0) -> Schedules:
    r"""Straight lines: in continuous time the bound depends on the two ends alone.

        gamma(t) = b + |w| t

    Kingma et al. 2021, published code.

    Args: gamma_min, gamma_max: the ends at the start, -log SNR.
    Returns: Schedules, their params {"start": [], "rise": []} (nats).
    """
    _expect_rising(gamma_min, gamma_max)

    def init(rng: Array) -> Params:
        rise = jnp.asarray(gamma_max - gamma_min)
        return {"start": jnp.asarray(gamma_min), "rise": rise}

    def bind(params: Params) -> Gamma:
        start, rise = params["start"], jnp.abs(params["rise"])
        return continuous.linear_gamma(start, start + rise)

    return Schedules(init, bind, gamma_min, gamma_max)


def monotone(
    *, gamma_min: float = -13.3, gamma_max: float = 5.0, width: int = 1024
) -> Schedules:
    r"""Any rising curve, as `continuous.monotone_gamma`.

        gamma(t) = |a| t + b + 1/W sum_i |c_i| (2 sigmoid(|d_i| (2 t - 1) + e_i) - 1)

    Kingma et al. 2021, appendix H.

    Args: gamma_min, gamma_max: the ends at the start, nearly.  width: W.
    Returns: Schedules, their params GammaParams (nats).
    """
    _expect_rising(gamma_min, gamma_max)

    def init(rng: Array) -> Params:
        return continuous.init_gamma(
            rng, gamma_min=gamma_min, gamma_max=gamma_max, width=width
        )

    return Schedules(init, continuous.monotone_gamma, gamma_min, gamma_max)


def objective(net: Net, gammas: Schedules, *, levels: int = 256) -> Objective:
    r"""Train a network and its schedule on the bound in continuous time.

        L = E_x[ -elbo ],    elbo of `continuous.bound`

    Kingma et al. 2021, eq. 11.

    Args: net: (z [B, ...], t [B]) -> eps [B, ...].  gammas: Schedules.  levels: of the
        data, at their centres as for `continuous.log_decoder`.
    Returns: Objective (nats per example).
    """

    def init(rng: Array, batch: Batch) -> Params:
        of_net, of_gamma = jax.random.split(rng)
        x = batch["x"]
        told = jnp.ones(len(x), x.dtype)
        return {"net": net.init(of_net, x, told), "gamma": gammas.init(of_gamma)}

    def loss(params: Params, rng: Array, batch: Batch) -> tuple[Array, Metrics]:
        denoise, gamma = bind(net, gammas, params)
        x = batch["x"]
        value = continuous.continuous_loss(denoise, gamma, rng, x, levels=levels)
        bits = bits_per_dim(value, x[0].size)
        return value, {"loss": value, "bits_per_dim": bits}

    return Objective(init, loss)


def bind(net: Net, gammas: Schedules, params: Params) -> tuple[Denoise, Gamma]:
    r"""The denoiser and the schedule of some parameters.

        x_hat = (z - sigma eps_hat(z, g)) / alpha,    g = gamma(t) scaled to [0, 1]

    Kingma et al. 2021, section 3.4.

    Args: net, gammas: as trained.  params: of the objective.
    Returns: denoise (z_t [...], t real []) -> x [...] (data units), and Gamma.
    """
    gamma, f = gammas.bind(params["gamma"]), of_example(net, params["net"])
    span = gammas.gamma_max - gammas.gamma_min

    def denoise(z: Array, t: Array) -> Array:
        g = gamma(t)
        eps = f(z, ((g - gammas.gamma_min) / span).astype(z.dtype))
        return z / jnp.sqrt(jax.nn.sigmoid(-g)) - jnp.exp(g / 2) * eps

    return denoise, gamma


def net_bound(
    net: Net, gammas: Schedules, *, levels: int = 256
) -> Callable[[Params, Array, Batch], Bound]:
    r"""The bound of trained networks, unbiased.

        (params, rng, batch) -> Bound

    Kingma et al. 2021, eqs. 11 and 15.

    Args: net, gammas, levels: as for `objective`.
    Returns: a function to Bound of [B], [B, 1], [B]; nats.
    """

    def evaluate(params: Params, rng: Array, batch: Batch) -> Bound:
        denoise, gamma = bind(net, gammas, params)
        return continuous.bound(denoise, gamma, rng, batch["x"], levels=levels)

    return evaluate


def discrete(
    denoise: Denoise, gamma: Gamma, T: int, *, levels: int = 256
) -> tuple[Denoise, Schedule]:
    r"""The same model in T steps and one more, for the samplers of DDPM.

        x_1 = z_0, x_2 = z_{1/T}, ..., x_{T+1} = z_1

    The last step, from z_0, asks the decoder and not the network: the nearest level.
    Kingma et al. 2021, published code.

    Args: denoise: (z_t, t real []) -> x.  gamma: Gamma.  T: steps.  levels: of x, at
        their centres.
    Returns: denoise (x_t [...], t in 1..T + 1) -> x (data units), and its Schedule.
    """
    if T < 1:
        raise ValueError(f"expected T >= 1 steps, got {T}")
    schedule = schedules.from_gamma(jax.vmap(gamma)(jnp.arange(T + 1) / T))

    def nearest(z: Array) -> Array:
        level = jnp.round(((z + 1) * levels - 1) / 2)
        return (2 * jnp.clip(level, 0, levels - 1) + 1) / levels - 1

    def of_index(x_t: Array, t: Array) -> Array:
        decoded = nearest(x_t / jnp.sqrt(schedule.alpha_bar[1]))
        return jnp.where(t > 1, denoise(x_t, (t - 1) / T), decoded)

    return of_index, schedule


def _expect_rising(gamma_min: float, gamma_max: float) -> None:
    if not gamma_min < gamma_max:
        raise ValueError(
            f"expected gamma_min < gamma_max, got {gamma_min} and {gamma_max}: noise "
            "grows with t"
        )
