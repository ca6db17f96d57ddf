"""Exact bounds of small models: every x_0 and every x_t, weighed by NumPy."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np

from d3pm import tables
from diffjax.d3pm import likelihood


def entropy(p):
    p = np.asarray(p)[np.asarray(p) > 0]
    return -np.sum(p * np.log(p))


def states(K, D):
    return np.array(list(itertools.product(range(K), repeat=D)))


def expected_terms(denoise, family, points, weights, *, predict, ts=None):
    """E over x_0 and x_t of every term, [N] for s = ts[i], t = ts[i + 1], ascending.

    The library gives one divergence at a time; the expectation is written out here.
    """
    Q = tables.from_data(family)
    T, K, D = family.T, family.K, points.shape[1]
    ts = list(range(T + 1)) if ts is None else ts
    every = states(K, D)

    def terms(t, s, x_t):
        logits = denoise(x_t, t)

        def one(x_0):
            return likelihood.divergence(
                family, logits, x_0, x_t, t, s, predict=predict
            )

        return jax.vmap(one)(jnp.asarray(points))

    each = jax.vmap(terms, in_axes=(None, None, 0))
    simple = isinstance(family, tables.Table) or hasattr(family, "between")
    if len(ts) > 20 or not simple:
        each = jax.jit(each)  # a few steps of simple operators cost less eagerly

    total = []
    for s, t in itertools.pairwise(ts):
        q = np.prod(Q[t][points[:, None, :], every[None]], axis=-1)  # [N, K^D]
        value = np.asarray(each(t, s, jnp.asarray(every))).T  # [N, K^D]
        total.append(np.sum(weights[:, None] * q * np.where(q > 0, value, 0)))
    return np.array(total)


def expected_prior(family, points, weights, t=None):
    t = family.T if t is None else t
    each = jax.vmap(lambda x: likelihood.prior(family, x, jnp.asarray(t)))
    return np.sum(weights * np.asarray(each(jnp.asarray(points))))
