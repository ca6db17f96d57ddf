"""Exact discrete denoisers of a finite data set, by enumeration, for both targets.

The chapter's two parameterizations learn two different things: cross-entropy and the
posterior mean want p(x_0_i | x_t), the joint wants p(x_0_i | x_t without x_t_i).
"""

from collections.abc import Callable
from typing import Protocol

import chex
import jax
import jax.numpy as jnp

from diffjax.core import categorical
from diffjax.types import Array

Denoise = Callable[[Array, Array], Array]
"""(x_t integer [...], t []) -> logits of p(x_0 | x_t), [..., K]."""


class Columns(Protocol):
    """What an oracle asks of a family of transitions."""

    @property
    def K(self) -> int:
        """Categories."""

    def column(self, x_t: Array, s: Array, t: Array) -> Array:
        """Log Q_{s..t}[:, x_t], [..., K]."""


def discrete_denoiser(
    points: Array, transitions: Columns, *, log_weights: Array | None = None
) -> Denoise:
    r"""The optimal denoiser of cross-entropy: the posterior of every position.

        p(x_0_i = k | x_t)
            is proportional to  sum_n w_n 1[x_n_i = k] prod_j q(x_t_j | x_n_j)

    Bayes' rule over the data set; the optimum of `d3pm.cross_entropy`, and of the bound
    with `d3pm.predict.posterior_mean`. Where no example can have led to x_t, it is the
    data's own law.

    Args: points: integer [N, ...].  transitions: a family.  log_weights: [N], log w, by
        default all alike.
    Returns: denoise (log probabilities, nats).
    """
    log_w = _weights(points, log_weights)

    def denoise(x_t: Array, t: Array) -> Array:
        each, column = _evidence(points, transitions, x_t, t)  # [N, D]
        log_n = _bayes(log_w, jnp.sum(each, axis=1))  # [N]
        return _marginals(points, log_n[:, None], column)

    return denoise


def discrete_leave_one_out(
    points: Array, transitions: Columns, *, log_weights: Array | None = None
) -> Denoise:
    r"""The optimal denoiser of the joint parameterization: each place from the others.

        p(x_0_i = k | x_t without x_t_i)
            is proportional to  sum_n w_n 1[x_n_i = k] prod_{j != i} q(x_t_j | x_n_j)

    The optimum of the bound with `d3pm.predict.joint` (Austin et al. 2021,
    arXiv:2107.03006, eq. 4). Where no example agrees with the others, it is the data's
    own law.

    Args: as for `discrete_denoiser`.
    Returns: denoise (log probabilities, nats).
    """
    log_w = _weights(points, log_weights)

    def denoise(x_t: Array, t: Array) -> Array:
        each, column = _evidence(points, transitions, x_t, t)  # [N, D]
        # A sum without one term; -inf - -inf is no number, so zeros are counted apart.
        zero = each == -jnp.inf
        finite = jnp.where(zero, 0, each)
        others = jnp.sum(finite, axis=1, keepdims=True) - finite
        refuted = jnp.sum(zero, axis=1, keepdims=True) - zero > 0
        log_others = jnp.where(refuted, -jnp.inf, others)
        log_n = jax.vmap(_bayes, in_axes=(None, 1), out_axes=1)(log_w, log_others)
        return _marginals(points, log_n, column)

    return denoise


def _weights(points: Array, log_weights: Array | None) -> Array:
    num = points.shape[0]
    if log_weights is None:
        return jnp.full(num, -jnp.log(num))
    if log_weights.shape != (num,):
        raise ValueError(
            f"expected log_weights [{num}], one for each example, got "
            f"{log_weights.shape}"
        )
    return categorical.normalise(log_weights)


def _evidence(
    points: Array, transitions: Columns, x_t: Array, t: Array
) -> tuple[Array, Array]:
    chex.assert_equal_shape([x_t, points[0]])
    column = transitions.column(x_t, jnp.zeros_like(t), t)  # [..., K]
    each = jax.vmap(categorical.at, in_axes=(None, 0))(column, points)
    return each.reshape(points.shape[0], -1), column


def _bayes(log_w: Array, log_likelihood: Array) -> Array:
    log_n = categorical.normalise(log_w + log_likelihood)
    return jnp.where(jnp.max(log_n) > -jnp.inf, log_n, log_w)


def _marginals(points: Array, log_n: Array, like: Array) -> Array:
    """Sum the examples' probabilities, log_n [N, D] or [N, 1], by category."""
    K = like.shape[-1]
    holds = points.reshape(points.shape[0], -1)[..., None] == jnp.arange(K)[None, None]
    p = jnp.sum(jnp.where(holds, jnp.exp(log_n)[..., None], 0), axis=0)
    return categorical.log(p).reshape(like.shape)
