"""Moving averages of the parameters, as many as wanted, each with its own decay."""

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp

from diffjax.types import Array, Params

Decay = Callable[[Array], Any]
"""Number of updates done before this one, [] -> the decay of this one, in [0, 1]."""


def constant(decay: float) -> Decay:
    r"""The same decay at every update.

        d_n = decay

    Args: decay: in [0, 1).
    Returns: Decay (no unit).
    """
    _check(decay)
    return lambda n: decay


def warmed_up(decay: float) -> Decay:
    r"""Forget the first parameters soon, remember the later ones long.

        d_n = min(decay, (1 + n) / (10 + n))

    The rule of TensorFlow's `ExponentialMovingAverage(num_updates=n)`.

    Args: decay: in [0, 1), reached once n is about 10 / (1 - decay).
    Returns: Decay (no unit).
    """
    _check(decay)
    return lambda n: jnp.minimum(decay, (1 + n) / (10 + n))


def update(
    decays: Mapping[str, Decay],
    averages: Mapping[str, Params],
    params: Params,
    n: Array,
) -> dict[str, Params]:
    r"""Every average moves towards the parameters.

        a <- d_n a + (1 - d_n) params

    Args: decays: by name.  averages: of the same names.  params: a pytree.  n: updates
        done before, integer [].
    Returns: averages of the same names (in the unit of params).
    """
    if set(decays) != set(averages):
        raise ValueError(
            f"expected averages {sorted(decays)}, got {sorted(averages)}; give "
            "init_state and train_step the same `averages`"
        )

    def moved(decay: Decay, average: Params) -> Params:
        d = decay(n)
        # a + (1 - d)(p - a) holds still, to the bit, where the parameters do.
        return jax.tree.map(
            lambda a, p: (a + (1 - d) * (p - a)).astype(a.dtype), average, params
        )

    return {name: moved(decays[name], averages[name]) for name in sorted(decays)}


def _check(decay: float) -> None:
    if not 0 <= decay < 1:
        raise ValueError(f"expected a decay in [0, 1), got {decay}; try 0.999")
