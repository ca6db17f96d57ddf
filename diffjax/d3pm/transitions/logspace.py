"""Sums of probabilities held as logs: a zero is -inf, and every gradient is finite."""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from diffjax.core import categorical
from diffjax.types import Array


def add(x: Array, y: Array) -> Array:
    r"""The log of a sum of two probabilities, either or both of which may be zero.

        log(e^x + e^y)

    The gradient of `jnp.logaddexp` is NaN where both are -inf; here it is 0.

    Args: x, y: [...], broadcast as usual.
    Returns: [...] nats.
    """
    top = _finite(jnp.maximum(x, y))
    return categorical.log(jnp.exp(x - top) + jnp.exp(y - top)) + top


def total(log_p: Array) -> Array:
    r"""The log of the mass on the last axis, which stays.

        log sum_k p_k

    Args: log_p: [..., K].
    Returns: [..., 1] nats.
    """
    top = _finite(jnp.max(log_p, axis=-1, keepdims=True))
    return categorical.log(jnp.sum(jnp.exp(log_p - top), -1, keepdims=True)) + top


def linear(apply: Callable[[Array], Array], log_p: Array, log_stay: Array) -> Array:
    r"""The log of a linear map with no negative entries, applied to a law.

        log (p Q)_j,    or  log p_j + log Q_jj  where p Q is too small for the dtype

    p is scaled by its largest entry. What then underflows is not called impossible: the
    part that never moved bounds it from below, and has a gradient.

    Args: apply: p [..., K] -> p Q [..., K].  log_p: [..., K].  log_stay: log of the
        diagonal of Q, or a bound below it, [K] or [].
    Returns: [..., K] nats.
    """
    top = _finite(jnp.max(log_p, axis=-1, keepdims=True))
    moved = apply(jnp.exp(log_p - top))
    normal = moved >= jnp.finfo(moved.dtype).tiny
    stay = jnp.reshape(log_stay, (1,) * (log_p.ndim - 1) + (-1,)) + log_p
    return jnp.where(normal, jnp.log(jnp.where(normal, moved, 1)) + top, stay)


def _finite(top: Array) -> Array:
    return jax.lax.stop_gradient(jnp.where(top > -jnp.inf, top, 0))
