"""One term of the bound for rank-one families: two passes over the logits, not ten.

Where tokens are kept or drawn anew from pi, q(x_s | x_t, x_0) is a multiple of pi but
at x_t and x_0: of all K entries only the mixture of p~ with pi is needed.
"""

from typing import Protocol

import jax
import jax.numpy as jnp

from diffjax.core import categorical
from diffjax.d3pm.process import Transitions
from diffjax.types import Array


class RankOne(Transitions, Protocol):
    """A family with Q_{s..t} = alpha I + beta 1 pi^T."""

    def between(self, s: Array, t: Array) -> tuple[Array, Array]:
        """Alpha and beta, [] each."""

    def log_target(self, s: Array, t: Array) -> Array:
        """Log pi, [K]."""


def divergence(
    transitions: RankOne,
    logits: Array,
    x_0: Array,
    x_t: Array,
    t: Array,
    s: Array,
) -> Array:
    r"""`likelihood.divergence` of `predict.joint`, in closed form.

        q_j = l_j m_j / Z,    l_j = alpha 1[j = x_t] + beta pi_{x_t},
                              m_j = a_s 1[j = x_0] + (1 - a_s) pi_j
        KL = sum_j q_j log(m_j / m'_j) + log(Z' / Z),    m' = a_s p~ + (1 - a_s) pi

    Hoogeboom et al. 2021 (arXiv:2102.05379), eqs. 14-15; l cancels in the logarithm.
    Where the family has probabilities of 0, use `likelihood.divergence`.

    Args: transitions: rank-one, pi > 0 everywhere.  logits: [..., K].  x_0, x_t:
        integer [...].  t, s: integer [], s < t.
    Returns: [] nats.
    """
    alpha, beta = transitions.between(s, t)
    a, b = transitions.between(jnp.zeros_like(s), s)
    pi = jnp.exp(transitions.log_target(s, t)).reshape((1,) * x_t.ndim + (-1,))
    each = jnp.broadcast_to(pi, logits.shape)
    pi_t, pi_0 = categorical.at(each, x_t), categorical.at(each, x_0)
    model = a * jax.nn.softmax(logits.astype(pi.dtype)) + b * pi
    log_model = jnp.log(model)
    model_t, log_t = categorical.at(model, x_t), categorical.at(log_model, x_t)
    log_0 = categorical.at(log_model, x_0)
    same = x_t == x_0
    m_t = jnp.where(same, a, 0) + b * pi_t
    Z, Z_hat = alpha * m_t + beta * pi_t, alpha * model_t + beta * pi_t
    # sum_j m_j log(m_j / m'_j): pi's part over all j, then what x_0 changes of it.
    safe_b = jnp.where(b > 0, b, 1)
    log_pi = transitions.log_target(s, t).reshape((1,) * x_t.ndim + (-1,))
    rest = jnp.where(b > 0, jnp.log(safe_b) + log_pi, 0) - log_model
    m_0 = a + b * pi_0
    at_0 = m_0 * (jnp.log(m_0) - log_0) - b * pi_0 * categorical.at(rest, x_0)
    spread = b * jnp.sum(pi * rest, axis=-1) + at_0
    safe_t = jnp.where(m_t > 0, m_t, 1)
    at_t = m_t * (jnp.log(safe_t) - log_t)
    cost = (beta * pi_t * spread + alpha * at_t) / Z + jnp.log(Z_hat) - jnp.log(Z)
    return jnp.sum(jnp.maximum(cost, 0))
