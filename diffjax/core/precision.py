"""Sums are float32 at least, whatever a network computes in."""

import jax.numpy as jnp

from diffjax.types import Array


def widen(*arrays: Array) -> tuple[Array, ...]:
    r"""The same values in a dtype fit for densities and sums.

        dtype -> promote(dtype, float32)

    Args: arrays: [...] each, floating.
    Returns: as many arrays [...], bfloat16 and float16 made float32 (same unit).
    """
    return tuple(
        jnp.asarray(a, jnp.promote_types(jnp.result_type(a), jnp.float32))
        for a in arrays
    )
