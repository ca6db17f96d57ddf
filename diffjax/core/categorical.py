"""Categorical laws from logits, the categories on the last axis, in log space.

A probability that is zero is a logit of -inf: it stays zero, with a finite gradient.
"""

from typing import Any

import chex
import jax
import jax.numpy as jnp
import numpy as np

from diffjax.core import checks
from diffjax.core.precision import widen
from diffjax.types import Array


def normalise(logits: Array) -> Array:
    r"""Log probabilities, in float32 at least; what is impossible stays so.

        log p_k = l_k - log sum_j exp l_j

    Where every logit of a position is -inf, the evidence was impossible and there is no
    law: the result is -inf throughout, instead of NaN.

    Args: logits: [..., K].
    Returns: [..., K] log probabilities, nats.
    """
    (logits,) = widen(logits)
    any_possible = jnp.max(logits, axis=-1, keepdims=True) > -jnp.inf
    # Both branches of a `where` are differentiated: the one not taken must be finite.
    log_p = jax.nn.log_softmax(jnp.where(any_possible, logits, 0))
    return jnp.where(any_possible, log_p, -jnp.inf)


def log(p: Array) -> Array:
    r"""Logarithm of probabilities; that of zero is -inf, with gradient 0.

        log p,    log 0 = -inf

    Args: p: [...], not negative.
    Returns: [...] nats.
    """
    possible = p > 0
    return jnp.where(possible, jnp.log(jnp.where(possible, p, 1)), -jnp.inf)


def log_matmul(log_p: Array, log_q: Array) -> Array:
    r"""The product of a law and a matrix, both given as logarithms.

        log (p Q)_j = log sum_k exp( log p_k + log Q_kj )

    One matrix product, scaled by the largest entry of p and of each column of Q: in
    float32 a term 100 nats below those is lost.

    Args: log_p: [..., K].  log_q: [K, M].
    Returns: [..., M] nats.
    """
    top_p = _finite(jnp.max(log_p, axis=-1, keepdims=True))
    top_q = _finite(jnp.max(log_q, axis=0, keepdims=True))
    p, q = jnp.exp(log_p - top_p), jnp.exp(log_q - top_q)
    product = log(jnp.matmul(p, q, precision=jax.lax.Precision.HIGHEST))
    return product + top_p + top_q.reshape((1,) * (log_p.ndim - 1) + (-1,))


def one_hot(x: Array, K: int) -> Array:
    r"""Certainty, as log probabilities.

        l_k = 0 where k = x, else -inf

    Args: x: integer [...].  K: categories.
    Returns: [..., K] nats.
    """
    index = jnp.arange(K).reshape((1,) * x.ndim + (K,))
    return jnp.where(index == x[..., None], 0.0, -jnp.inf)


def at(logits: Array, x: Array) -> Array:
    r"""The entry of each position's own category.

        l_{x}

    Args: logits: [..., K].  x: integer [...].
    Returns: [...] in the unit of logits; NaN where x is outside 0..K-1.
    """
    # A negative index would count from the end; K is out of range, and so gives NaN.
    x = jnp.where(x < 0, logits.shape[-1], x)
    index = x[..., None]
    return jnp.take_along_axis(logits, index, axis=-1, mode="fill")[..., 0]


def tokens(name: str, x: Any, K: int) -> None:
    """Raise unless x is integer and 0 <= x < K; its values only in eager mode.

    Under jit `guard` does it, at the cost of one comparison a token.

    Args: name: what to call it in the message.  x: integer [...].  K: categories.
    Returns: nothing (no unit).
    """
    if not jnp.issubdtype(jnp.result_type(x), jnp.integer):
        raise ValueError(
            f"expected integer {name} in 0..{K - 1}, got dtype {jnp.result_type(x)}; "
            "discrete data are category indices, not levels scaled to [-1, 1]"
        )
    if checks.is_concrete(x) and np.size(x):
        values = np.asarray(x)
        low, high = int(values.min()), int(values.max())
        if low < 0 or high >= K:
            raise ValueError(
                f"expected {name} in 0..{K - 1}, got values from {low} to {high}; "
                "K counts every category, an absorbing mask too"
            )


def mask(name: str, token: int, K: int) -> None:
    """Raise unless a token named once and for all is a category, `0 <= token < K`.

    Args: name: what to call it in the message.  token: int.  K: categories.
    Returns: nothing (no unit).
    """
    if not 0 <= token < K:
        raise ValueError(
            f"expected {name} in 0..{K - 1}, got {token}; K counts the mask, so a "
            "vocabulary of V words and a mask has K = V + 1"
        )


def without(name: str, x: Any, token: int) -> None:
    """Raise if a token occurs where it cannot; values only in eager mode.

    Args: name: what to call it in the message.  x: integer [...].  token: int.
    Returns: nothing (no unit).
    """
    if checks.is_concrete(x) and bool(np.any(np.asarray(x) == token)):
        raise ValueError(
            f"expected {name} without the mask {token}, got it among the tokens; "
            "masked positions are what a network fills in, data have none"
        )


def guard(value: Array, x: Array, K: int) -> Array:
    r"""A value that is NaN if a token is out of range: the check that works under jit.

        value if all 0 <= x < K else NaN

    Without it a gather under jit would silently take another category.

    Args: value: [].  x: integer [...].  K: categories.
    Returns: [] in the unit of value.
    """
    return jnp.where(jnp.all((x >= 0) & (x < K)), value, jnp.nan)


def _finite(top: Array) -> Array:
    return jax.lax.stop_gradient(jnp.where(top > -jnp.inf, top, 0))


def log_prob(x: Array, logits: Array) -> Array:
    r"""Log probability of categories, summed over all positions.

        log Cat(x; softmax(l)) = sum [ l_x - log sum_k exp l_k ]

    Lecture 02 (AE), the categorical loss, with its minus sign outside.

    Args: x: integer [...].  logits: [..., K], not necessarily normalised.
    Returns: [] nats.
    """
    chex.assert_equal_shape_prefix([x, logits], x.ndim)
    chex.assert_type(x, int)
    return jnp.sum(at(normalise(logits), x))


def kl(logits_q: Array, logits_p: Array) -> Array:
    r"""Divergence between categoricals, summed over all positions.

        KL(q || p) = sum_k q_k (log q_k - log p_k),    0 log 0 = 0

    Austin et al. 2021 (arXiv:2107.03006), eq. 1; infinite where q_k > 0 = p_k.

    Args: logits_q, logits_p: [..., K], not necessarily normalised.
    Returns: [] nats.
    """
    chex.assert_equal_shape([logits_q, logits_p])
    log_q, log_p = normalise(logits_q), normalise(logits_p)
    # Both branches of a `where` are differentiated: the one not taken must be finite.
    possible = log_q > -jnp.inf
    ratio = jnp.where(possible, log_q, 0) - jnp.where(possible, log_p, 0)
    each = jnp.sum(jnp.exp(log_q) * ratio, axis=-1)
    return jnp.sum(jnp.maximum(each, 0))  # rounding alone makes one negative


def entropy(logits: Array) -> Array:
    r"""Entropy of categoricals, summed over all positions.

        H(p) = -sum_k p_k log p_k,    0 log 0 = 0

    Args: logits: [..., K], not necessarily normalised.
    Returns: [] nats.
    """
    log_p = normalise(logits)
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
