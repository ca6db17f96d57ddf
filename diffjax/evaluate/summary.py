"""A bound over a whole test set: means and standard errors, in any batch size."""

from typing import Generic, NamedTuple, TypeVar

import jax
import numpy as np

from diffjax.core.bounds import Bound
from diffjax.evaluate import moments
from diffjax.evaluate.moments import Moments
from diffjax.types import Array

T = TypeVar("T")


class Terms(NamedTuple, Generic[T]):
    """What is reported of a Bound; -elbo = rate + distortion.

    elbo: [B] or of a whole set.
    rate: alike.
    distortion: alike.
    divergences: with an axis [L] more.
    prior: as elbo.
    """

    elbo: T
    rate: T
    distortion: T
    divergences: T
    prior: T


class Estimate(NamedTuple):
    """A mean over a test set.

    mean: [...].
    standard_error: [...], NaN of a single example.
    """

    mean: np.ndarray
    standard_error: np.ndarray


def terms(bound: Bound) -> Terms[Array]:
    r"""The terms of each example.

        elbo, rate, distortion, KL_l, KL(q(z_L | x) || p(z_L))

    Args: bound: of a batch, [B], [B, L], [B].
    Returns: Terms, nats.
    """
    return Terms(
        bound.elbo, bound.rate, bound.distortion, bound.divergences, bound.prior
    )


def zero(layers: int) -> Terms[Moments]:
    r"""No example seen yet.

        n = 0

    Args: layers: L, of the divergences.
    Returns: Terms of Moments [] and [L].
    """
    scalar = moments.zero(moments.squares, ())
    layered = moments.zero(moments.squares, (layers,))
    return Terms(scalar, scalar, scalar, layered, scalar)


def update(
    seen: Terms[Moments],
    bound: Bound,
    *,
    mask: Array | None = None,
    axis_name: str | None = None,
) -> Terms[Moments]:
    r"""See the bound of one more batch.

        n, mean, sum of (v - mean)^2    of each term

    Args: seen: Terms of Moments.  bound: [B], [B, L], [B].  mask, axis_name: as for
        `moments.update`.
    Returns: Terms of Moments, nats.
    """

    def one(past: Moments, values: Array) -> Moments:
        return moments.update(
            moments.squares, past, values, mask=mask, axis_name=axis_name
        )

    return Terms(*map(one, seen, terms(bound)))


def merge(a: Terms[Moments], b: Terms[Moments]) -> Terms[Moments]:
    r"""Two parts of a test set as the whole.

        n = n_a + n_b

    Args: a, b: Terms of Moments.
    Returns: Terms of Moments, nats.
    """
    parts = zip(a, b, strict=True)
    return Terms(*(moments.merge(moments.squares, *part) for part in parts))


def estimate(seen: Moments) -> Estimate:
    r"""What to print of a mean.

        mean = 1/n sum v_i,    s.e. = sqrt( sum (v_i - mean)^2 / (n (n - 1)) )

    Args: seen: Moments of `moments.squares`, of 1 example or more.
    Returns: Estimate of [...] float64, in the unit of the values.
    """
    seen = jax.device_get(seen)
    n, scatter = int(seen.num), np.asarray(seen.scatter, np.float64)
    if n < 1:
        raise ValueError("expected 1 example or more, got none; see the split")
    error = np.sqrt(scatter / (n * (n - 1))) if n > 1 else np.full_like(scatter, np.nan)
    return Estimate(np.asarray(seen.mean, np.float64), error)


def bits(found: Estimate, num_dims: int) -> Estimate:
    r"""The same on the scale on which data sets are compared.

        bits/dim = nats / (D log 2), the error alike

    Args: found: Estimate of -elbo or of a part of it, nats.  num_dims: D.
    Returns: Estimate, bits per dimension.
    """
    if num_dims < 1:
        raise ValueError(f"expected num_dims >= 1, got {num_dims}; it is x_0.size")
    return Estimate(*(value / (num_dims * np.log(2)) for value in found))
