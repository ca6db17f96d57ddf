"""Families for ordered categories: what a move costs depends on its length alone.

    Q_t[i, j] = w_t(|i - j|) for i != j,    Q_t[i, i] = 1 - sum_{j != i} w_t(|i - j|)

Such matrices are symmetric, so doubly stochastic, and read the same backwards, so half
of each product is kept; a single step is K numbers, exact logs far below what a
probability in float32 can hold.
"""

import dataclasses
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np

from diffjax.core import categorical
from diffjax.d3pm.transitions import inputs, products
from diffjax.d3pm.transitions.dense import Tabulated
from diffjax.d3pm.transitions.products import Products
from diffjax.types import Array


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Ordinal(Tabulated):
    """Moves by length, and half of their products: about (2/3 K^2 + 4 K) T numbers.

    move: [T, K] w_t(n), n = 0..K-1, w_t(0) unused.  stay: [T, K] the diagonal.
    log_move, log_stay: [T, K] their logs.  products: tables.
    """

    move: Array
    stay: Array
    log_move: Array
    log_stay: Array
    products: Products

    @property
    def K(self) -> int:
        """The number of categories."""
        return self.log_move.shape[1]

    def log_prior(self) -> Array:
        r"""The uniform law, which every doubly stochastic matrix leaves as it is.

            log(1 / K)

        Args: none.
        Returns: [K] nats.
        """
        return jnp.full(self.K, -np.log(self.K), self.log_move.dtype)

    def step(self, t: Array) -> Array:
        """Q_t from its moves, [K, K] probabilities."""
        return self._toeplitz(self.move[t - 1], self.stay[t - 1])

    def log_matrix(self, s: Array, t: Array) -> Array:
        """Log Q_{s..t}, [K, K] nats; a single step without rounding to zero."""
        log_Q = categorical.log(self.matrix(s, t))
        log_step = self._toeplitz(self.log_move[t - 1], self.log_stay[t - 1])
        return jnp.where(s == t - 1, log_step, log_Q)

    def _toeplitz(self, move: Array, stay: Array) -> Array:
        level = jnp.arange(self.K)
        length = jnp.abs(level[:, None] - level[None])
        return jnp.where(length == 0, stay[:, None], move[length])


def gaussian(betas: Sequence[float] | np.ndarray, K: int) -> Ordinal:
    r"""A token moves as by a Gaussian step, cut off at the ends.

        Q_t[i, j] = exp(-4 |i-j|^2 / ((K-1)^2 beta_t)) / Z_t,
        Z_t = sum_{n = -(K-1)}^{K-1} exp(-4 n^2 / ((K-1)^2 beta_t))

    for i != j; the diagonal is what is left. Austin et al. 2021 (arXiv:2107.03006),
    eq. 8, for every K: the published code is this only at K = 256.

    Args: betas: [T], for t = 1..T, in [0, 1]; 0 stands still.  K: levels.
    Returns: the family, in about 2/3 T K^2 numbers.
    """
    beta, K = inputs.betas(betas), inputs.categories(K)
    length = np.arange(K) / (K - 1)
    with np.errstate(divide="ignore", invalid="ignore"):  # beta = 0: -inf, and 0/0
        energy = -4 * length**2 / beta[:, None]
    energy[:, 0] = 0
    log_Z = np.log(1 + 2 * np.exp(energy[:, 1:]).sum(1))
    return _ordinal(energy - log_Z[:, None])


def banded(betas: Sequence[float] | np.ndarray, K: int, *, width: int) -> Ordinal:
    r"""A token moves to one of the levels around it, all alike.

        Q_t[i, j] = beta_t / K for 0 < |i-j| <= width,    0 beyond

    and the diagonal is what is left. Austin et al. 2021, appendix A.2.3.

    Args: betas: [T], for t = 1..T, in [0, 1].  K: levels.  width: the longest move, in
        1..K-1.
    Returns: the family, in about 2/3 T K^2 numbers.
    """
    beta, K = inputs.betas(betas), inputs.categories(K)
    if not isinstance(width, int | np.integer) or not 1 <= width < K:
        raise ValueError(
            f"expected a width in 1..K-1 = 1..{K - 1}, got {width!r}; it is the "
            "longest move, in levels"
        )
    log_move = np.full((len(beta), K), -np.inf)
    with np.errstate(divide="ignore"):  # log 0 is meant
        log_move[:, 1 : width + 1] = np.log(beta / K)[:, None]
    return _ordinal(log_move)


def _ordinal(log_move: np.ndarray) -> Ordinal:
    T, K = log_move.shape
    move = np.exp(log_move)
    move[:, 0] = 0
    # From level i one can go i levels down and K - 1 - i up.
    down = np.cumsum(move, axis=1)
    stay = np.maximum(1 - (down + down[:, ::-1]), 0)
    length = np.abs(np.arange(K)[:, None] - np.arange(K)[None])

    def step(t: int) -> np.ndarray:
        Q = move[t - 1][length]
        np.fill_diagonal(Q, stay[t - 1])
        return Q

    tables = products.build(step, T, (K + 1) // 2)
    with np.errstate(divide="ignore"):  # log 0 is meant
        logs = inputs.table(log_move), inputs.table(np.log(stay))
    return Ordinal(inputs.table(move), inputs.table(stay), *logs, tables)
