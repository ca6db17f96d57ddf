"""A codebook of moving averages: its state is a pytree in and a pytree out."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from diffjax.core import checks
from diffjax.core.precision import widen
from diffjax.types import Array
from diffjax.vq import usage
from diffjax.vq.codebook import matching, size


class State(NamedTuple):
    """A codebook and the averages it is made of.

    codebook: [K, D], what vectors are quantized with.
    n: [K] average number of vectors that chose each code in a batch.
    m: [K, D] average of their sum.
    """

    codebook: Array
    n: Array
    m: Array


def ema_init(codebook: Array, *, n: Array | float = 1.0) -> State:
    r"""Averages that give back the codebook, so that no code starts from zero.

        n_k = 1,    m_k = e_k

    Averages that start at 0 and are divided by 1 - decay^t make every unused code zero
    after one step.

    Args: codebook: [K, D].  n: [] or [K], the weight of the start, in vectors. A code
        with less than `restart` asks for is replaced at once: give a codebook worth
        keeping the vectors of a batch divided by K.
    Returns: State (unit of the codebook).
    """
    K, _ = size(codebook)
    (codebook,) = widen(codebook)
    weight = jnp.broadcast_to(jnp.asarray(n, codebook.dtype), (K,))
    return State(codebook, weight, weight[:, None] * codebook)


def ema_update(
    state: State,
    z: Array,
    codes: Array,
    *,
    decay: float,
    smoothing: float = 1e-5,
    axis_name: str | None = None,
) -> State:
    r"""Moves every code towards the mean of the vectors that chose it.

        n_k <- decay n_k + (1 - decay) sum 1[codes = k]
        m_k <- decay m_k + (1 - decay) sum z 1[codes = k]
        e_k <- m_k / laplace(n)_k    where some vector chose k

    van den Oord et al. 2017 (arXiv:1711.00937), appendix A.1. With decay 0 and no
    smoothing it is one step of Lloyd's algorithm. A code that no vector chose stays
    where it is, as m / n does: smoothing alone would draw it to zero in the end.

    A batch repeated r times weighs r times as much: from (r n, r m) it leads to the
    same codebook as once from (n, m). No gradient passes.

    Args: state: State.  z: [..., D].  codes: integer [...], chosen before the update.
        decay: in [0, 1).  smoothing: in vectors.  axis_name: of the devices among which
        the batch is split; all get the same state.
    Returns: State (unit of z).
    """
    K, D = matching(state.codebook, z)
    if checks.is_concrete(decay) and not 0 <= decay < 1:
        raise ValueError(f"expected 0 <= decay < 1, got {decay}; 0.99 is usual")
    if z.shape[:-1] != codes.shape:
        raise ValueError(
            f"expected a code for each vector, got z {z.shape} and codes {codes.shape}"
        )
    (z,) = widen(jax.lax.stop_gradient(z))
    chosen = usage.counts(codes, K, axis_name=axis_name)
    total = jax.ops.segment_sum(z.reshape(-1, D), codes.reshape(-1), K)
    total = total if axis_name is None else jax.lax.psum(total, axis_name)
    n = decay * state.n + (1 - decay) * chosen
    m = decay * state.m + (1 - decay) * total
    is_used = chosen > 0
    divisor = jnp.where(is_used, laplace(n, smoothing), 1)
    codebook = jnp.where(is_used[:, None], m / divisor[:, None], state.codebook)
    return State(codebook, n, m)


def laplace(n: Array, smoothing: float) -> Array:
    r"""Counts moved a little towards their mean; their sum stays.

        (n_k + eps) / (N + K eps) N,    N = sum_k n_k

    van den Oord et al. 2017, published code (Sonnet).

    Args: n: [K], not negative.  smoothing: eps, not negative.
    Returns: [K] (unit of n).
    """
    if smoothing < 0:
        raise ValueError(f"expected smoothing >= 0, got {smoothing}")
    total = jnp.sum(n)
    return (n + smoothing) / (total + n.shape[0] * smoothing) * total
