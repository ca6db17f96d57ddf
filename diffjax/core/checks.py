"""Mistakes in values, caught where they enter; shapes are chex's business."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from diffjax.types import Array


def is_concrete(value: Any) -> bool:
    """Whether a value can be looked at now, that is, outside jit, vmap and grad.

    Args: value: anything.
    Returns: bool (no unit).
    """
    return not isinstance(value, jax.core.Tracer)


def floating(name: str, array: Array) -> None:
    """Raise unless an array is real: `dtype(array)` in {bf16, f16, f32, f64}.

    Args: name: what to call it in the message.  array: [...].
    Returns: nothing (no unit).
    """
    if not jnp.issubdtype(jnp.result_type(array), jnp.floating):
        raise ValueError(
            f"expected {name} of a floating dtype, got {jnp.result_type(array)}; "
            "scale integer levels first, for example x / 127.5 - 1"
        )


def step(T: int, t: Array, s: Array | None = None) -> None:
    """Raise unless 0 <= s < t <= T and both are integers; values only in eager mode.

    Args: T: number of steps.  t, s: integer [], or s None for t - 1.
    Returns: nothing (no unit).
    """
    for name, value in (("t", t), ("s", t if s is None else s)):
        if jnp.ndim(value):
            raise ValueError(
                f"expected a scalar {name}, got shape {jnp.shape(value)}; these "
                "functions take one example: use jax.vmap for a batch"
            )
        if not jnp.issubdtype(jnp.result_type(value), np.integer):
            raise ValueError(
                f"expected an integer {name}, got {jnp.result_type(value)}; "
                "steps are counted 1..T, not scaled to [0, 1]"
            )
    if is_concrete(t) and not 1 <= int(t) <= T:
        raise ValueError(
            f"expected 1 <= t <= T = {T}, got t = {int(t)}; "
            "steps are counted from 1, and x_0 is the data"
        )
    if s is not None and is_concrete(s) and is_concrete(t) and not 0 <= s < t:
        raise ValueError(
            f"expected 0 <= s < t, got s = {int(s)}, t = {int(t)}; "
            "s is the earlier, less noisy step"
        )


def grid(T: int, ts: Any) -> Array:
    """Return a sampling grid as an array, after checking T >= ts[0] > ... > ts[-1] = 0.

    Args: T: number of steps.  ts: integers [N + 1], a sequence or an array.
    Returns: int32 [N + 1] (no unit).
    """
    if not is_concrete(ts):
        return ts
    values = np.asarray(ts)
    if (
        values.ndim != 1
        or len(values) < 2
        or not np.issubdtype(values.dtype, np.integer)
    ):
        raise ValueError(
            "expected ts as a one-dimensional list of at least two integers, got "
            f"shape {values.shape}, dtype {values.dtype}; for example [T, ..., 1, 0]"
        )
    if (np.diff(values) >= 0).any() or values[-1] != 0 or values[0] > T:
        raise ValueError(
            f"expected ts to descend from at most T = {T} to 0, got {_short(values)}; "
            "to use the kept steps of respace_steps: [*kept[::-1], 0]"
        )
    return jnp.asarray(values, jnp.int32)


def unit_grid(ts: Any) -> Array:
    """Return a grid of continuous time, after checking 1 = ts[0] > ... > ts[-1] = 0.

    Args: ts: real [N + 1], a sequence or an array.
    Returns: real [N + 1] (no unit).
    """
    if not is_concrete(ts):
        return ts
    values = np.asarray(ts)
    ends = values.ndim == 1 and len(values) > 1 and (values[0], values[-1]) == (1, 0)
    if not ends or (np.diff(values) >= 0).any():
        raise ValueError(
            f"expected ts real, descending from 1 to 0, got {ts}; for example "
            "jnp.linspace(1, 0, 51)"
        )
    return jnp.asarray(values)


def _short(values: np.ndarray) -> str:
    show: Callable[[np.ndarray], str] = lambda v: ", ".join(map(str, v))  # noqa: E731
    return (
        show(values) if len(values) <= 8 else f"{show(values[:4])}, ..., {values[-1]}"
    )
