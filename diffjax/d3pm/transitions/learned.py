"""A family whose law of x_T is a parameter of the model, for chains that are short.

Only the bound's prior term and the start of a sampler ask for that law.
"""

import dataclasses
from typing import Any

import jax

from diffjax.core import categorical
from diffjax.types import Array


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Learned:
    r"""The steps of one family, and another p(x_T).

    inner: a family.
    logits: [K], or [..., K] for a law at each position of one example.
    """

    inner: Any
    logits: Array

    @property
    def K(self) -> int:
        """The number of categories."""
        return self.inner.K

    @property
    def T(self) -> int:
        """The number of steps."""
        return self.inner.T

    def log_prior(self) -> Array:
        """Log softmax of the logits, their shape, nats."""
        return categorical.normalise(self.logits)

    def matrix(self, s: Array, t: Array) -> Array:
        """Q_{s..t} of the inner family, [K, K]."""
        return self.inner.matrix(s, t)

    def forward(self, log_p: Array, s: Array, t: Array) -> Array:
        """Log (p Q_{s..t}) of the inner family, [..., K] nats."""
        return self.inner.forward(log_p, s, t)

    def row(self, x_s: Array, s: Array, t: Array) -> Array:
        """Log Q_{s..t}[x_s, :] of the inner family, [..., K] nats."""
        return self.inner.row(x_s, s, t)

    def column(self, x_t: Array, s: Array, t: Array) -> Array:
        """Log Q_{s..t}[:, x_t] of the inner family, [..., K] nats."""
        return self.inner.column(x_t, s, t)


def with_prior(inner: Any, logits: Array) -> Learned:
    r"""The same steps with a learned law of x_T.

        p(x_T = k) = softmax(logits)_k

    The best one is the law of x_T over the data, E q(x_T | x_0). Make the family inside
    the loss, `with_prior(family, params["prior"])`, and its gradient finds it.

    Args: inner: a family.  logits: [K], or [..., K] for a law at each position of one
        example; -inf where a category cannot be.
    Returns: the family.
    """
    if logits.shape[-1] != inner.K:
        raise ValueError(
            f"expected logits [..., K = {inner.K}], got shape {logits.shape}; K counts "
            "the mask"
        )
    return Learned(inner, logits)
