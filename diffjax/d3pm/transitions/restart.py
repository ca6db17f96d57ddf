"""A walk that may also be replaced: kept apart, because the two commute.

Q_{s..t} = alpha W_{s..t} + (1 - alpha) 1 pi^T    where pi W = pi
"""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp

from diffjax.core import categorical
from diffjax.d3pm.transitions import inputs, logspace
from diffjax.d3pm.transitions.survival import Survival, between, log_between
from diffjax.types import Array


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Restart:
    """A walk until a token is replaced, once and for all as far as the law can tell.

    survival: of tokens, at the rate of replacement.  walk: the family W.  target: the
    rank-one family that holds pi, which the walk leaves as it is.
    """

    survival: Survival
    walk: Any
    target: Any

    @property
    def K(self) -> int:
        """The number of categories."""
        return self.walk.K

    @property
    def T(self) -> int:
        """The number of steps."""
        return self.survival.T

    def log_prior(self) -> Array:
        r"""The law that x_T tends to, the model's p(x_T).

            log pi

        Args: none.
        Returns: [K] nats.
        """
        return self.target.log_target(jnp.zeros((), int), jnp.asarray(self.T))

    def matrix(self, s: Array, t: Array) -> Array:
        r"""The transition from s to t as a matrix.

            alpha W_{s..t} + (1 - alpha) 1 pi^T

        Args: s, t: integer [], 0 <= s <= t <= T.
        Returns: [K, K], rows sum to 1 (probabilities).
        """
        inputs.span(self.T, s, t)
        alpha, beta = between(self.survival, s, t)
        return alpha * self.walk.matrix(s, t) + beta * jnp.exp(self.log_prior())[None]

    def forward(self, log_p: Array, s: Array, t: Array) -> Array:
        r"""The law of x_t given one of x_s.

            log( alpha p W_{s..t} + (1 - alpha) |p| pi )

        Args: log_p: [..., K].  s, t: integer [], 0 <= s <= t <= T.
        Returns: [..., K] nats.
        """
        inputs.span(self.T, s, t)
        log_alpha, log_beta = log_between(self.survival, s, t)
        drawn = (log_beta + self.log_prior()).reshape((1,) * (log_p.ndim - 1) + (-1,))
        walked = log_alpha + self.walk.forward(log_p, s, t)
        return logspace.add(walked, drawn + logspace.total(log_p))

    def row(self, x_s: Array, s: Array, t: Array) -> Array:
        r"""The law of x_t given x_s.

            log( alpha W_{s..t}[x_s, :] + (1 - alpha) pi )

        Args: x_s: integer [...].  s, t: integer [], 0 <= s <= t <= T.
        Returns: [..., K] nats.
        """
        categorical.tokens("x_s", x_s, self.K)
        log_alpha, log_beta = log_between(self.survival, s, t)
        walked = log_alpha + self.walk.row(x_s, s, t)
        drawn = (log_beta + self.log_prior()).reshape((1,) * (walked.ndim - 1) + (-1,))
        return logspace.add(walked, drawn)

    def column(self, x_t: Array, s: Array, t: Array) -> Array:
        r"""The likelihood of x_s, given x_t.

            log( alpha W_{s..t}[:, x_t] + (1 - alpha) pi(x_t) )

        Args: x_t: integer [...].  s, t: integer [], 0 <= s <= t <= T.
        Returns: [..., K] nats.
        """
        categorical.tokens("x_t", x_t, self.K)
        log_alpha, log_beta = log_between(self.survival, s, t)
        drawn = (log_beta + self.log_prior())[x_t][..., None]
        return logspace.add(log_alpha + self.walk.column(x_t, s, t), drawn)
