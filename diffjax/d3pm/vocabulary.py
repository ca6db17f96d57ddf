"""Reductions over a large vocabulary, a block of positions at a time.

The logits of 8192 tokens at K = 50 257 are 0.8 GB in bfloat16. A softmax of them in
float32, a one-hot or Gumbel noise would be twice as much each; these functions need a
block of it, and their gradient the logits' own size.
"""

import math

import jax
import jax.numpy as jnp

from diffjax.core import categorical
from diffjax.types import Array

BLOCK = 1 << 19
"""Entries of one block; 2 MB in float32."""


def log_prob(x: Array, logits: Array, *, impossible: int | None = None) -> Array:
    r"""Log probability of every token, in float32 whatever the logits are.

        l_x - log sum_k exp l_k

    Args: x: integer [...].  logits: [..., K].  impossible: a category of probability 0,
        for example the mask.
    Returns: [...] nats; NaN where x is outside 0..K-1.
    """
    K = logits.shape[-1]

    def one(row_x: tuple[Array, Array]) -> Array:
        row, x = row_x
        row = row.astype(jnp.promote_types(row.dtype, jnp.float32))
        if impossible is not None:
            row = jnp.where(jnp.arange(K) == impossible, -jnp.inf, row)
        return categorical.at(row, x) - jax.nn.logsumexp(row)

    # Recomputed in the backward pass, or the softmax of every block would be kept.
    blocked = jax.checkpoint(one, prevent_cse=False)
    flat = (logits.reshape(-1, K), x.reshape(-1))
    return jax.lax.map(blocked, flat, batch_size=rows(x.size, K)).reshape(x.shape)


def draw(logits: Array, rng: Array, *, impossible: int | None = None) -> Array:
    r"""A token at every position, as `categorical.draw`, its noise made by blocks.

        x = argmax_k (l_k + g_k),    g_k ~ Gumbel(0, 1) with an exact tail

    Args: logits: [..., K].  rng: key, folded with the index of the position.
        impossible: a category never drawn, for example the mask.
    Returns: integer [...] (category indices, no unit).
    """
    K = logits.shape[-1]

    def one(row_i: tuple[Array, Array]) -> Array:
        row, i = row_i
        row = row.astype(jnp.promote_types(row.dtype, jnp.float32))
        if impossible is not None:
            row = jnp.where(jnp.arange(K) == impossible, -jnp.inf, row)
        key = jax.random.fold_in(rng, i)
        return categorical.draw(
            row, jax.random.gumbel(key, (K,), row.dtype, mode="high")
        )

    flat = logits.reshape(-1, K)
    index = jnp.arange(flat.shape[0])
    drawn = jax.lax.map(one, (flat, index), batch_size=rows(flat.shape[0], K))
    return drawn.reshape(logits.shape[:-1])


def draw_alike(logits: Array, rng: Array, shape: tuple[int, ...]) -> Array:
    r"""A token at every position from one law for all of them.

        x_i = argmax_k (l_k + g_ik)

    Args: logits: [K].  rng: key, folded with the index of the position.  shape: of x.
    Returns: integer [*shape] (category indices, no unit).
    """

    def one(i: Array) -> Array:
        key = jax.random.fold_in(rng, i)
        noise = jax.random.gumbel(key, logits.shape, logits.dtype, mode="high")
        return categorical.draw(logits, noise)

    num = math.prod(shape)
    batch = rows(num, logits.shape[0])
    return jax.lax.map(one, jnp.arange(num), batch_size=batch).reshape(shape)


def rows(num: int, K: int) -> int:
    r"""How many positions make a block: a divisor, so that no remainder is copied.

        the largest r with r | num and r K <= BLOCK, at least 1

    Args: num: positions.  K: categories.
    Returns: int (positions).
    """
    most = max(1, min(num, BLOCK // K))
    return next(r for r in range(most, 0, -1) if num % r == 0)
