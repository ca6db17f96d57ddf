"""How much of a codebook is used, over all devices."""

import jax
import jax.numpy as jnp

from diffjax.core import categorical
from diffjax.types import Array


def counts(codes: Array, K: int, *, axis_name: str | None = None) -> Array:
    r"""How often each code occurs. Add them up over an epoch for its perplexity.

        c_k = sum over devices, examples and positions of 1[codes = k]

    Args: codes: integer [...].  K: codes there are.  axis_name: of the devices among
        which the batch is split.
    Returns: integer [K] (codes, no unit).
    """
    categorical.tokens("codes", codes, K)
    each = jax.ops.segment_sum(jnp.ones(codes.size, jnp.int32), codes.reshape(-1), K)
    return each if axis_name is None else jax.lax.psum(each, axis_name)


def perplexity(counts: Array) -> Array:
    r"""Among how many codes one is left to guess.

        ppl = exp( - sum_k p_k log p_k ),    p = c / sum c,    0 log 0 = 0

    From 1 to the least of K and the number of vectors counted: with few, it says
    little. That of devices is not a mean of theirs: give it the sum of their counts.

    Args: counts: [K], not negative, on several devices from `counts` with axis_name.
    Returns: [] perplexity (no unit).
    """
    p = counts / jnp.sum(counts)
    return jnp.exp(jnp.sum(jax.scipy.special.entr(p)))


def used(counts: Array) -> Array:
    r"""The share of the codes that occur at all.

        1/K sum_k 1[c_k > 0]

    Args: counts: [K], not negative.
    Returns: [] in 0..1 (no unit).
    """
    return jnp.mean(counts > 0)
