"""One of two families at each step.

A mixture keeps the structure it can: two rank-one families stay rank-one, a
nearest-neighbour walk with a rank-one family stays a walk, and anything else goes
through matrices.
"""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from diffjax.d3pm.transitions import inputs
from diffjax.d3pm.transitions.apart import Apart
from diffjax.d3pm.transitions.blend import blend
from diffjax.d3pm.transitions.dense import Dense, from_matrices
from diffjax.d3pm.transitions.nearest import Nearest, retimed
from diffjax.d3pm.transitions.rank_one import Absorbing, Marginal, Uniform
from diffjax.d3pm.transitions.restart import Restart
from diffjax.d3pm.transitions.survival import one_step, survival

SIMPLE = (Uniform, Absorbing, Marginal)
"""Rank-one families whose law is the same at every step."""
MOST_NUMBERS = 2**28
"""The largest T K^2 that is made into matrices: 2 GiB in float64."""


def mixture(a: Any, b: Any, weights: Sequence[float] | np.ndarray) -> Any:
    r"""At each step one of two families, by the toss of a coin.

        Q_t = w_t A_t + (1 - w_t) B_t

    Austin et al. 2021 (arXiv:2107.03006), appendix A.2. Rank-one families give one in
    4 (T + 1) numbers; a nearest-neighbour family, or `with_mask` of one, with a
    rank-one family whose law it leaves as it is, one of the size of the former; all
    else T K^2 numbers.

    Args: a, b: families of one K and T.  weights: [T], that of a for t = 1..T.
    Returns: a family.
    """
    w = inputs.probabilities("weights", weights)
    if a.K != b.K:
        raise ValueError(
            f"expected two families of one K, got {a.K} and {b.K}; with_mask adds a "
            "token to a family, which it neither reaches nor leaves"
        )
    if not a.T == b.T == len(w):
        raise ValueError(
            f"expected two families and weights of one T, got {a.T}, {b.T} and {len(w)}"
        )
    if isinstance(a, SIMPLE) and isinstance(b, SIMPLE):
        return blend(a, b, w)
    if isinstance(a, SIMPLE) and _is_walk(b) and _leaves_alone(b, a):
        return _restart(a, b, w)
    if isinstance(b, SIMPLE) and _is_walk(a) and _leaves_alone(a, b):
        return _restart(b, a, 1 - w)
    return _dense(a, b, w)


def _is_walk(family: Any) -> bool:
    return isinstance(family.inner if isinstance(family, Apart) else family, Nearest)


def _leaves_alone(walk: Any, target: Any) -> bool:
    """Whether a jump of the walk changes the law of the target."""
    s, t = jnp.zeros((), int), jnp.asarray(walk.T)
    log_pi = target.log_target(s, t)
    moved = np.exp(walk.forward(log_pi, s, t))
    return np.allclose(moved, np.exp(log_pi), rtol=1e-4, atol=1e-12)


def _restart(target: Any, walk: Any, share: np.ndarray) -> Restart:
    replaced = share * one_step(target.survival)
    inner = walk.inner if isinstance(walk, Apart) else walk
    jumped = (1 - share) * np.asarray(inner.beta, np.float64)
    kept = 1 - replaced
    # Among the tokens kept; where none is kept, what they do is of no consequence.
    beta = np.where(kept > 0, jumped / np.where(kept > 0, kept, 1), 0)
    inner = retimed(inner, np.clip(beta, 0, 1))
    walk = Apart(inner) if isinstance(walk, Apart) else inner
    return Restart(survival(replaced), walk, target)


def _dense(a: Any, b: Any, w: np.ndarray) -> Dense:
    T, K = len(w), a.K
    if T * K * K > MOST_NUMBERS:
        raise ValueError(
            f"expected T K^2 <= {MOST_NUMBERS}, got {T * K * K}; without matrices only "
            "rank-one families can be mixed, and a nearest-neighbour walk with a law "
            "that it leaves as it is"
        )

    @jax.jit
    def step(a: Any, b: Any, t: jax.Array) -> tuple[jax.Array, jax.Array]:
        return a.matrix(t - 1, t), b.matrix(t - 1, t)

    Q = np.empty((T, K, K))
    for t in range(1, T + 1):
        first, second = (np.asarray(m, np.float64) for m in step(a, b, jnp.asarray(t)))
        Q[t - 1] = w[t - 1] * first + (1 - w[t - 1]) * second
    return from_matrices(Q)
