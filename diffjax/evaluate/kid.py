"""The distance between two sets of examples, by a kernel on features; unbiased."""

import numpy as np

from diffjax.evaluate.features import Rows, pair


def polynomial(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    r"""The cubic kernel.

        k(x, y) = (x^T y / F + 1)^3

    Args: x: [N, F].  y: [M, F].
    Returns: [N, M] (no unit).
    """
    return (x @ y.T / x.shape[1] + 1) ** 3


def mmd(x: Rows, y: Rows) -> float:
    r"""The unbiased estimate of the squared maximum mean discrepancy; may be negative.

        MMD^2 = sum_{i != j} k(x_i, x_j) / N (N-1) + sum_{i != j} k(y_i, y_j) / M (M-1)
                - 2 sum_{ij} k(x_i, y_j) / N M

    Gretton et al. 2012, eq. 3. In float64: the three terms are thousands, and their
    difference is of order 1/N.

    Args: x: [N, F].  y: [M, F].  N, M >= 2.
    Returns: MMD^2 (unit of the kernel).
    """
    x, y = pair(x, y, least=2)
    between = polynomial(x, y).mean()
    return float(_without_diagonal(x) + _without_diagonal(y) - 2 * between)


def distance(x: Rows, y: Rows, *, block: int = 1000) -> tuple[float, float]:
    r"""The kernel distance (KID), and how far to trust it.

        KID = mean of MMD^2 over disjoint blocks,    s.e. = std / sqrt(blocks)

    Binkowski et al. 2018 (arXiv:1801.01401). The blocks share no example, so they are
    independent and the error is honest; what is left of the longer set is not used.

    Args: x: [N, F].  y: [M, F], in random order.  block: examples of each, at most
        half of the smaller set.
    Returns: KID and its standard error (unit of the kernel).
    """
    x, y = pair(x, y, least=2)
    blocks = min(len(x), len(y)) // block if block >= 2 else 0
    if blocks < 2:
        raise ValueError(
            f"expected two blocks or more of at least 2 examples, got {len(x)} and "
            f"{len(y)} examples with block={block}; take a smaller block"
        )
    cuts = [slice(i * block, (i + 1) * block) for i in range(blocks)]
    values = [mmd(x[cut], y[cut]) for cut in cuts]
    return float(np.mean(values)), float(np.std(values, ddof=1) / np.sqrt(blocks))


def _without_diagonal(x: np.ndarray) -> float:
    k = polynomial(x, x)
    return (k.sum() - np.trace(k)) / (len(x) * (len(x) - 1))
