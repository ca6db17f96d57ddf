"""The forward process q and its posterior, one example, scalar t, as logits.

A family of transitions is any object with these members, s and t traced or not; where
s = t the product is the identity:

    K, T                    categories (the mask included), steps
    row(x_s, s, t)          log Q_{s..t}[x_s, :],     [..., K]
    column(x_t, s, t)       log Q_{s..t}[:, x_t],     [..., K]
    forward(log_p, s, t)    log (p Q_{s..t}),         [..., K]
    log_prior()             log of the law of x_T,    [K]
"""

from typing import Protocol

import chex
import jax.numpy as jnp

from diffjax.core import categorical, checks
from diffjax.types import Array


class Transitions(Protocol):
    """What the chapter asks of a family of Q_t; `d3pm.transitions` has the families."""

    @property
    def K(self) -> int:
        """Categories, the mask included."""

    @property
    def T(self) -> int:
        """Steps."""

    def matrix(self, s: Array, t: Array) -> Array:
        """Q_{s..t}, [K, K], its rows summing to 1."""

    def row(self, x_s: Array, s: Array, t: Array) -> Array:
        """Log Q_{s..t}[x_s, :], [..., K]."""

    def column(self, x_t: Array, s: Array, t: Array) -> Array:
        """Log Q_{s..t}[:, x_t], [..., K]."""

    def forward(self, log_p: Array, s: Array, t: Array) -> Array:
        """Log (p Q_{s..t}), [..., K]."""

    def log_prior(self) -> Array:
        """Log probabilities of x_T under the model, [K]."""


def marginal_logits(transitions: Transitions, x_0: Array, t: Array) -> Array:
    r"""The law of x_t given x_0, or given a law of x_0.

        q(x_t | x_0) = Cat(x_t; x_0 Q_1 Q_2 ... Q_t)

    Austin et al. 2021 (arXiv:2107.03006), eq. 3.

    Args: transitions: a family.  x_0: integer [...], or logits [..., K].  t: integer
        [], 0..T.
    Returns: [..., K] log probabilities, nats.
    """
    if jnp.issubdtype(jnp.result_type(x_0), jnp.integer):
        categorical.tokens("x_0", x_0, transitions.K)
        return categorical.normalise(transitions.row(x_0, _step(0), t))
    _check_last(transitions, x_0)
    log_p = categorical.normalise(x_0)
    return categorical.normalise(transitions.forward(log_p, _step(0), t))


def diffuse(transitions: Transitions, x_0: Array, gumbel: Array, t: Array) -> Array:
    r"""A draw of x_t given x_0, as a function of its noise.

        x_t = argmax_k [ log q(x_t = k | x_0) + g_k ]

    Austin et al. 2021, eq. 3; a category of probability 0 is never drawn.

    Args: transitions: a family.  x_0: integer [...].  gumbel: [..., K].  t: [], 0..T.
    Returns: integer [...] x_t (category indices, no unit).
    """
    return categorical.draw(marginal_logits(transitions, x_0, t), gumbel)


def posterior_logits(
    transitions: Transitions,
    x_0: Array,
    x_t: Array,
    t: Array,
    *,
    s: Array | None = None,
) -> Array:
    r"""The law of x_s given x_t and x_0, by default one step back.

        q(x_s | x_t, x_0)  is proportional to  Q_{s..t}[x_s, x_t] Q_{0..s}[x_0, x_s]

    and for a law of x_0, eq. 4, the joint: x_0's row becomes sum_{x_0} p(x_0) row.
    Austin et al. 2021, eqs. 3 and 4. Impossible pairs (x_0, x_t) have no posterior: all
    of it is -inf.

    Args: transitions: a family.  x_0: integer [...], or logits [..., K] of x_0.
        x_t: integer [...].  t: integer [], 1..T.  s: integer [] < t, else t - 1.
    Returns: [..., K] log probabilities of x_s, nats.
    """
    checks.step(transitions.T, t, s)
    categorical.tokens("x_t", x_t, transitions.K)
    s = t - 1 if s is None else s
    chex.assert_equal_shape_prefix([x_0, x_t], jnp.ndim(x_t))
    before = marginal_logits(transitions, x_0, s)
    return categorical.normalise(transitions.column(x_t, s, t) + before)


def transition_logits(
    transitions: Transitions, x_s: Array, t: Array, *, s: Array | None = None
) -> Array:
    r"""The law of x_t given x_s, by default one step forward.

        q(x_t | x_s) = Cat(x_t; x_s Q_{s+1} ... Q_t)

    Austin et al. 2021, eq. 2.

    Args: transitions: a family.  x_s: integer [...].  t: [], 1..T.  s: [] < t or None.
    Returns: [..., K] log probabilities of x_t, nats.
    """
    checks.step(transitions.T, t, s)
    categorical.tokens("x_s", x_s, transitions.K)
    return transitions.row(x_s, t - 1 if s is None else s, t)


def _step(t: int) -> Array:
    return jnp.asarray(t, jnp.int32)


def _check_last(transitions: Transitions, logits: Array) -> None:
    if logits.ndim == 0 or logits.shape[-1] != transitions.K:
        raise ValueError(
            f"expected logits [..., K = {transitions.K}], got shape {logits.shape}; "
            "pass integers for a known x_0, and count the mask in K"
        )
