"""Which steps t a batch trains on: functions of uniform noise, so keys stay outside."""

from collections.abc import Callable

import jax.numpy as jnp

from diffjax.types import Array

Steps = Callable[[Array, int], Array]
"""(u [B] uniform on [0, 1), T) -> integer [B] in 1..T, each of them uniform."""
Times = Callable[[Array], Array]
"""u [B] uniform on [0, 1) -> real [B] in [0, 1), each of them uniform."""


def uniform(u: Array, T: int) -> Array:
    r"""Independent uniform steps.

        t_i = 1 + floor(u_i T)

    Ho et al. 2020 (arXiv:2006.11239), algorithm 1.

    Args: u: [B] uniform on [0, 1).  T: number of steps.
    Returns: integer [B], in 1..T (steps, no unit).
    """
    return 1 + jnp.minimum(jnp.floor(u * T), T - 1).astype(jnp.int32)


def stratified(u: Array, T: int) -> Array:
    r"""Evenly spread steps with one shared random shift: less variance, still uniform.

        t_i = 1 + floor( ((u_0 + i / B) mod 1) T )

    Kingma et al. 2021 (VDM, arXiv:2107.00630), appendix I.1, "Low-discrepancy
    sampler". The shift is that of the local batch, so on several devices the steps are
    spread within each.

    Args: u: [B] uniform on [0, 1), of which the first is used.  T: number of steps.
    Returns: integer [B], in 1..T (steps, no unit).
    """
    return uniform(antithetic(u), T)


def independent(u: Array) -> Array:
    r"""Independent uniform times of a process in continuous time.

        t_i = u_i

    Kingma et al. 2021, eq. 17.

    Args: u: [B] uniform on [0, 1).
    Returns: real [B] in [0, 1) (no unit).
    """
    return u


def antithetic(u: Array) -> Array:
    r"""Evenly spread times with one shared random shift: less variance, still uniform.

        t_i = (u_0 + i / B) mod 1

    Kingma et al. 2021, appendix I.1, "Low-discrepancy sampler".

    Args: u: [B] uniform on [0, 1), of which the first is used.
    Returns: real [B] in [0, 1) (no unit).
    """
    return (u[0] + jnp.arange(u.shape[0]) / u.shape[0]) % 1
