"""Transitions by brute force: every product of matrices, written out in NumPy float64.

The chapter is tested against these, not against its own families, which have tests of
their own. `LAWS` holds one chain of each kind.
"""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
from scipy import stats


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Table:
    """Log products of matrices, [T + 1, T + 1, K, K], and the log prior [K]."""

    logs: jax.Array
    log_pi: jax.Array

    @property
    def K(self):
        return self.logs.shape[-1]

    @property
    def T(self):
        return self.logs.shape[0] - 1

    def matrix(self, s, t):
        return jnp.exp(self.logs[s, t])

    def row(self, x_s, s, t):
        return self.logs[s, t][x_s]

    def column(self, x_t, s, t):
        return self.logs[s, t].T[x_t]

    def forward(self, log_p, s, t):
        log_q = self.logs[s, t]
        log_q = log_q.reshape((1,) * (log_p.ndim - 1) + log_q.shape)
        terms = log_p[..., :, None] + log_q
        top = jnp.max(terms, axis=-2)
        top = jax.lax.stop_gradient(jnp.where(top > -jnp.inf, top, 0))
        total = jnp.sum(jnp.exp(terms - top[..., None, :]), axis=-2)
        possible = total > 0
        return jnp.where(
            possible, jnp.log(jnp.where(possible, total, 1)) + top, -jnp.inf
        )

    def log_prior(self):
        return self.log_pi


def table(steps, prior):
    """Build a `Table` from one-step matrices [T, K, K] and a prior [K], float64."""
    T, K = len(steps), steps[0].shape[0]
    products = np.zeros((T + 1, T + 1, K, K))
    for s in range(T + 1):
        products[s, s] = np.eye(K)
        for t in range(s + 1, T + 1):
            products[s, t] = products[s, t - 1] @ steps[t - 1]
    with np.errstate(divide="ignore"):
        return Table(jnp.asarray(np.log(products)), jnp.asarray(np.log(prior)))


def uniform_steps(betas, K):
    return [(1 - b) * np.eye(K) + b / K * np.ones((K, K)) for b in betas]


def absorbing_steps(betas, K, mask):
    to_mask = np.zeros((K, K))
    to_mask[:, mask] = 1
    return [(1 - b) * np.eye(K) + b * to_mask for b in betas]


def marginal_steps(betas, pi):
    K = len(pi)
    return [(1 - b) * np.eye(K) + b * np.tile(pi, (K, 1)) for b in betas]


def banded_steps(betas, K):
    near = np.abs(np.subtract.outer(np.arange(K), np.arange(K))) == 1
    steps = [b / K * near for b in betas]
    return [q + np.diag(1 - q.sum(1)) for q in steps]


def inverse_betas(T):
    return 1 / np.arange(T, 0, -1)


def uniform(T, K):
    betas = np.linspace(0.1, 0.5, T)
    return table(uniform_steps(betas, K), np.full(K, 1 / K))


def absorbing(T, K):
    """Ends in certainty; the mask is the last category."""
    steps = absorbing_steps(inverse_betas(T), K, K - 1)
    return table(steps, np.eye(K)[K - 1])


def absorbing_closed(T, K):
    """The same chain from its closed form: alpha_bar_t = 1 - t / T, for large T."""
    left = 1 - np.arange(T + 1) / T
    ratio = np.minimum(left[None] / np.where(left > 0, left, 1)[:, None], 1)
    ratio[T, T] = 1
    at_mask = np.eye(K)[K - 1]
    Q = ratio[..., None, None] * np.eye(K) + (1 - ratio)[..., None, None] * at_mask
    with np.errstate(divide="ignore"):
        return Table(jnp.asarray(np.log(Q)), jnp.asarray(np.log(at_mask)))


def marginal(T, K):
    pi = np.arange(1, K + 1) / (K * (K + 1) / 2)
    return table(marginal_steps(np.linspace(0.1, 0.6, T), pi), pi)


def banded(T, K):
    return table(banded_steps(np.linspace(0.3, 0.9, T), K), np.full(K, 1 / K))


def random(T, K):
    """Neither symmetric nor alike from step to step, with some exact zeros."""
    rng = np.random.default_rng(K * 1000 + T)
    steps = rng.gamma(0.7, size=(T, K, K)) + 2 * np.eye(K)
    steps = np.where(rng.random((T, K, K)) < 0.3, 0, steps) + np.eye(K)
    steps = steps / steps.sum(-1, keepdims=True)
    return table(list(steps), rng.dirichlet(np.ones(K)))


LAWS = [uniform, absorbing, marginal, banded, random]


def from_data(transitions):
    """Q_{0..t} for every t by plain products, NumPy float64 [T + 1, K, K]."""
    if isinstance(transitions, Table):
        return np.exp(np.asarray(transitions.logs[0], np.float64))
    Q = [np.eye(transitions.K)]
    for t in range(1, transitions.T + 1):
        Q.append(Q[-1] @ np.asarray(transitions.matrix(t - 1, t), np.float64))
    return np.stack(Q)


def products(transitions):
    """The plain probabilities of a `Table`, NumPy float64 [T + 1, T + 1, K, K]."""
    return np.exp(np.asarray(transitions.logs, np.float64))


def p_value(counts, probabilities):
    """Chi-square p-value of counts; 0 where something impossible was counted."""
    probabilities = np.asarray(probabilities, np.float64)
    possible = probabilities > 0
    if counts[~possible].sum() > 0:
        return 0.0
    if possible.sum() == 1:
        return 1.0
    expected = probabilities[possible] / probabilities[possible].sum()
    return stats.chisquare(counts[possible], counts.sum() * expected).pvalue


def normalised(p):
    """Divide by the sum over the last axis; what is impossible stays 0."""
    total = p.sum(-1, keepdims=True)
    return p / np.where(total > 0, total, 1)
