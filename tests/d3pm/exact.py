"""Exact bounds of small models: every x_0 and every x_t, weighed by NumPy."""

import functools
import itertools

import jax
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

    total = []
    for s, t in itertools.pairwise(ts):
        q = np.prod(Q[t][points[:, None, :], every[None]], axis=-1)  # [N, K^D]
        value = _terms(denoise, family, points, every, t, s, predict=predict)
        total.append(np.sum(weights[:, None] * q * np.where(q > 0, value, 0)))
    return np.array(total)


@functools.partial(jax.jit, static_argnames=("denoise", "predict"))
def _terms(denoise, family, points, every, t, s, *, predict):
    """The divergence of every x_0 and x_t, [N, K^D]: one program for any s and t."""

    def one(x_0, x_t, logits):
        return likelihood.divergence(family, logits, x_0, x_t, t, s, predict=predict)

    logits = jax.vmap(denoise, in_axes=(0, None))(every, t)
    of_all = jax.vmap(one, in_axes=(None, 0, 0))
    return jax.vmap(of_all, in_axes=(0, None, None))(points, every, logits)


def expected_prior(family, points, weights, t=None):
    t = family.T if t is None else t
    return np.sum(weights * np.asarray(_priors(family, points, t)))


@jax.jit
def _priors(family, points, t):
    return jax.vmap(lambda x: likelihood.prior(family, x, t))(points)
