"""Families that either keep a token or draw it anew from a law pi.

    Q_{s..t} = alpha I + (1 - alpha) 1 pi^T,    alpha = alpha_bar_t / alpha_bar_s

All of it is known from O(T) numbers, and costs O(K) a token; no matrix is ever formed
unless asked for.
"""

import abc
import dataclasses
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np

from diffjax.core import categorical
from diffjax.d3pm.transitions import inputs, logspace
from diffjax.d3pm.transitions.survival import Survival, between, log_between, survival
from diffjax.types import Array


class RankOne(abc.ABC):
    """The operators of a family with `survival`, `K` and `log_target(s, t)`."""

    survival: Survival

    @property
    def T(self) -> int:
        """The number of steps."""
        return self.survival.T

    def between(self, s: Array, t: Array) -> tuple[Array, Array]:
        r"""The probabilities that a token is kept from s to t, and that it is not.

            alpha = alpha_bar_t / alpha_bar_s,    beta = 1 - alpha

        Austin et al. 2021 (arXiv:2107.03006), appendix A.2; alpha_bar_t is the first of
        between(0, t).

        Args: s, t: integer [], 0 <= s <= t <= T.
        Returns: alpha [], beta [] (probabilities).
        """
        inputs.span(self.T, s, t)
        return between(self.survival, s, t)

    def log_between(self, s: Array, t: Array) -> tuple[Array, Array]:
        r"""`between`, as logs: exact where a probability is tiny, -inf where it is 0.

            log alpha,    log beta

        Args: s, t: integer [], 0 <= s <= t <= T.
        Returns: log alpha [], log beta [] (nats).
        """
        inputs.span(self.T, s, t)
        return log_between(self.survival, s, t)

    @abc.abstractmethod
    def log_target(self, s: Array, t: Array) -> Array:
        r"""The law that replaced tokens are drawn from.

            log pi

        Args: s, t: integer [], 0 <= s <= t <= T.
        Returns: [K] nats.
        """

    def log_prior(self) -> Array:
        r"""The law that x_T tends to, the model's p(x_T).

            log pi

        Args: none.
        Returns: [K] nats.
        """
        return self.log_target(jnp.zeros((), int), jnp.asarray(self.T))

    def matrix(self, s: Array, t: Array) -> Array:
        r"""The transition from s to t as a matrix.

            Q_{s..t} = alpha I + beta 1 pi^T

        Austin et al. 2021, appendix A.2.

        Args: s, t: integer [], 0 <= s <= t <= T.
        Returns: [K, K], rows sum to 1 (probabilities).
        """
        alpha, beta = self.between(s, t)
        pi = jnp.exp(self.log_target(s, t))
        return alpha * jnp.eye(len(pi), dtype=pi.dtype) + beta * pi[None]

    def forward(self, log_p: Array, s: Array, t: Array) -> Array:
        r"""The law of x_t given one of x_s.

            log( alpha p + beta |p| pi ),    |p| = sum_k p_k

        Austin et al. 2021, eq. 3.

        Args: log_p: [..., K].  s, t: integer [], 0 <= s <= t <= T.
        Returns: [..., K] nats.
        """
        inputs.log_law(len(self.log_prior()), log_p)
        log_alpha, log_beta = self.log_between(s, t)
        drawn = _row(log_beta + self.log_target(s, t), log_p.ndim)
        return logspace.add(log_alpha + log_p, drawn + logspace.total(log_p))

    def row(self, x_s: Array, s: Array, t: Array) -> Array:
        r"""The law of x_t given x_s.

            log Q_{s..t}[x_s, j] = log( alpha 1(j = x_s) + beta pi_j )

        Austin et al. 2021, eq. 2.

        Args: x_s: integer [...].  s, t: integer [], 0 <= s <= t <= T.
        Returns: [..., K] nats.
        """
        drawn, either = self._drawn_or_either(s, t)
        categorical.tokens("x_s", x_s, len(drawn))
        same = _is(x_s, len(drawn))
        return jnp.where(same, _row(either, same.ndim), _row(drawn, same.ndim))

    def column(self, x_t: Array, s: Array, t: Array) -> Array:
        r"""The likelihood of x_s, given x_t.

            log Q_{s..t}[i, x_t] = log( alpha 1(i = x_t) + beta pi(x_t) )

        Austin et al. 2021, eq. 3, its first factor.

        Args: x_t: integer [...].  s, t: integer [], 0 <= s <= t <= T.
        Returns: [..., K] nats.
        """
        drawn, either = self._drawn_or_either(s, t)
        categorical.tokens("x_t", x_t, len(drawn))
        same = _is(x_t, len(drawn))
        return jnp.where(same, either[x_t][..., None], drawn[x_t][..., None])

    def _drawn_or_either(self, s: Array, t: Array) -> tuple[Array, Array]:
        log_alpha, log_beta = self.log_between(s, t)
        drawn = log_beta + self.log_target(s, t)
        return drawn, logspace.add(log_alpha, drawn)


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Uniform(RankOne):
    """Replaced tokens are drawn from all K alike; a state of 2 (T + 1) numbers."""

    survival: Survival
    K: int = dataclasses.field(metadata={"static": True})

    def log_target(self, s: Array, t: Array) -> Array:
        """The uniform law, log(1 / K), [K] nats."""
        return jnp.full(self.K, -np.log(self.K))


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Absorbing(RankOne):
    """Replaced tokens become the mask; a state of 2 (T + 1) numbers."""

    survival: Survival
    K: int = dataclasses.field(metadata={"static": True})
    mask: int = dataclasses.field(metadata={"static": True})

    def log_target(self, s: Array, t: Array) -> Array:
        """Certainty of the mask, [K] nats."""
        at_mask = jnp.arange(self.K) == self.mask
        return jnp.where(at_mask, 0.0, -jnp.inf)


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Marginal(RankOne):
    """Replaced tokens are drawn from pi; a state of 2 (T + 1) + K numbers."""

    survival: Survival
    log_pi: Array

    @property
    def K(self) -> int:
        """The number of categories."""
        return self.log_pi.shape[0]

    def log_target(self, s: Array, t: Array) -> Array:
        """The given law, [K] nats."""
        return self.log_pi


