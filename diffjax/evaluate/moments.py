"""Moments of a stream: updated batch by batch, merged between devices and passes.

What is summed of the deviations is a function of rows, [B, F]: their squares for a
variance, their products for a covariance.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

from diffjax.core.precision import widen
from diffjax.types import Array

Scatter = Callable[[Array], Array]
"""Deviations [B, ...] -> the sum over B of what is kept of each."""


class Moments(NamedTuple):
    """Of the examples seen so far.

    num: [] integer, examples.
    mean: [...].
    scatter: sum of the squares or of the products of deviations from the mean.
    """

    num: Array
    mean: Array
    scatter: Array


def squares(rows: Array) -> Array:
    r"""What a variance is made of.

        sum_i d_i^2

    Args: rows: [B, ...] deviations.
    Returns: [...] (squared unit of rows).
    """
    return jnp.sum(rows**2, axis=0)


def products(rows: Array) -> Array:
    r"""What a covariance is made of.

        sum_i d_i d_i^T

    Args: rows: [B, F] deviations.
    Returns: [F, F] (squared unit of rows).
    """
    return jnp.matmul(rows.T, rows, precision=jax.lax.Precision.HIGHEST)


def zero(scatter: Scatter, shape: tuple[int, ...]) -> Moments:
    r"""Nothing seen yet.

        n = 0

    Args: scatter: `squares` or `products`.  shape: of an example.
    Returns: Moments of [], [...] and what scatter gives.
    """
    mean = jnp.zeros(shape)
    return Moments(jnp.zeros((), jnp.int32), mean, scatter(mean[None]))


def update(
    scatter: Scatter,
    moments: Moments,
    x: Array,
    *,
    mask: Array | None = None,
    axis_name: str | None = None,
) -> Moments:
    r"""See one more batch.

        merge(moments, moments of the batch)

    Under `jit` over a mesh, x is the global batch and needs no axis_name.

    Args: scatter: as in `zero`.  moments: Moments.  x: [B, ...].  mask: boolean [B],
        the examples that count, all by default.  axis_name: of the devices among which
        the batch is split.
    Returns: Moments, the same on all devices (unit of x).
    """
    (x,) = widen(x)
    kept = jnp.ones(x.shape[0], bool) if mask is None else mask
    column = kept.reshape(-1, *(1,) * (x.ndim - 1))

    def over_devices(value: Array) -> Array:
        return value if axis_name is None else jax.lax.psum(value, axis_name)

    num = over_devices(jnp.sum(kept, dtype=jnp.int32))
    total = over_devices(jnp.sum(jnp.where(column, x, 0), axis=0))
    mean = total / jnp.maximum(num, 1)
    deviations = jnp.where(column, x - mean[None], 0)
    batch = Moments(num, mean, over_devices(scatter(deviations)))
    return merge(scatter, moments, batch)


def merge(scatter: Scatter, a: Moments, b: Moments) -> Moments:
    r"""The moments of two parts of the data as those of the whole.

        mean = (n_a mean_a + n_b mean_b) / n
        S = S_a + S_b + n_a n_b / n  (mean_b - mean_a)^2

    Chan, Golub & LeVeque 1983. No sum of squares is ever formed, so a mean far from
    zero costs no digits.

    Args: scatter: as in `zero`.  a, b: Moments.
    Returns: Moments.
    """
    num = a.num + b.num
    share = b.num / jnp.maximum(num, 1)
    apart = jnp.sqrt(a.num * share) * (b.mean - a.mean)
    mean = (1 - share) * a.mean + share * b.mean
    return Moments(num, mean, a.scatter + b.scatter + scatter(apart[None]))
