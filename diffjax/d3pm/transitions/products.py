"""Products of one-step matrices: all of them from 0, and any stretch from a few blocks.

`cumulative` and `cumulative_scan` are the products themselves, as pure functions.
`Products` keeps what Q_{s..t} needs: a lookup where s = 0 or s = t - 1, and otherwise
at most 6 log_4(T) products of blocks of 4, 16, 64, ... steps, in T (1 + 1/3) matrices.
Where every matrix is the same read backwards, Q[K-1-i, K-1-j] = Q[i, j], half its rows
are enough.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from diffjax.d3pm.transitions import inputs
from diffjax.types import Array

BASE = 4
"""Blocks of one level span this many of the level below."""


class Products(NamedTuple):
    """What Q_{s..t} is put together from.

    prefix: [T, H, K] Q_{0..t} for t = 1..T, its first H rows; H is K or ceil(K / 2).
    blocks: [N, H, K] products of aligned runs of 4 steps, then of 16, then of 64, ...
    """

    prefix: Array
    blocks: Array


def cumulative(Q: np.ndarray) -> np.ndarray:
    r"""All products from 0, on the host in float64.

        Q_bar_t = Q_1 Q_2 ... Q_t,    Q_bar_0 = I

    Austin et al. 2021 (arXiv:2107.03006), eq. 3.

    Args: Q: [T, K, K], for t = 1..T.
    Returns: float64 [T + 1, K, K] (probabilities).
    """
    Q_bar = [np.eye(Q.shape[-1])]
    for step in np.asarray(Q, np.float64):
        Q_bar.append(Q_bar[-1] @ step)
    return np.stack(Q_bar)


def cumulative_scan(Q: Array) -> Array:
    r"""The same products inside jit, differentiable, in O(log T) parallel rounds.

        Q_bar_t = Q_1 Q_2 ... Q_t,    Q_bar_0 = I

    Austin et al. 2021, eq. 3, by `jax.lax.associative_scan`, in the dtype of Q.

    Args: Q: [T, K, K], for t = 1..T.
    Returns: [T + 1, K, K] (probabilities).
    """
    Q_bar = jax.lax.associative_scan(matmul, Q)
    return jnp.concatenate([jnp.eye(Q.shape[-1], dtype=Q.dtype)[None], Q_bar])


def build(step: Callable[[int], np.ndarray], T: int, H: int) -> Products:
    r"""Multiply one-step matrices in float64 on the host, and keep the tables.

        prefix_t = Q_1 ... Q_t,    blocks: Q_{i+1} ... Q_{i+B}, B = 4, 16, ..., B | i

    Args: step: t -> float64 [K, K].  T: number of steps.  H: rows to keep, K or
        ceil(K / 2).
    Returns: Products of tables [T, H, K], [N, H, K] (probabilities).
    """
    K = step(1).shape[-1]
    dtype = jax.dtypes.canonicalize_dtype(np.float64)
    prefix, product, level = np.empty((T, H, K), dtype), np.eye(K)[:H], []
    for start in range(0, T, BASE):
        runs = [step(start + 1)[:H]]
        for t in range(start + 2, min(start + BASE, T) + 1):
            runs.append(runs[-1] @ step(t))
        # One wide product is quicker than several, and the runs come with it.
        wide = product @ np.concatenate([unfold(run, K) for run in runs], axis=1)
        prefix[start : start + BASE] = wide.reshape(H, -1, K).swapaxes(0, 1)
        product = wide[:, -K:]
        level += runs[BASE - 1 :]
    levels = [np.zeros((0, H, K), dtype)]
    while level:
        levels.append(np.stack(level).astype(dtype))
        whole = len(level) // BASE * BASE
        level = [_chain(level[i : i + BASE]) for i in range(0, whole, BASE)]
    return Products(jnp.asarray(prefix), jnp.asarray(np.concatenate(levels)))


def between(
    step: Callable[[Array], Array], tables: Products, s: Array, t: Array
) -> Array:
    r"""The product of the steps after s, up to t.

        Q_{s..t} = Q_{s+1} ... Q_t

    Args: step: t -> [K, K], traceable.  tables: as `build` made them.  s, t: integer
        [], s <= t.
    Returns: [K, K], the identity where s = t (probabilities).
    """
    H, K = tables.prefix.shape[1:]

    def run(i: Array) -> tuple[Array, Array]:
        return _longest_run(step, tables, i, t)

    def extend(carry: tuple[Array, Array]) -> tuple[Array, Array]:
        product, i = carry
        block, i = run(i)
        return matmul(product, unfold(block, K)), i

    first, i = run(s)
    product = jnp.where(s == 0, tables.prefix[t - 1], first)
    product = jnp.where(s == t, jnp.eye(K, dtype=product.dtype)[:H], product)
    carry = (product, jnp.where(s == 0, t, i))
    return unfold(jax.lax.while_loop(lambda c: c[1] < t, extend, carry)[0], K)


def matmul(a: Array, b: Array) -> Array:
    r"""A product in full precision, on every device.

        a b

    Args: a: [..., K].  b: [K, M].
    Returns: [..., M] in the product of the units.
    """
    return jnp.matmul(a, b, precision=jax.lax.Precision.HIGHEST)


def unfold(rows: Any, K: int) -> Array:
    r"""A matrix that reads the same backwards, from the first half of its rows.

        Q[K-1-i, K-1-j] = Q[i, j]

    Args: rows: [H, K], H = K (returned as it is) or ceil(K / 2).  K: categories.
    Returns: [K, K] in the unit of rows.
    """
    xp = np if isinstance(rows, np.ndarray) else jnp
    return xp.concatenate([rows, rows[: K - rows.shape[0]][::-1, ::-1]])


def limit_law(Q_bar: np.ndarray) -> np.ndarray:
    r"""The law that a product leaves as it is, reached from the uniform one.

        pi Q_bar = pi

    by squaring Q_bar until it no longer changes what it is given.

    Args: Q_bar: float64 [K, K].
    Returns: float64 [K] (probabilities).
    """
    for _ in range(60):
        squared = Q_bar @ Q_bar
        squared /= squared.sum(1, keepdims=True)
        if np.array_equal(squared, Q_bar):
            break
        Q_bar = squared
    pi = Q_bar.mean(0)
    return pi / pi.sum()


def log_prior_table(Q_bar: np.ndarray) -> Array:
    r"""The limit law as a table of logs.

        log pi

    Args: Q_bar: float64 [K, K].
    Returns: [K] nats.
    """
    with np.errstate(divide="ignore"):  # log 0 is meant
        return inputs.table(np.log(limit_law(Q_bar)))


def _chain(blocks: list[np.ndarray]) -> np.ndarray:
    product = blocks[0]
    for block in blocks[1:]:
        product = product @ np.asarray(unfold(block, block.shape[1]))
    return product


def _longest_run(
    step: Callable[[Array], Array], tables: Products, i: Array, t: Array
) -> tuple[Array, Array]:
    """The longest aligned run of steps after i that ends by t, and where it ends."""
    T, H, _ = tables.prefix.shape
    one = step(i + 1)[:H]
    sizes = [BASE**level for level in range(1, 32) if BASE**level <= T]
    if not sizes:
        return one, i + 1
    counts = [T // size for size in sizes]
    starts = jnp.asarray(np.cumsum([0, *counts[:-1]]))
    size = jnp.asarray(sizes)
    level = jnp.sum((i % size == 0) & (i + size <= t)) - 1
    size, start = size[jnp.maximum(level, 0)], starts[jnp.maximum(level, 0)]
    block = tables.blocks[jnp.minimum(start + i // size, len(tables.blocks) - 1)]
    short = level < 0
    return jnp.where(short, one, block), i + jnp.where(short, 1, size)
