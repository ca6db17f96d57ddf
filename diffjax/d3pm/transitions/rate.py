"""A rate matrix of one's own, run for longer and longer: no factor T in memory.

    Q_{s..t} = exp(tau R),    tau = -sum_{k = s+1}^t log(1 - beta_k)

so that R = 1 pi^T - I is the rank-one family of these betas. `from_rate` puts the
exponential together from powers and keeps the digits of small entries;
`from_eigenbasis` is one product of matrices, exact to the dtype's rounding of 1.
"""

import abc
import dataclasses
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np

from diffjax.core import categorical
from diffjax.d3pm.transitions import inputs, logspace, products
from diffjax.d3pm.transitions.survival import Survival, survival
from diffjax.types import Array

TERMS = 20
"""Terms of the series; at x <= 1 the first one left out is below 1e-18."""


class Timed(abc.ABC):
    """The operators of a family with `survival`, `log_pi` and `exponential(tau)`."""

    survival: Survival
    log_pi: Array

    @property
    def K(self) -> int:
        """The number of categories."""
        return self.log_pi.shape[0]

    @property
    def T(self) -> int:
        """The number of steps."""
        return self.survival.T

    @abc.abstractmethod
    def exponential(self, tau: Array) -> Array:
        r"""The transition after a time.

            exp(tau R)

        Args: tau: [], not negative.
        Returns: [K, K] probabilities.
        """

    def log_prior(self) -> Array:
        r"""The law that the rates leave as it is, the model's p(x_T).

            log pi,    pi R = 0

        Args: none.
        Returns: [K] nats.
        """
        return self.log_pi

    def matrix(self, s: Array, t: Array) -> Array:
        r"""The transition from s to t as a matrix.

            exp(tau R)

        Args: s, t: integer [], 0 <= s <= t <= T.
        Returns: [K, K], rows sum to 1 (probabilities).
        """
        inputs.span(self.T, s, t)
        whole, rest = self.survival
        tau = (whole[s] - whole[t]) + (rest[s] - rest[t])
        Q = self.exponential(jnp.maximum(tau, 0))
        return Q / jnp.sum(Q, axis=1, keepdims=True)

    def forward(self, log_p: Array, s: Array, t: Array) -> Array:
        r"""The law of x_t given one of x_s.

            log(p Q_{s..t})

        Austin et al. 2021 (arXiv:2107.03006), eq. 3.

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

        Args: x_s: integer [...].  s, t: integer [], 0 <= s <= t <= T.
        Returns: [..., K] nats.
        """
        categorical.tokens("x_s", x_s, self.K)
        return categorical.log(self.matrix(s, t))[x_s]

    def column(self, x_t: Array, s: Array, t: Array) -> Array:
        r"""The likelihood of x_s, given x_t.

            log Q_{s..t}[:, x_t]

        Args: x_t: integer [...].  s, t: integer [], 0 <= s <= t <= T.
        Returns: [..., K] nats.
        """
        categorical.tokens("x_t", x_t, self.K)
        return categorical.log(self.matrix(s, t)).T[x_t]


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Rate(Timed):
    r"""The powers exp(2^j R / r): (J + 1) K^2 numbers, J = log2(r tau) of the whole.

    survival: the clock.  log_pi: [K].  rate: [] r, the largest of leaving.  jump:
    [K, K] I + R / r.  powers: [J, K, K].
    """

    survival: Survival
    log_pi: Array
    rate: Array
    jump: Array
    powers: Array

    def exponential(self, tau: Array) -> Array:
        r"""The transition after a time, of terms that are not negative.

            exp(tau R) = e^-x sum_n x^n / n! P^n prod_j exp(2^j R / r)^bit_j,
            P = I + R / r,    r tau = x + sum_j 2^j bit_j

        Args: tau: [], not negative.
        Returns: [K, K] probabilities; no term cancels, and zeros stay zeros.
        """
        jumps = self.rate * tau
        count = jnp.floor(jumps).astype(int)
        x, eye = jumps - count, jnp.eye(self.K, dtype=self.jump.dtype)

        def horner(i: int, total: Array) -> Array:
            return eye + products.matmul(total, self.jump) * (x / (TERMS - i))

        def move(Q: Array, j_power: tuple[Array, Array]) -> tuple[Array, None]:
            j, power = j_power
            return jnp.where((count >> j) & 1, products.matmul(Q, power), Q), None

        first = jnp.exp(-x) * jax.lax.fori_loop(0, TERMS, horner, eye)
        j_powers = (jnp.arange(len(self.powers)), self.powers)
        return jax.lax.scan(move, first, j_powers)[0]


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Eigenbasis(Timed):
    r"""The eigenbasis of R: 2 K^2 + 2 K numbers, and a mask of what can be reached.

    survival: the clock.  log_pi: [K].  values: [K] eigenvalues.  right, left: [K, K],
    right left = I.  possible: bool [K, K].
    """

    survival: Survival
    log_pi: Array
    values: Array
    right: Array
    left: Array
    possible: Array

    def exponential(self, tau: Array) -> Array:
        r"""The transition after a time.

            exp(tau R) = I + V (exp(tau L) - 1) V^-1,    L = diag(values)

        Args: tau: [], not negative.
        Returns: [K, K] probabilities, off by the dtype's rounding of 1.
        """
        gain = jnp.expm1(tau * self.values)
        moved = products.matmul(self.right * gain[None], self.left)
        Q = jnp.eye(self.K, dtype=moved.dtype) + moved
        return jnp.where(self.possible & (tau > 0), jnp.maximum(Q, 0), jnp.eye(self.K))


