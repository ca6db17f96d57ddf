"""Which steps to skip: a guard looks at the size of the gradient and decides."""

from collections.abc import Callable
from typing import NamedTuple

import jax.numpy as jnp

from diffjax.types import Array


class Watch(NamedTuple):
    """What a guard has seen of the training.

    level: running mean of the log of the gradient's norm, [].
    kept: steps kept so far, integer [].
    skipped: steps skipped so far, integer [].
    in_a_row: steps skipped since the last one kept, integer [].
    """

    level: Array
    kept: Array
    skipped: Array
    in_a_row: Array


Guard = Callable[[Watch, Array], tuple[Array, Array]]
"""(watch, norm of the gradient; infinite if anything of the step is not finite) ->
(whether to keep the step, the next level)."""


def start() -> Watch:
    r"""Nothing seen yet.

        level = kept = skipped = in_a_row = 0

    Returns: Watch of [] each.
    """
    zero = jnp.zeros((), jnp.int32)
    return Watch(jnp.zeros((), jnp.float32), zero, zero, zero)


def finite(watch: Watch, norm: Array) -> tuple[Array, Array]:
    r"""The guard that skips only what is not finite.

        keep = norm < inf

    Args: watch: so far.  norm: of the gradient, [].
    Returns: keep, bool []; level [] (nats).
    """
    return jnp.isfinite(norm), watch.level


def below(most: float) -> Guard:
    r"""The guard that skips gradients of a size that was given beforehand.

        keep = norm < most

    Child 2021 (VDVAE, arXiv:2011.10650), section 4.1, for a bound that now and then
    has an enormous gradient.

    Args: most: > 0, finite.
    Returns: Guard (no unit).
    """
    if not 0 < most < float("inf"):
        raise ValueError(f"expected 0 < most < inf, got {most}; `finite` has no limit")
    return lambda watch, norm: (norm < most, watch.level)


def adaptive(
    *,
    factor: float = 10.0,
    decay: float = 0.99,
    growth: float = 2.0,
    patience: int = 50,
) -> Guard:
    r"""The guard that also skips gradients much larger than is usual.

        keep = norm <= factor exp(level),    level <- mean of log norm

    Each gradient that is finite and too large lifts the level by log(growth), so that a
    lasting change of scale is let through after a few steps and training cannot stall.

    Args: factor: what is much larger, > 1.  decay: of the running mean, in [0, 1).
        growth: > 1.  patience: steps at the start in which all that is finite is kept.
    Returns: Guard (no unit).
    """
    if not (factor > 1 and growth > 1 and 0 <= decay < 1):
        raise ValueError(
            "expected factor > 1, growth > 1 and decay in [0, 1), got "
            f"{factor}, {growth} and {decay}"
        )

    def guard(watch: Watch, norm: Array) -> tuple[Array, Array]:
        limit = watch.level + jnp.log(factor)
        small = (jnp.log(norm) <= limit) | (watch.kept < patience)
        keep = jnp.isfinite(norm) & small
        # 1 / n at first: a plain mean, so that the zero it starts from is forgotten.
        rate = jnp.maximum(1 - decay, 1 / (watch.kept + 1))
        moved = watch.level + rate * (jnp.log(norm) - watch.level)
        lifted = watch.level + jnp.log(growth) * jnp.isfinite(norm)
        # A gradient of exactly zero says nothing about the scale of the others.
        return keep, jnp.where(
            keep & (norm > 0), moved, jnp.where(keep, watch.level, lifted)
        )

    return guard


def record(watch: Watch, keep: Array, level: Array) -> Watch:
    r"""Count a step.

        in_a_row <- 0 if keep else in_a_row + 1

    Args: watch: so far.  keep, level: what a guard returned.
    Returns: Watch of [] each.
    """
    kept = keep.astype(jnp.int32)
    return Watch(
        level.astype(jnp.float32),
        watch.kept + kept,
        watch.skipped + 1 - kept,
        (watch.in_a_row + 1) * (1 - kept),
    )
