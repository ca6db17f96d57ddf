"""A data set or samples through any function x [B, ...] -> [B, F], batch by batch."""

import sys
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.tree_util import Partial

from diffjax.evaluate import frechet
from diffjax.evaluate.moments import Moments
from diffjax.types import Array

Features = Callable[[Array], Array]
"""x [B, ...] -> [B, F]; weights are closed over, or, if they are many, handed to the
program as arguments: `jax.tree_util.Partial(apply, params)`."""
Rows = Array | np.ndarray
"""Features of many examples, [N, F]."""


class Seen(NamedTuple):
    """What is kept of the features of a set.

    moments: of all of them, for a Frechet distance.
    rows: of the first ones, [n, F] float64, for a kernel distance or a manifold.
    """

    moments: Moments
    rows: np.ndarray


def moments(features: Features, batches: Iterable[Mapping[str, Any]]) -> Moments:
    r"""The moments of a whole set, for a Frechet distance; no feature is kept.

        moments of { features(x) : x in batches }

    Batches that are sharded over a mesh are read where they lie.

    Args: features: Features.  batches: each {"x": [B, ...]}, with "mask" [B] where some
        only fill it up; of one size, so that this compiles once.
    Returns: Moments (unit of the features).
    """
    return see(features, batches, rows=0).moments


def collect(features: Features, batches: Iterable[Mapping[str, Any]]) -> np.ndarray:
    r"""The features of a whole set, for a kernel distance or a manifold.

        [ features(x_1), ..., features(x_N) ]

    Args: features, batches: as for `moments`.
    Returns: [N, F] float64 (unit of the features).
    """
    return see(features, batches, rows=sys.maxsize).rows


def see(features: Features, batches: Iterable[Mapping[str, Any]], *, rows: int) -> Seen:
    r"""The moments of a whole set and the features of its first examples, in one pass.

        moments of f_1, ..., f_N,    [f_1, ..., f_n],    n = min(rows, N)

    Args: features, batches: as for `moments`.  rows: to keep; memory grows with them
        alone.
    Returns: Seen of [F], [F, F] and [n, F].
    """
    seen, kept, num = None, [], 0
    given = features if isinstance(features, Partial) else Partial(features)
    for batch in batches:
        x, mask = _parts(batch)
        if seen is None:
            seen = frechet.zero(jax.eval_shape(features, x).shape[-1])
        seen, found = _update(given, seen, x, mask)
        if num < rows:
            some = np.asarray(found, np.float64)[np.asarray(mask)][: rows - num]
            kept.append(some)
            num += len(some)
    if seen is None:
        raise ValueError("expected batches, got none; see the split")
    return Seen(seen, np.concatenate(kept) if kept else np.zeros((0, len(seen.mean))))


def pair(x: Rows, y: Rows, *, least: int) -> tuple[np.ndarray, np.ndarray]:
    r"""Two sets of the same features, fit to be compared.

        x [N, F], y [M, F],    N, M >= least

    Args: x: [N, F].  y: [M, F].  least: examples that each must have.
    Returns: both in float64, [N, F] and [M, F] (unit of the features).
    """
    x, y = (np.asarray(rows, np.float64) for rows in (x, y))
    if x.ndim != 2 or y.ndim != 2 or x.shape[1] != y.shape[1]:
        raise ValueError(
            f"expected the same features of both sets, [N, F] and [M, F], got "
            f"{list(x.shape)} and {list(y.shape)}; use one function for both"
        )
    if min(len(x), len(y)) < least:
        raise ValueError(
            f"expected {least} examples or more of each, got {len(x)} and {len(y)}"
            "; draw more samples"
        )
    if not (np.isfinite(x).all() and np.isfinite(y).all()):
        raise ValueError(
            "expected finite features, got inf or NaN among them; look at the samples"
        )
    return x, y


@jax.jit
def _update(
    features: Features, seen: Moments, x: Array, mask: Array
) -> tuple[Moments, Array]:
    found = _rows(features(x))
    return frechet.update(seen, found, mask=mask), found


def _parts(batch: Mapping[str, Any]) -> tuple[Any, Any]:
    x = batch["x"]
    return x, batch.get("mask", np.ones(len(x), bool))


def _rows(found: Array) -> Array:
    if found.ndim != 2:
        raise ValueError(
            f"expected features [B, F] of a batch, got {list(found.shape)}; flatten "
            "them, or average over places"
        )
    return found.astype(jnp.promote_types(found.dtype, jnp.float32))