def uniform(betas: Sequence[float] | np.ndarray, K: int) -> Uniform:
    r"""A token is replaced by any of the K, itself included.

        Q_t = (1 - beta_t) I + beta_t / K 1 1^T

    Austin et al. 2021 (arXiv:2107.03006), appendix A.2.1; Hoogeboom et al. 2021
    (arXiv:2102.05379).

    Args: betas: [T], for t = 1..T, in [0, 1].  K: categories.
    Returns: the family, in O(T) numbers.
    """
    return Uniform(survival(betas), inputs.categories(K))


def absorbing(betas: Sequence[float] | np.ndarray, K: int, *, mask: int) -> Absorbing:
    r"""A token is replaced by the mask, which stays.

        Q_t = (1 - beta_t) I + beta_t 1 e_mask^T

    Austin et al. 2021, appendix A.2.2. The mask is one of the K: for an extra token
    give the vocabulary's size plus one as K, and mask = K - 1; for grey, K // 2.

    Args: betas: [T], for t = 1..T, in [0, 1].  K: categories, the mask counted.
        mask: in 0..K-1.
    Returns: the family, in O(T) numbers.
    """
    K = inputs.categories(K)
    if not isinstance(mask, int | np.integer) or not 0 <= mask < K:
        raise ValueError(
            f"expected mask in 0..K-1 = 0..{K - 1}, got {mask!r}; K counts the mask, "
            "so an extra token needs K one greater, and is mask = K - 1"
        )
    return Absorbing(survival(betas), K, int(mask))


def marginal(betas: Sequence[float] | np.ndarray, pi: np.ndarray) -> Marginal:
    r"""A token is replaced by a draw from a law, for example that of the data.

        Q_t = (1 - beta_t) I + beta_t 1 pi^T

    Vignac et al. 2023 (DiGress, arXiv:2209.14734), section 4.2. Entries of 0 are never
    drawn: uniform over all but the mask is one such law.

    Args: betas: [T], for t = 1..T, in [0, 1].  pi: [K], sums to 1.
    Returns: the family, in O(T) + K numbers.
    """
    with np.errstate(divide="ignore"):  # log 0 is meant
        log_pi = np.log(inputs.law("pi", pi))
    return Marginal(survival(betas), inputs.table(log_pi))


def _row(vector: Array, ndim: int) -> Array:
    return vector.reshape((1,) * (ndim - 1) + (-1,))


def _is(x: Array, K: int) -> Array:
    x = jnp.asarray(x)
    return _row(jnp.arange(K), x.ndim + 1) == x[..., None]
