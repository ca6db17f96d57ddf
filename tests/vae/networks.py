"""A plain MLP, as a pair of functions, for the objectives' tests."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp


class Mlp(NamedTuple):
    """ReLU layers of these sizes; inputs and outputs [B, size]."""

    sizes: tuple[int, ...]

    def init(self, rng: jax.Array, x: jax.Array) -> Any:
        assert x.shape[-1] == self.sizes[0]
        keys = jax.random.split(rng, len(self.sizes) - 1)
        pairs = zip(keys, self.sizes[:-1], self.sizes[1:], strict=True)
        return [
            (jax.random.normal(k, (a, b)) / a**0.5, jnp.zeros(b)) for k, a, b in pairs
        ]

    def apply(self, params: Any, x: jax.Array) -> jax.Array:
        for weight, bias in params[:-1]:
            x = jax.nn.relu(x @ weight + bias[None])
        return x @ params[-1][0] + params[-1][1][None]
