"""Families known by their matrices: O(T K^2) memory, for K of a few hundred."""

import abc
import dataclasses
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np

from diffjax.core import categorical
from diffjax.d3pm.transitions import inputs, logspace, products
from diffjax.d3pm.transitions.products import Products
from diffjax.types import Array


class Tabulated(abc.ABC):
    """The operators of a family with `matrix(s, t)`, `log_pi` and `products`."""

    products: Products
    log_pi: Array

    @property
    def K(self) -> int:
        """The number of categories."""
        return self.log_pi.shape[0]

    @property
    def T(self) -> int:
        """The number of steps."""
        return self.products.prefix.shape[0]

    @abc.abstractmethod
    def step(self, t: Array) -> Array:
        r"""The matrix of one step.

            Q_t

        Args: t: integer [], 1..T.
        Returns: [K, K] (probabilities).
        """

    def log_matrix(self, s: Array, t: Array) -> Array:
        r"""The transition from s to t as logs; an impossible move is -inf.

            log Q_{s..t}

        Args: s, t: integer [], 0 <= s <= t <= T.
        Returns: [K, K] nats.
        """
        return categorical.log(self.matrix(s, t))

    def log_prior(self) -> Array:
        r"""The law that the whole chain leaves as it is, the model's p(x_T).

            log pi,    pi Q_bar_T = pi

        Args: none.
        Returns: [K] nats.
        """
        return self.log_pi

    def matrix(self, s: Array, t: Array) -> Array:
        r"""The transition from s to t: a lookup for s = 0 and for s = t - 1.

            Q_{s..t} = Q_{s+1} ... Q_t

        Austin et al. 2021 (arXiv:2107.03006), eq. 3. Other stretches take at most
        6 log_4(T) products of matrices.

        Args: s, t: integer [], 0 <= s <= t <= T.
        Returns: [K, K], rows sum to 1 (probabilities).
        """
        inputs.span(self.T, s, t)
        return self._matrix(s, t)

    @jax.jit  # a loop outside jit would be compiled at every call
    def _matrix(self, s: Array, t: Array) -> Array:
        return products.between(self.step, self.products, s, t)

    def forward(self, log_p: Array, s: Array, t: Array) -> Array:
        r"""The law of x_t given one of x_s.

            log(p Q_{s..t})

        Austin et al. 2021, eq. 3. What is too small for the dtype is bounded from
        below by its share that never moved: see `logspace.linear`.

        Args: log_p: [..., K].  s, t: integer [], 0 <= s <= t <= T.
        Returns: [..., K] nats.
        """
        inputs.log_law(self.K, log_p)
        Q = self.matrix(s, t).astype(log_p.dtype)
        stay = categorical.log(jnp.diagonal(Q))
        return logspace.linear(lambda p: products.matmul(p, Q), log_p, stay)

    def row(self, x_s: Array, s: Array, t: Array) -> Array:
        r"""The law of x_t given x_s.

            log Q_{s..t}[x_s, :]

        Austin et al. 2021, eq. 2.

        Args: x_s: integer [...].  s, t: integer [], 0 <= s <= t <= T.
        Returns: [..., K] nats.
        """
        categorical.tokens("x_s", x_s, self.K)
        return self.log_matrix(s, t)[x_s]

    def column(self, x_t: Array, s: Array, t: Array) -> Array:
        r"""The likelihood of x_s, given x_t.

            log Q_{s..t}[:, x_t]

        Austin et al. 2021, eq. 3, its first factor.

        Args: x_t: integer [...].  s, t: integer [], 0 <= s <= t <= T.
        Returns: [..., K] nats.
        """
        categorical.tokens("x_t", x_t, self.K)
        return self.log_matrix(s, t).T[x_t]


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Dense(Tabulated):
    """One-step matrices and their products: (2 + 1/3) T K^2 numbers.

    steps: [T, K, K].  products: tables.  log_pi: [K].
    """

    steps: Array
    products: Products
    log_pi: Array

    def step(self, t: Array) -> Array:
        """Q_t, looked up, [K, K]."""
        return self.steps[t - 1]


def from_matrices(Q: Sequence[np.ndarray] | np.ndarray | Array) -> Dense:
    r"""Any family at all, by its one-step matrices.

        Q_bar_t = Q_1 Q_2 ... Q_t

    Austin et al. 2021 (arXiv:2107.03006), eq. 3. Products are taken in float64 on the
    host; the prior is the law that Q_bar_T leaves as it is.

    Args: Q: [T, K, K], row-stochastic: Q[t - 1, i, j] = q(x_t = j | x_{t-1} = i).
    Returns: the family, in (2 + 1/3) T K^2 numbers.
    """
    steps = _stochastic(np.asarray(Q, np.float64))
    T, K, _ = steps.shape
    tables = products.build(lambda t: steps[t - 1], T, K)
    last = np.asarray(tables.prefix[-1], np.float64)
    return Dense(inputs.table(steps), tables, products.log_prior_table(last))


def _stochastic(Q: np.ndarray) -> np.ndarray:
    if Q.ndim != 3 or Q.shape[1] != Q.shape[2] or Q.shape[0] == 0 or Q.shape[1] < 2:
        raise ValueError(
            f"expected matrices of shape [T, K, K], K >= 2, got {Q.shape}; one for "
            "each of t = 1..T"
        )
    if not np.isfinite(Q).all() or (Q < 0).any():
        raise ValueError(
            f"expected probabilities, got a minimum of {Q.min():.6g}; rates go through "
            "from_rate"
        )
    sums = Q.sum(2)
    if (np.abs(sums - 1) > 1e-5).any():
        t, i = np.unravel_index(np.argmax(np.abs(sums - 1)), sums.shape)
        raise ValueError(
            f"expected rows that sum to 1, got {sums[t, i]:.6g} in row {i} at "
            f"t = {t + 1}; Q is row-stochastic, so transpose it if its columns sum to 1"
        )
    return Q / sums[..., None]
