"""Learning by heart: how short a training set's code can get, and what that is worth.

Every model of levels or tokens can be held against these two lines. Below `floor` on
the training split there is nothing; a model near it has memorised, and `by_heart` tells
what such a model, the exact optimum, makes of examples that it has not seen.
"""

from collections.abc import Callable

import jax.numpy as jnp
import numpy as np

from diffjax import ddpm
from diffjax.build.data import Prepared
from diffjax.core import oracle
from diffjax.core.bounds import Bound
from diffjax.core.schedules import Schedule
from diffjax.types import Array


def floor(data: Prepared) -> float:
    r"""The shortest mean code of the training split: the entropy of its own law.

        H / D = - 1/D sum_x p_x log2 p_x,    p_x = how often x is there / N

    log2(N) / D where no example is there twice. No model's likelihood of the training
    split, and so no bound on it, is better on the mean.

    Args: data: Prepared, of levels or tokens.
    Returns: bits/dim.
    """
    rows = _levels(data).reshape(data.train.num, -1)
    _, counts = np.unique(rows, axis=0, return_counts=True)
    p = counts / counts.sum()
    return float(-(p * np.log2(p)).sum() / rows.shape[1])


def by_heart(data: Prepared, schedule: Schedule) -> Callable[[Array, Array], Bound]:
    r"""The bound of the DDPM that no training can improve on the training split.

        denoise(x_t, t) = E[x_0 | x_t] = sum_i P(x_i | x_t) x_i

    `oracle.finite_denoiser` over all training examples, with the decoder of DDPM. As T
    grows its bound on them tends to `floor`; of others it is worse than useless.

    Args: data: Prepared, of levels.  schedule: tables [T + 1].
    Returns: (rng, x integer [B, ...] levels) -> Bound of [B], [B, T - 1], [B]; nats.
    """
    points = jnp.asarray(_symmetric(_levels(data), data.levels))
    denoise = oracle.finite_denoiser(points, schedule)
    decoder = ddpm.likelihood.discretized_decoder(levels=data.levels)

    def bound(rng: Array, x: Array) -> Bound:
        x_0 = jnp.asarray(_symmetric(x, data.levels)).reshape(len(x), *points.shape[1:])
        return ddpm.bound(denoise, schedule, rng, x_0, decoder=decoder)

    return bound


def _levels(data: Prepared) -> np.ndarray:
    if not data.levels:
        raise ValueError(
            f"expected data of levels or tokens, got the real numbers of {data.name}; "
            "a density of them has no floor"
        )
    return data.train.read(np.arange(data.train.num))["x"]


def _symmetric(x, levels: int):
    return x.astype(np.float32) * (2 / (levels - 1)) - 1