def from_rate(rate: np.ndarray, betas: Sequence[float] | np.ndarray) -> Rate:
    r"""Any rate matrix, each step running it for a time.

        Q_t = exp( -log(1 - beta_t) R )

    Campbell et al. 2022 (tauLDR, arXiv:2205.14987), section 4.1. Entries keep their
    digits however small. beta_t = 1 runs it for a time of 1000.

    Args: rate: [K, K], rows sum to 0, no negative entry off the diagonal.  betas: [T],
        for t = 1..T, in [0, 1].
    Returns: the family, in (J + 1) K^2 numbers, J about 10 to 20.
    """
    R, clock = _generator(rate), survival(betas)
    r = max(-np.diag(R).min(), np.finfo(np.float64).tiny)
    jump = np.maximum(np.eye(len(R)) + R / r, 0)
    power, total = np.zeros_like(jump), np.eye(len(R))
    for n in range(1, TERMS + 1):  # exp(R / r), the series of exp(-1) exp(jump)
        power, total = power + total, total @ jump / n
    power /= power.sum(1, keepdims=True)
    most = r * -float(np.float64(clock.whole[-1]) + np.float64(clock.rest[-1]))
    powers = np.zeros((max(1, int(np.ceil(np.log2(most + 2)))), *R.shape))
    for j in range(len(powers)):
        powers[j] = power
        power = power @ power
        power /= power.sum(1, keepdims=True)
    tables = (inputs.table(array) for array in (np.array(r), jump, powers))
    return Rate(clock, products.log_prior_table(powers[-1]), *tables)


def from_eigenbasis(
    rate: np.ndarray, betas: Sequence[float] | np.ndarray
) -> Eigenbasis:
    r"""A reversible rate matrix by its eigenvectors: one product for any s and t.

        R = V L V^-1,    pi_i R_ij = pi_j R_ji

    Campbell et al. 2022, section 4.1. Probabilities are off by the dtype's rounding of
    1, so those below it may come out as 0: use `from_rate` unless every entry is
    well above 1e-6 in float32. Symmetric rates are reversible.

    Args: rate: [K, K], as for `from_rate`, and reversible.  betas: [T].
    Returns: the family, in 2 K^2 + 2 K numbers and K^2 bits.
    """
    R = _generator(rate)
    possible = np.linalg.matrix_power(np.eye(len(R)) + (R > 0), len(R)) > 0
    step = np.eye(len(R)) + R / (2 * -np.diag(R).min())
    pi = products.limit_law(step)
    flow = pi[:, None] * R
    if (pi <= 0).any() or np.abs(flow - flow.T).max() > 1e-9 * np.abs(flow).max():
        raise ValueError(
            "expected a reversible rate matrix, pi_i R_ij = pi_j R_ji, got flows that "
            f"differ by {np.abs(flow - flow.T).max():.3g}; from_rate takes any"
        )
    root = np.sqrt(pi)
    symmetric = root[:, None] * R / root[None]
    values, basis = np.linalg.eigh((symmetric + symmetric.T) / 2)
    return Eigenbasis(
        survival=survival(betas),
        log_pi=inputs.table(np.log(pi)),
        values=inputs.table(np.minimum(values, 0)),
        right=inputs.table(basis / root[:, None]),
        left=inputs.table(basis.T * root[None]),
        possible=jnp.asarray(possible),
    )


def _generator(rate: np.ndarray) -> np.ndarray:
    R = np.asarray(rate, np.float64)
    if R.ndim != 2 or R.shape[0] != R.shape[1] or len(R) < 2:
        raise ValueError(f"expected a rate matrix [K, K], K >= 2, got {R.shape}")
    away = R - np.diag(np.diag(R))
    if not np.isfinite(R).all() or (away < 0).any() or not (away > 0).any():
        raise ValueError(
            "expected finite rates, >= 0 off the diagonal and not all 0, got a minimum "
            f"of {away.min():.6g} and a maximum of {away.max():.6g}"
        )
    if np.abs(R.sum(1)).max() > 1e-6 * np.abs(R).max():
        raise ValueError(
            "expected rows of rates that sum to 0, got one that sums to "
            f"{R.sum(1)[np.abs(R.sum(1)).argmax()]:.6g}; subtract it from the diagonal"
        )
    return away - np.diag(away.sum(1))
