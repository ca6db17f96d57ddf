"""One small family of each kind, and its one-step matrices by definition, in NumPy."""

import numpy as np
from scipy import linalg

from diffjax.d3pm import transitions

T, K = 20, 6
rng = np.random.default_rng(3)
BETAS = np.linspace(0.002, 0.3, T)
FALLING = np.linspace(0.4, 0.05, T)  # float32 holds what the last step does
WEIGHTS = np.concatenate([[0, 1], rng.uniform(size=T - 2)])
PI = np.array([0.3, 0.0, 0.1, 0.25, 0.15, 0.2])
EMBEDDINGS = rng.normal(size=(K, 3))
MATRICES = rng.dirichlet(np.full(K, 0.3), (T, K))
MATRICES[MATRICES < 0.02] = 0
MATRICES /= MATRICES.sum(2, keepdims=True)
RATE = rng.uniform(size=(K, K)) * (rng.uniform(size=(K, K)) < 0.4)
np.fill_diagonal(RATE, 0)
RATE += np.diag(np.full(K - 1, 0.1), 1)
RATE -= np.diag(RATE.sum(1))
SYMMETRIC = 0.1 + rng.uniform(size=(K, K))
SYMMETRIC += SYMMETRIC.T
SYMMETRIC -= np.diag(SYMMETRIC.sum(1))


def toward(law, betas=BETAS):
    """(1 - beta) I + beta 1 pi^T."""
    pull = np.broadcast_to(law, (len(law), len(law)))
    return np.stack([(1 - b) * np.eye(len(law)) + b * pull for b in betas])


def by_length(weight, K, betas=BETAS):
    """weight(beta, |i - j|), and on the diagonal what is left."""
    lengths = np.abs(np.subtract.outer(np.arange(K), np.arange(K)))
    Q = np.zeros((len(betas), K, K))
    for t, b in enumerate(betas):
        Q[t] = np.array([0] + [weight(b, n) for n in range(1, K)])[lengths]
        np.fill_diagonal(Q[t], 1 - Q[t].sum(1))
    return Q


def eq_8(K):
    """The weights of Austin et al. 2021, eq. 8, with the sum written out."""

    def weight(beta, n):
        every = np.arange(-(K - 1), K)
        Z = np.sum(np.exp(-4 * every**2 / ((K - 1) ** 2 * beta)))
        return np.exp(-4 * n**2 / ((K - 1) ** 2 * beta)) / Z

    return weight


def jump_matrix(embeddings, k):
    """I + R / max d, with dense matrices and a full sort."""
    unit = embeddings / np.linalg.norm(embeddings, axis=1, keepdims=True)
    G = np.zeros((len(unit), len(unit)))
    for i, likeness in enumerate(unit @ unit.T):
        others = [j for j in np.argsort(-likeness) if j != i]
        G[i, others[:k]] = 1
    A = (G + G.T) / (2 * k)
    R = A - np.diag(A.sum(1))
    return np.eye(len(unit)) + R / A.sum(1).max()


def lazy(P, betas=BETAS):
    return np.stack([(1 - b) * np.eye(len(P)) + b * P for b in betas])


def apart(Q):
    wide = np.zeros((len(Q), Q.shape[1] + 1, Q.shape[1] + 1))
    wide[:, :-1, :-1], wide[:, -1, -1] = Q, 1
    return wide


def mixed(A, B, weights=WEIGHTS):
    return weights[:, None, None] * A + (1 - weights)[:, None, None] * B


def exponentials(R, betas=BETAS):
    return np.stack([linalg.expm(-np.log1p(-b) * R) for b in betas])


POINT, FLAT, LAST = np.eye(K)[2], np.full(K, 1 / K), np.eye(K + 1)[K]
WALK = jump_matrix(EMBEDDINGS, 2)
MOVES = by_length(eq_8(K), K, FALLING)

FAMILIES = {
    "uniform": (lambda: transitions.uniform(BETAS, K), lambda: toward(FLAT)),
    "absorbing": (
        lambda: transitions.absorbing(BETAS, K, mask=2),
        lambda: toward(POINT),
    ),
    "marginal": (lambda: transitions.marginal(BETAS, PI), lambda: toward(PI)),
    "from_matrices": (lambda: transitions.from_matrices(MATRICES), lambda: MATRICES),
    "gaussian": (lambda: transitions.gaussian(FALLING, K), lambda: MOVES),
    "banded": (
        lambda: transitions.banded(BETAS, K, width=2),
        lambda: by_length(lambda b, n: b / K if n <= 2 else 0, K),
    ),
    "nearest": (
        lambda: transitions.nearest(EMBEDDINGS, BETAS, neighbours=2),
        lambda: lazy(WALK),
    ),
    "masks and uniform": (
        lambda: transitions.mixture(
            transitions.absorbing(BETAS, K, mask=2),
            transitions.uniform(FALLING, K),
            WEIGHTS,
        ),
        lambda: mixed(toward(POINT), toward(FLAT, FALLING)),
    ),
    "masks and neighbours": (
        lambda: transitions.mixture(
            transitions.absorbing(BETAS, K + 1, mask=K),
            transitions.with_mask(
                transitions.nearest(EMBEDDINGS, FALLING, neighbours=2)
            ),
            WEIGHTS,
        ),
        lambda: mixed(toward(LAST), apart(lazy(WALK, FALLING))),
    ),
    "moves and masks": (
        lambda: transitions.mixture(
            transitions.with_mask(transitions.gaussian(FALLING, K)),
            transitions.absorbing(BETAS, K + 1, mask=K),
            WEIGHTS,
        ),
        lambda: mixed(apart(MOVES), toward(LAST)),
    ),
    "with_mask": (
        lambda: transitions.with_mask(transitions.uniform(BETAS, K)),
        lambda: apart(toward(FLAT)),
    ),
    "from_rate": (
        lambda: transitions.from_rate(RATE, BETAS),
        lambda: exponentials(RATE),
    ),
    "from_eigenbasis": (
        lambda: transitions.from_eigenbasis(SYMMETRIC, BETAS),
        lambda: exponentials(SYMMETRIC),
    ),
}
DOUBLY_STOCHASTIC = ["uniform", "gaussian", "banded", "nearest", "from_eigenbasis"]
PAIRS = [(0, 0), (0, 1), (0, T), (4, 5), (2, 4), (1, T - 1), (T - 1, T), (T, T)]


def product(Q, s, t):
    """Q_{s+1} ... Q_t, in float64."""
    Q_st = np.eye(Q.shape[1])
    for step in Q[s:t]:
        Q_st = Q_st @ step
    return Q_st


def log(Q):
    with np.errstate(divide="ignore"):
        return np.log(Q)
