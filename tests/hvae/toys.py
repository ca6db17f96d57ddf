"""Linear Gaussian HVAEs, and expectations over their noise without sampling."""

import jax
import jax.numpy as jnp
import numpy as np

from diffjax import hvae
from diffjax.core import gaussian, oracle


def chain(sizes, seed=0):
    """A random linear Gaussian chain; sizes are D_0, D_1, ..., D_L."""
    rng = np.random.default_rng(seed)
    pairs = list(zip(sizes, sizes[1:], strict=False))
    return oracle.gaussian_chain(
        [0.8 * rng.normal(size=pair) for pair in pairs],
        [rng.normal(size=below) for below, _ in pairs],
        [rng.uniform(-1.5, 0.3, below) for below, _ in pairs],
    )


def decoder(law):
    """The chain's own p(z_{i-1} | z_i); what it says of x are moments too."""
    return hvae.own(
        *[lambda z, w=w, b=b, v=v: (w @ z + b, v) for w, b, v in zip(*law, strict=True)]
    )


def encoder(sizes, seed=1):
    """A random linear q(z_i | z_{i-1}), nothing to do with any posterior."""
    rng = np.random.default_rng(seed)
    maps = [
        (0.5 * rng.normal(size=(up, down)), rng.normal(size=up), rng.uniform(-2, 0, up))
        for down, up in zip(sizes, sizes[1:], strict=False)
    ]
    layers = hvae.own(
        *[lambda z, a=a, b=b, v=v: (jnp.asarray(a) @ z + b, v) for a, b, v in maps]
    )
    return layers, maps


def likelihood(x, decoded):
    return gaussian.log_prob(x, *decoded)


def cut(eps, sizes):
    """A flat vector as the noise of layers of these sizes."""
    ends = np.cumsum([0, *sizes])
    return lambda i, mean: eps[ends[i - 1] : ends[i]]


def expected(f, num):
    """E f(eps), eps ~ N(0, I) of num entries, exact for a quadratic f: no draws."""
    zero = jnp.zeros(num)
    value, spread = jax.jit(lambda e: (f(e), jax.hessian(f)(e)))(zero)
    return jax.tree.map(
        lambda v, h: v + 0.5 * jnp.trace(h, axis1=-2, axis2=-1), value, spread
    )
