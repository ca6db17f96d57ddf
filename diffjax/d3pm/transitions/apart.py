"""A family with one more token, which it neither reaches nor leaves."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp

from diffjax.core import categorical
from diffjax.d3pm.transitions import inputs
from diffjax.types import Array


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Apart:
    r"""The inner family on the first K - 1 tokens, the identity on the last.

    inner: a family of K - 1 categories.
    """

    inner: Any

    @property
    def K(self) -> int:
        """The number of categories, one more than the inner family's."""
        return self.inner.K + 1

    @property
    def T(self) -> int:
        """The number of steps."""
        return self.inner.T

    def log_prior(self) -> Array:
        r"""The law that x_T tends to; the last token never occurs.

            (log pi, -inf)

        Args: none.
        Returns: [K] nats.
        """
        return jnp.append(self.inner.log_prior(), -jnp.inf)

    def matrix(self, s: Array, t: Array) -> Array:
        r"""The transition from s to t as a matrix.

            diag(Q_{s..t}, 1)

        Args: s, t: integer [], 0 <= s <= t <= T.
        Returns: [K, K], rows sum to 1 (probabilities).
        """
        return jnp.pad(self.inner.matrix(s, t), (0, 1)).at[-1, -1].set(1)

    def forward(self, log_p: Array, s: Array, t: Array) -> Array:
        r"""The law of x_t given one of x_s.

            ( log(p Q_{s..t}), log p_last )

        Args: log_p: [..., K].  s, t: integer [], 0 <= s <= t <= T.
        Returns: [..., K] nats.
        """
        inputs.log_law(self.K, log_p)
        moved = self.inner.forward(log_p[..., :-1], s, t)
        return jnp.concatenate([moved, log_p[..., -1:].astype(moved.dtype)], axis=-1)

    def row(self, x_s: Array, s: Array, t: Array) -> Array:
        r"""The law of x_t given x_s.

            log diag(Q_{s..t}, 1)[x_s, :]

        Args: x_s: integer [...].  s, t: integer [], 0 <= s <= t <= T.
        Returns: [..., K] nats.
        """
        categorical.tokens("x_s", x_s, self.K)
        x_s = jnp.asarray(x_s)
        return self._pad(x_s, self.inner.row(jnp.minimum(x_s, self.K - 2), s, t))

    def column(self, x_t: Array, s: Array, t: Array) -> Array:
        r"""The likelihood of x_s, given x_t.

            log diag(Q_{s..t}, 1)[:, x_t]

        Args: x_t: integer [...].  s, t: integer [], 0 <= s <= t <= T.
        Returns: [..., K] nats.
        """
        categorical.tokens("x_t", x_t, self.K)
        x_t = jnp.asarray(x_t)
        return self._pad(x_t, self.inner.column(jnp.minimum(x_t, self.K - 2), s, t))

    def _pad(self, x: Array, log_p: Array) -> Array:
        last = (x == self.K - 1)[..., None]
        others = jnp.where(last, -jnp.inf, log_p)
        own = jnp.where(last, 0, -jnp.inf).astype(log_p.dtype)
        return jnp.concatenate([others, own], axis=-1)


def with_mask(transitions: Any) -> Apart:
    r"""A family with one more token, K, for `mixture` with a family that masks.

        Q'_t = diag(Q_t, 1)

    `mixture(absorbing(betas, K + 1, mask=K), with_mask(gaussian(betas, K)), weights)`
    masks and moves; Austin et al. 2021 (arXiv:2107.03006), appendix A.2.

    Args: transitions: a family of K categories.
    Returns: a family of K + 1.
    """
    return Apart(transitions)
