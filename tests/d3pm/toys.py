"""Small data with a known law, and how to count what a sampler made of it."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
from scipy import stats

from diffjax.core import oracle
from diffjax.d3pm import samplers, transitions

K = 4
NUM = 20_000


def counts(x, K=K):
    """How often each state occurs, [K^D], the first axis of x the batch."""
    x = np.asarray(x).reshape(len(x), -1)
    index = np.ravel_multi_index(tuple(x.T), (K,) * x.shape[1])
    return np.bincount(index, minlength=K ** x.shape[1])


# Two tokens that always agree, and a third that differs from them half of the time.
POINTS = jnp.asarray([[0, 0, 0], [0, 0, 1], [1, 1, 0], [1, 1, 1], [2, 2, 2]])
WEIGHTS = np.array([0.2, 0.1, 0.25, 0.15, 0.3])


def data_law():
    law = np.zeros(K**3)
    np.add.at(law, counts_index(POINTS), WEIGHTS)
    return law


def counts_index(x):
    return np.ravel_multi_index(tuple(np.asarray(x).T), (K,) * 3)


def three_tokens(family):
    return oracle.discrete_denoiser(POINTS, family, log_weights=jnp.log(WEIGHTS))


def absorbing(T):
    return transitions.absorbing(1 / np.arange(T, 0, -1), K, mask=K - 1)


@functools.partial(jax.jit, static_argnames=("sampler", "num", "shape"))
def draw_three(family, rng, *, sampler=samplers.sample, num=NUM, shape=(3,)):
    return sampler(three_tokens(family), family, rng, (num, *shape))


def alike_p(a, b):
    """Chi-square p-value of two counts having one law, over what is not rare."""
    seen = a + b > 20
    statistic = np.sum((a - b)[seen] ** 2 / (a + b)[seen])
    return stats.chi2.sf(statistic, seen.sum() - 1)
