"""Categorical laws from logits, the categories on the last axis, in log space.

A probability that is zero is a logit of -inf: it stays zero, with a finite gradient.
"""

import chex
import jax
import jax.numpy as jnp

from diffjax.core.precision import widen
from diffjax.types import Array


def log_prob(x: Array, logits: Array) -> Array:
    r"""Log probability of categories, summed over all positions.

        log Cat(x; softmax(l)) = sum [ l_x - log sum_k exp l_k ]

    Lecture 02 (AE), the categorical loss, with its minus sign outside.

    Args: x: integer [...].  logits: [..., K], not necessarily normalised.
    Returns: [] nats.
    """
    chex.assert_equal_shape_prefix([x, logits], x.ndim)
    chex.assert_type(x, int)
    log_p = jax.nn.log_softmax(widen(logits)[0])
    return jnp.sum(jnp.take_along_axis(log_p, x[..., None], axis=-1))


def kl(logits_q: Array, logits_p: Array) -> Array:
    r"""Divergence between categoricals, summed over all positions.

        KL(q || p) = sum_k q_k (log q_k - log p_k),    0 log 0 = 0

    Austin et al. 2021 (arXiv:2107.03006), eq. 1; infinite where q_k > 0 = p_k.

    Args: logits_q, logits_p: [..., K], not necessarily normalised.
    Returns: [] nats.
    """
    chex.assert_equal_shape([logits_q, logits_p])
    log_q, log_p = map(jax.nn.log_softmax, widen(logits_q, logits_p))
    # Both branches of a `where` are differentiated: the one not taken must be finite.
    possible = log_q > -jnp.inf
    ratio = jnp.where(possible, log_q, 0) - jnp.where(possible, log_p, 0)
    return jnp.sum(jnp.exp(log_q) * ratio)


def entropy(logits: Array) -> Array:
    r"""Entropy of categoricals, summed over all positions.

        H(p) = -sum_k p_k log p_k,    0 log 0 = 0

    Args: logits: [..., K], not necessarily normalised.
    Returns: [] nats.
    """
    log_p = jax.nn.log_softmax(widen(logits)[0])
    return -jnp.sum(jnp.exp(log_p) * jnp.where(log_p > -jnp.inf, log_p, 0))


def draw(logits: Array, gumbel: Array) -> Array:
    r"""Categories as a function of Gumbel noise; an impossible one is never drawn.

        x = argmax_k (l_k + g_k),    g_k ~ Gumbel(0, 1)

    The tail is as exact as the noise: draw it with `jax.random.gumbel(...,
    mode="high")`, since the default never exceeds 15.94 and so makes categories of
    probability below about 1e-7 too rare.

    Args: logits, gumbel: [..., K].
    Returns: integer [...] (category index, no unit).
    """
    chex.assert_equal_shape([logits, gumbel])
    return jnp.argmax(logits + gumbel, axis=-1)
