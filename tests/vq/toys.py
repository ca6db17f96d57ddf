"""Networks of a line or two, and data with a law that is known."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

POSITIONS, WIDTH, BITS = 2, 3, 8


class Dense(NamedTuple):
    """x [B, ...] -> tanh layer -> [B, *shape]: two functions are a network."""

    shape: tuple[int, ...]
    hidden: int = 16

    def init(self, rng, x):
        sizes = (x[0].size, self.hidden), (self.hidden, jnp.zeros(self.shape).size)
        keys = jax.random.split(rng)
        return [
            jax.random.normal(key, size) / jnp.sqrt(size[0])
            for key, size in zip(keys, sizes, strict=True)
        ]

    def apply(self, params, x):
        h = jnp.tanh(x.reshape(len(x), -1) @ params[0])
        return (h @ params[1]).reshape(len(x), *self.shape)


ENC, DEC = Dense((POSITIONS, WIDTH)), Dense((BITS,))
PATTERNS = jax.random.bernoulli(jax.random.key(9), 0.5, (6, BITS)).astype(jnp.float32)


def batch(rng, num=48):
    """Six patterns of eight bits, all alike: the entropy is log 6 = 1.79 nats."""
    return {"x": PATTERNS[jax.random.randint(rng, (num,), 0, 6)]}
