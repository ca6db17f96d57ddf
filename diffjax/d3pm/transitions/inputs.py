"""What the constructors of this chapter refuse, and what their operators check."""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from diffjax.core import checks
from diffjax.types import Array


def betas(values: Sequence[float] | np.ndarray | Array) -> np.ndarray:
    r"""One-step probabilities as float64, after checking 0 <= beta_t <= 1.

    Args: values: [T], for t = 1..T.
    Returns: float64 [T] (probabilities).
    """
    return probabilities("betas", values)


def probabilities(name: str, values: Any) -> np.ndarray:
    r"""A vector of probabilities, one for each step, as float64.

    Args: name: what to call it in the message.  values: [T], each in [0, 1].
    Returns: float64 [T] (probabilities).
    """
    array = np.asarray(values, np.float64)
    if array.ndim != 1 or array.size == 0:
        raise ValueError(
            f"expected {name} of shape [T], got {array.shape}; one value for each of "
            "t = 1..T, for example schedules.linear(T).beta[1:]"
        )
    if not np.isfinite(array).all():
        t = int(np.argmin(np.isfinite(array)))
        raise ValueError(f"expected finite {name}, got {array[t]} at t = {t + 1}")
    if (array < 0).any() or (array > 1).any():
        raise ValueError(
            f"expected {name} in [0, 1], got values from {array.min():.6g} to "
            f"{array.max():.6g}; they are probabilities, one for each step"
        )
    return array


def categories(K: int) -> int:
    """The number of categories, after checking that it is one.

    Args: K: integer >= 2.
    Returns: int (no unit).
    """
    if not isinstance(K, int | np.integer) or isinstance(K, bool) or K < 2:
        raise ValueError(
            f"expected a number of categories K >= 2, got {K!r}; K counts the mask"
        )
    return int(K)


def law(name: str, values: Any) -> np.ndarray:
    r"""A law over categories as float64, after checking pi >= 0 and sum pi = 1.

    Args: name: what to call it in the message.  values: [K].
    Returns: float64 [K], normalised once more (probabilities).
    """
    array = np.asarray(values, np.float64)
    if array.ndim != 1 or array.size < 2:
        raise ValueError(f"expected {name} of shape [K], K >= 2, got {array.shape}")
    if not np.isfinite(array).all() or (array < 0).any():
        raise ValueError(
            f"expected {name} finite and not negative, got a minimum of "
            f"{array.min():.6g}; it holds probabilities, not logits"
        )
    if abs(array.sum() - 1) > 1e-5:
        raise ValueError(
            f"expected {name} to sum to 1, got {array.sum():.6g}; "
            "divide counts by their sum"
        )
    return array / array.sum()


def span(T: int, s: Array, t: Array) -> None:
    """Raise unless 0 <= s <= t <= T and both are integers; values only in eager mode.

    Args: T: number of steps.  s, t: integer [].
    Returns: nothing (no unit).
    """
    for name, value in (("s", s), ("t", t)):
        if not jnp.issubdtype(jnp.result_type(value), np.integer):
            raise ValueError(
                f"expected an integer {name}, got {jnp.result_type(value)}; "
                "steps are counted 0..T, not scaled to [0, 1]"
            )
        if checks.is_concrete(value) and not 0 <= int(value) <= T:
            raise ValueError(
                f"expected 0 <= {name} <= T = {T}, got {name} = {int(value)}; "
                "steps are counted from 1, and x_0 is the data"
            )
    if checks.is_concrete(s) and checks.is_concrete(t) and int(s) > int(t):
        raise ValueError(
            f"expected s <= t, got s = {int(s)}, t = {int(t)}; "
            "s is the earlier, less noisy step, and comes first"
        )


def table(values: np.ndarray) -> Array:
    """A finished float64 table as float32, or as it is under x64.

    Args: values: float64 [...].
    Returns: [...] in the unit of values.
    """
    dtype = jax.dtypes.canonicalize_dtype(np.float64)
    return jax.device_put(np.asarray(values, dtype))  # unlike asarray: no compilation


def log_law(K: int, log_p: Array) -> None:
    """Raise unless log_p is floating, its last axis the K categories.

    Args: K: number of categories.  log_p: [..., K].
    Returns: nothing (no unit).
    """
    if not jnp.issubdtype(jnp.result_type(log_p), jnp.floating):
        raise ValueError(
            f"expected log probabilities, got dtype {jnp.result_type(log_p)}; "
            "tokens go through row"
        )
    if jnp.ndim(log_p) == 0 or log_p.shape[-1] != K:
        raise ValueError(
            f"expected log probabilities [..., K = {K}], got shape {jnp.shape(log_p)}; "
            "K counts the mask"
        )
