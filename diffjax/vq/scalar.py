"""Finite scalar quantization: a grid instead of a codebook, and no loss of its own."""

import math
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np

from diffjax.core import categorical
from diffjax.core.precision import widen
from diffjax.types import Array
from diffjax.vq.codebook import straight_through

MARGIN = 1e-3
"""By how much the bounded range is wider than the levels: the published code's."""


def fsq(z: Array, levels: Sequence[int]) -> tuple[Array, Array]:
    r"""Every dimension bounded, then rounded to one of its levels.

        b = h tanh(z + s) - o,    h = (L - 1)(1 + 1e-3) / 2,
        o = 1/2 for even L, else 0,    s = atanh(o / h)
        z_q = round(b) / floor(L / 2),    codes = sum_i digit_i prod_{j < i} L_j

    where digit = round(b) + floor(L / 2) is in 0..L-1; the first level is the fastest.
    Mentzer et al. 2023 (FSQ, arXiv:2309.15505), whose listing has tan for atanh. The
    gradient passes the rounding, not the tanh. L = 2 is refused: its shift of 3.8 would
    leave a tanh with next to no gradient at z = 0.

    Args: z: [..., d].  levels: d integers, each at least 3.
    Returns: codes integer [...] in 0..prod(L)-1 (no unit), z_q [..., d] in [-1, 1].
    """
    sizes = _levels(levels)
    if z.shape[-1:] != sizes.shape:
        raise ValueError(
            f"expected z [..., {len(sizes)}], a dimension for each of the levels "
            f"{tuple(levels)}, got {z.shape}"
        )
    (z,) = widen(z)
    half = (sizes - 1) * (1 + MARGIN) / 2
    offset = np.where(sizes % 2 == 0, 0.5, 0.0)
    shift = np.arctanh(offset / half)
    row = lambda table: _row(table, z)  # noqa: E731
    bounded = jnp.tanh(z + row(shift)) * row(half) - row(offset)
    rounded = straight_through(bounded, jnp.round(bounded))
    # Integers before any sum: a code of 2^14 has no bfloat16.
    digits = jax.lax.stop_gradient(rounded).astype(jnp.int32) + _row(sizes // 2, z, int)
    codes = jnp.sum(digits * _row(_basis(sizes), z, int), axis=-1, dtype=jnp.int32)
    return codes, rounded / row(sizes // 2)


def fsq_lookup(codes: Array, levels: Sequence[int]) -> Array:
    r"""The grid point of a code: the inverse of `fsq`; NaN under jit if out of range.

        digit_i = floor(codes / prod_{j < i} L_j) mod L_i
        z_q_i = (digit_i - floor(L_i / 2)) / floor(L_i / 2)

    Args: codes: integer [...], 0..prod(L)-1.  levels: as for `fsq`.
    Returns: [..., d] in [-1, 1] (no unit).
    """
    sizes, K = _levels(levels), fsq_size(levels)
    categorical.tokens("codes", codes, K)
    digits = codes[..., None] // _row(_basis(sizes), codes[..., None], int)
    digits = digits % _row(sizes, digits, int)
    z_q = (digits - _row(sizes // 2, digits, int)) / _row(sizes // 2, digits, int)
    is_code = (codes >= 0) & (codes < K)
    return jnp.where(is_code[..., None], z_q, jnp.nan)


def fsq_size(levels: Sequence[int]) -> int:
    r"""How many codes there are.

        K = prod_i L_i

    Args: levels: as for `fsq`.
    Returns: K (codes, no unit).
    """
    return math.prod(map(int, _levels(levels)))


def _levels(levels: Sequence[int]) -> np.ndarray:
    sizes = np.asarray(levels)
    if sizes.ndim != 1 or not len(sizes) or not np.issubdtype(sizes.dtype, np.integer):
        raise ValueError(
            f"expected a list of at least one integer level, got {levels}; for example "
            "[8, 5, 5, 5]"
        )
    if sizes.min() < 3:
        raise ValueError(
            f"expected levels >= 3, got {tuple(levels)}; a dimension of two levels is "
            "better spent as part of one of four"
        )
    if math.prod(map(int, sizes)) > np.iinfo(np.int32).max:
        raise ValueError(
            f"expected fewer than 2^31 codes, got the product of {tuple(levels)}; "
            "several groups of dimensions can each have their own codes"
        )
    return sizes


def _basis(sizes: np.ndarray) -> np.ndarray:
    return np.concatenate([[1], np.cumprod(sizes[:-1])])


def _row(table: np.ndarray, like: Array, dtype: type | None = None) -> Array:
    values = jnp.asarray(table, jnp.int32 if dtype is int else like.dtype)
    return values.reshape((1,) * (like.ndim - 1) + (-1,))
