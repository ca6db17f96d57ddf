"""Where codes come from: a law, the data, k-means; and again when they die."""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from diffjax.core.precision import widen
from diffjax.types import Array
from diffjax.vq.codebook import matching, quantize, size
from diffjax.vq.ema import State, ema_init, ema_update

Start = Callable[[Array, Array, int], Array]
"""(rng, z [..., D], K) -> codebook [K, D]."""


def init_uniform(rng: Array, z: Array, K: int) -> Array:
    r"""Codes near the origin, whatever the data.

        e_k ~ U(-1/K, 1/K)

    The usual start of implementations of van den Oord et al. 2017 (arXiv:1711.00937).

    Args: rng: key.  z: [..., D], only its width and dtype are used.  K: codes.
    Returns: [K, D] (unit of z).
    """
    (z,) = widen(z)
    codebook = jax.random.uniform(rng, (K, z.shape[-1]), z.dtype, -1 / K, 1 / K)
    size(codebook)
    return codebook


def init_from_data(
    rng: Array, z: Array, K: int, *, axis_name: str | None = None
) -> Array:
    r"""Vectors of the batch, no one twice while there are enough of them.

        e_k = z_{i_k},    i_1, ..., i_K drawn without replacement

    On several devices the vectors of all are drawn from, and all get the same.

    Args: rng: key, the same on all devices.  z: [..., D].  K: codes.  axis_name: of the
        devices among which the batch is split.
    Returns: [K, D] (unit of z).
    """
    (z,) = widen(jax.lax.stop_gradient(z))
    z = z.reshape(-1, z.shape[-1])
    num, (devices, device) = z.shape[0], _place(axis_name)
    too_few = K > num * devices
    index = jax.random.choice(rng, num * devices, (K,), replace=too_few)
    here = index - device * num
    is_here = (here >= 0) & (here < num)
    codebook = jnp.where(is_here[:, None], z[jnp.clip(here, 0, num - 1)], 0)
    codebook = codebook if axis_name is None else jax.lax.psum(codebook, axis_name)
    size(codebook)
    return codebook


def init_kmeans(
    rng: Array, z: Array, K: int, *, steps: int = 10, axis_name: str | None = None
) -> Array:
    r"""The codes of k-means on the batch, after some steps of Lloyd's algorithm.

        codes = nearest(z),    e_k = mean of the z with code k

    Zeghidour et al. 2021 (SoundStream, arXiv:2107.03312). The step is `ema_update`
    with decay 0 and no smoothing; a code without vectors stays.

    Args: rng, z, K, axis_name: as for `init_from_data`.  steps: of Lloyd.
    Returns: [K, D] (unit of z).
    """
    if steps < 1:
        raise ValueError(f"expected steps >= 1, got {steps}")
    (z,) = widen(jax.lax.stop_gradient(z))

    def lloyd(state: State, _: None) -> tuple[State, None]:
        codes = quantize(state.codebook, z)[0]
        moved = ema_update(state, z, codes, decay=0, smoothing=0, axis_name=axis_name)
        return moved, None

    start = ema_init(init_from_data(rng, z, K, axis_name=axis_name))
    return jax.lax.scan(lloyd, start, None, length=steps)[0].codebook


def restart(
    rng: Array,
    state: State,
    z: Array,
    *,
    threshold: float = 0.25,
    axis_name: str | None = None,
) -> State:
    r"""Replaces dead codes by vectors of the batch, averages included.

        dead_k:  n_k < least,    least = threshold (vectors in the batch) / K
        e_k <- z_i,    n_k <- least,    m_k <- least z_i

    Averages left as they were would move the code back in the next update. The
    threshold is a share of the mean usage, so that it suits any batch; at four vectors
    a code and a threshold of 1/4, n = 1 and m = e. Dhariwal et al. 2020 (Jukebox,
    arXiv:2005.00341) restart codes by a threshold on n.

    Args: rng: key, the same on all devices.  state: after the update.  z: [..., D] of
        the batch.  threshold: share of the mean usage, in [0, 1).  axis_name: of the
        devices among which the batch is split; all get the same state.
    Returns: State (unit of z).
    """
    K, D = matching(state.codebook, z)
    if not 0 <= threshold < 1:
        raise ValueError(
            f"expected 0 <= threshold < 1, got {threshold}; it is a share of the mean "
            "usage, not a number of vectors"
        )
    least = threshold * (z.size // D) * _place(axis_name)[0] / K
    fresh = init_from_data(rng, z, K, axis_name=axis_name)
    is_dead = state.n < least
    codebook = jnp.where(is_dead[:, None], fresh, state.codebook)
    m = jnp.where(is_dead[:, None], least * fresh, state.m)
    return State(codebook, jnp.where(is_dead, least, state.n), m)


def no_restart(
    rng: Array, state: State, z: Array, *, axis_name: str | None = None
) -> State:
    r"""Leaves dead codes alone.

        state' = state

    Args: rng, state, z, axis_name: as for `restart`.
    Returns: State (unit of z).
    """
    return state


def _place(axis_name: str | None) -> tuple[int, Array | int]:
    """How many devices share the batch, and which one this is."""
    if axis_name is None:
        return 1, 0
    return jax.lax.axis_size(axis_name), jax.lax.axis_index(axis_name)
