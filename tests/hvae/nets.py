"""Small networks in plain jnp: two functions are one."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

from diffjax import hvae


def whole(y):
    return y


def pair(y):
    """The two halves of the last axis: a mean and a log-variance."""
    return tuple(jnp.split(y, 2, axis=-1))


class MLP(NamedTuple):
    """Dense layers on the inputs side by side."""

    sizes: tuple[int, ...]
    head: Callable = whole
    activation: Callable = jax.nn.relu
    scale: float = 1.0  # of the initial weights; 0 starts from mean 0, log-variance 0

    def init(self, rng, *inputs):
        widths = [sum(x.shape[-1] for x in inputs), *self.sizes]
        keys = jax.random.split(rng, len(self.sizes))
        return [
            (self.scale * jax.random.normal(k, (m, n)) / jnp.sqrt(m), jnp.zeros(n))
            for k, m, n in zip(keys, widths, widths[1:], strict=False)
        ]

    def apply(self, params, *inputs):
        h = jnp.concatenate(inputs, axis=-1)
        for w, b in params[:-1]:
            h = self.activation(h @ w + b[None])
        w, b = params[-1]
        return self.head(h @ w + b[None])


class AddTo(NamedTuple):
    """h plus what z says: the state of a ladder."""

    net: MLP

    def init(self, rng, h, z):
        return self.net.init(rng, z)

    def apply(self, params, h, z):
        return h + self.net.apply(params, z)


def ladder(width, dims, activation=jax.nn.gelu, scale=0.0):
    """One dense layer for each part; latents of `dims`, from the data upwards."""

    def heads():
        return tuple(MLP((2 * d,), pair, scale=scale) for d in dims)

    merge = AddTo(MLP((width,), activation))
    return hvae.LadderNets(
        features=MLP((width,), activation),
        encode=heads(),
        prior=heads(),
        merge=(merge,) * len(dims),
        read=MLP((64,)),
        width=(width,),
    )


def count(params):
    return sum(p.size for p in jax.tree.leaves(params))
