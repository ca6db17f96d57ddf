"""The distance between two sets of examples, by the first two moments of features."""

import numpy as np

from diffjax.evaluate import moments
from diffjax.evaluate.moments import Moments
from diffjax.types import Array


def zero(num_features: int) -> Moments:
    r"""No features seen yet.

        n = 0

    Args: num_features: F.
    Returns: Moments of [], [F], [F, F].
    """
    return moments.zero(moments.products, (num_features,))


def update(
    seen: Moments,
    features: Array,
    *,
    mask: Array | None = None,
    axis_name: str | None = None,
) -> Moments:
    r"""See the features of one more batch.

        n, mean, sum of (f - mean)(f - mean)^T

    Args: seen: Moments.  features: [B, F].  mask, axis_name: as for `moments.update`.
    Returns: Moments (unit of the features).
    """
    return moments.update(
        moments.products, seen, features, mask=mask, axis_name=axis_name
    )


def merge(a: Moments, b: Moments) -> Moments:
    r"""The moments of two parts of the data as those of the whole.

        n = n_a + n_b

    Args: a, b: Moments, as for `moments.merge`.
    Returns: Moments (unit of the features).
    """
    return moments.merge(moments.products, a, b)


def distance(a: Moments, b: Moments) -> float:
    r"""The squared Frechet distance between Gaussians of the same moments.

        d^2 = |mean_a - mean_b|^2 + tr C_a + tr C_b - 2 tr (C_a^1/2 C_b C_a^1/2)^1/2

    Heusel et al. 2017 (FID, arXiv:1706.08500), eq. 6. The last trace is the sum of the
    singular values of A^T B, where C_a = A A^T and C_b = B B^T have as many columns as
    their rank: symmetric in a and b, and exact where a covariance is singular. In
    float64, on the host.

    Args: a, b: Moments of 2 examples or more each.
    Returns: d^2 (squared unit of the features).
    """
    (mean_a, factor_a), (mean_b, factor_b) = map(_mean_and_factor, (a, b))
    if mean_a.shape != mean_b.shape:
        raise ValueError(
            f"expected the same features twice, got {mean_a.size} and {mean_b.size} of "
            "them; use one function for both sets"
        )
    overlap = np.linalg.svd(factor_a.T @ factor_b, compute_uv=False).sum()
    traces = (factor_a**2).sum() + (factor_b**2).sum()
    return float(((mean_a - mean_b) ** 2).sum() + traces - 2 * overlap)


def _mean_and_factor(seen: Moments) -> tuple[np.ndarray, np.ndarray]:
    if seen.num < 2:
        raise ValueError(
            f"expected moments of 2 examples or more, got {int(seen.num)}; a "
            "covariance needs two"
        )
    scatter = np.asarray(seen.scatter, np.float64)
    if not np.isfinite(scatter).all():
        raise ValueError(
            "expected finite features, got inf or NaN among them; look at the samples"
        )
    values, vectors = np.linalg.eigh(scatter / (int(seen.num) - 1))
    # The root of what is zero but for rounding would be 1e-8, once for each feature.
    kept = values > len(values) * np.finfo(np.float64).eps * values[-1]
    kept[: max(0, len(values) - int(seen.num) + 1)] = False  # rank < n
    factor = vectors[:, kept] * np.sqrt(values[kept])
    return np.asarray(seen.mean, np.float64), factor
