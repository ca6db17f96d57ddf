"""JAX's own random numbers, several times sooner on a CPU.

There JAX compiles its generator to a loop of small kernels, and drawing the noise of a
chain costs more than a small network. Here the same generator is spelled out as one
elementwise expression, which XLA turns into a single vectorized kernel.
"""

import functools
from typing import Any

import jax
import jax.numpy as jnp

from diffjax.types import Array

ROTATIONS = ((13, 15, 26, 6), (17, 29, 16, 24))
PARITY = 0x1BD11BDA


def swift(rng: Array) -> Array:
    r"""The same key for a faster form of the same generator: the same numbers.

        normal(swift(rng)) = normal(rng),  and so for every function of `jax.random`

    Args: rng: key; one whose generator was chosen (not JAX's default) is returned as
        it is.
    Returns: key (no unit).
    """
    if str(jax.random.key_impl(rng)) != "threefry2x32":
        return rng
    is_typed = jnp.issubdtype(rng.dtype, jax.dtypes.prng_key)
    words = jax.random.key_data(rng) if is_typed else rng
    return jax.random.wrap_key_data(words, impl=_unrolled())


def threefry(words: tuple[Array, Array], count: tuple[Array, Array]) -> Any:
    r"""The hash threefry 2x32 with 20 rounds, elementwise.

        five times:  four rounds  x <- x + y,  y <- rot(y, r) ^ x,
                     then the words of the key and their parity are added, in turn

    Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3".

    Args: words: of the key, two uint32.  count: two uint32, [...].
    Returns: two uint32 words [...] (random bits).
    """
    added = (*words, words[0] ^ words[1] ^ jnp.uint32(PARITY))
    x, y = count[0] + added[0], count[1] + added[1]
    for i in range(5):
        for r in ROTATIONS[i % 2]:
            x = x + y
            y = (y << r | y >> (32 - r)) ^ x
        x, y = x + added[(i + 1) % 3], y + added[(i + 2) % 3] + jnp.uint32(i + 1)
    return x, y


def _bits(words: Array, width: int, shape: tuple[int, ...]) -> Array:
    # The count of a number is its place; JAX draws the same with its default
    # `jax_threefry_partitionable`, whatever part of the array a device holds.
    size = 1
    place = jnp.zeros(shape, jnp.uint32)
    for axis in reversed(range(len(shape))):
        place += jnp.uint32(size) * jax.lax.broadcasted_iota(jnp.uint32, shape, axis)
        size *= shape[axis]
    if width == 64 or size > 2**32:
        from jax.extend import random as extend

        return extend.threefry_prng_impl.random_bits(words, width, shape)
    x, y = threefry((words[0], words[1]), (jnp.zeros_like(place), place))
    return (x ^ y).astype(f"uint{width}")


def _fold_in(words: Array, data: int) -> Array:  # `data` may be traced
    count = (jnp.zeros((), jnp.uint32), jnp.asarray(data, jnp.uint32))
    return jnp.stack(threefry((words[0], words[1]), count))


@functools.cache
def _unrolled() -> Any:
    from jax.extend import random as extend  # with it comes Pallas: not at import

    return extend.define_prng_impl(
        key_shape=extend.threefry_prng_impl.key_shape,
        seed=extend.threefry_prng_impl.seed,
        split=extend.threefry_prng_impl.split,
        fold_in=_fold_in,
        random_bits=_bits,
        name="threefry2x32_unrolled",
        tag="fryu",
    )
