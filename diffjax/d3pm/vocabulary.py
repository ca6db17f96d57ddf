"""Reductions over a large vocabulary that never hold a second array of its size.

The logits of 8192 tokens at K = 50 257 are 0.8 GB in bfloat16. A softmax of them in
float32, a one-hot or Gumbel noise would be twice as much each; these functions need a
small part of that, and their gradient the logits' own size.
"""

import functools
import math
from collections.abc import Callable
from typing import Any

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
    return _log_prob(x, logits, impossible)


@functools.partial(jax.custom_vjp, nondiff_argnums=(2,))
def _log_prob(x: Array, logits: Array, impossible: int | None) -> Array:
    return _log_prob_forward(x, logits, impossible)[0]


def _log_prob_forward(x: Array, logits: Array, impossible: int | None) -> Any:
    total = _blocks(logits, lambda part, i: jax.nn.logsumexp(part, axis=-1), impossible)
    log_total = total.reshape(x.shape)
    each = categorical.at(logits, x).astype(log_total.dtype) - log_total
    if impossible is not None:
        each = jnp.where(x == impossible, -jnp.inf, each)
    return each, (x, logits, log_total)


def _log_prob_backward(impossible: int | None, saved: Any, cotangent: Array) -> Any:
    # The gradient is one elementwise pass, e_x - softmax, written in logits' own dtype;
    # differentiating the forward pass would keep the softmax in float32.
    x, logits, log_total = saved
    softmax = jnp.exp(_without(logits, impossible) - log_total[..., None])
    index = jnp.arange(logits.shape[-1]).reshape((1,) * x.ndim + (-1,))
    gradient = ((index == x[..., None]) - softmax) * cotangent[..., None]
    return None, gradient.astype(logits.dtype)


_log_prob.defvjp(_log_prob_forward, _log_prob_backward)


def _blocks(
    logits: Array, reduce: Callable[[Array, Array], Array], impossible: int | None
) -> Array:
    """Map (part [rows, K] in float32, positions [rows]) -> [rows] over all."""
    K = logits.shape[-1]
    num = math.prod(logits.shape[:-1])
    size = rows(num, K)
    # Sliced as bits, and not as an input of the loop: XLA would convert all of it to
    # float32 ahead of the loop, or under vmap copy it.
    narrow = logits.dtype.itemsize == 2
    bits = jax.lax.bitcast_convert_type(logits, jnp.uint16) if narrow else logits
    flat = bits.reshape(num, K)

    def block(i: Array) -> Array:
        part = jax.lax.dynamic_slice_in_dim(flat, i * size, size)
        part = jax.lax.bitcast_convert_type(part, logits.dtype) if narrow else part
        return reduce(_without(part, impossible), i * size + jnp.arange(size))

    return jax.lax.map(block, jnp.arange(num // size))


def _without(logits: Array, impossible: int | None) -> Array:
    logits = logits.astype(jnp.promote_types(logits.dtype, jnp.float32))
    if impossible is None:
        return logits
    index = jnp.arange(logits.shape[-1]).reshape((1,) * (logits.ndim - 1) + (-1,))
    return jnp.where(index == impossible, -jnp.inf, logits)


def draw(logits: Array, rng: Array, *, impossible: int | None = None) -> Array:
    r"""A token at every position, as `categorical.draw`, its noise made by blocks.

        x = argmax_k (l_k + g_k),    g_k ~ Gumbel(0, 1) with an exact tail

    Args: logits: [..., K].  rng: key, folded with the index of the position.
        impossible: a category never drawn, for example the mask.
    Returns: integer [...] (category indices, no unit).
    """
    K = logits.shape[-1]

    def block(part: Array, index: Array) -> Array:
        def noise(i: Array) -> Array:
            key = jax.random.fold_in(rng, i)
            return jax.random.gumbel(key, (K,), part.dtype, mode="high")

        return categorical.draw(part, jax.vmap(noise)(index))

    return _blocks(logits, block, impossible).reshape(logits.shape[:-1])


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
    Returns: int (positions, no unit).
    """
    most = max(1, min(num, BLOCK // K))
    return next(r for r in range(most, 0, -1) if num % r == 0)
