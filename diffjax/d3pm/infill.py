"""Tokens that a sampler does not draw: those given, and padding."""

from typing import Any, NamedTuple

import jax.numpy as jnp

from diffjax.core import categorical, chain
from diffjax.types import Array


class Held(NamedTuple):
    """What is fixed throughout a chain.

    values: integer [B, ...], of one example [...].
    mask: boolean of the same shape, True where the values hold.
    """

    values: Array
    mask: Array


def held(
    K: int,
    shape: tuple[int, ...],
    known: Array | None,
    known_mask: Array | None,
    length_mask: Array | None,
    pad: int | None,
) -> Held:
    r"""The given tokens and the padding as one, checked.

        x_i = known_i where known_mask_i,    x_i = pad where not length_mask_i

    Args: K: categories.  shape: (B, ...).  known, known_mask, length_mask, pad: as for
        `samplers.sample`.
    Returns: Held of [B, ...] (category indices).
    """
    values = jnp.zeros(shape, jnp.int32)
    mask = jnp.zeros(shape, bool)
    if (known is None) != (known_mask is None):
        raise ValueError(
            "expected known and known_mask together, got only one of them; known_mask "
            "is True where the tokens of known are to be kept"
        )
    if known is not None and known_mask is not None:
        mask = _boolean("known_mask", known_mask, shape)
        values = _like("known", known, shape).astype(jnp.int32)
        categorical.tokens("known", jnp.where(mask, values, 0), K)
    if (length_mask is None) != (pad is None):
        raise ValueError(
            "expected length_mask and pad together, got only one of them; pad is the "
            "token that stands where length_mask is False"
        )
    if length_mask is not None and pad is not None:
        categorical.mask("pad", pad, K)
        beyond = ~_boolean("length_mask", length_mask, shape)
        values, mask = jnp.where(beyond, pad, values), mask | beyond
    return Held(values, mask)


def holding(step: chain.Step, fixed: Held) -> chain.Step:
    r"""A step that leaves alone what is held.

        x_s_i = values_i where mask_i

    Args: step: of a chain of x_t alone.  fixed: `Held` of one example.
    Returns: a step (category indices).
    """

    def move(x_t: Array, t: Array, s: Array, noise: Any, memory: Any) -> Any:
        x_s, memory = step(x_t, t, s, noise, memory)
        return jnp.where(fixed.mask, fixed.values, x_s), memory

    return move


def lengths(length_mask: Array | None, shape: tuple[int, ...]) -> Array | None:
    r"""A length mask, checked and of the shape of the data; None where all counts.

        True where a position is part of its example, False where it is padding

    Args: length_mask: boolean [B, ...] or [...], or None.  shape: (B, ...).
    Returns: boolean [B, ...], or None (no unit).
    """
    return None if length_mask is None else _boolean("length_mask", length_mask, shape)


def counted(value: Array, length_mask: Array | None, *, otherwise: Any = 0) -> Array:
    r"""A value where a position counts, another where it is padding.

        value_i where length_mask_i, else otherwise_i

    Args: value: [...] or [..., K].  length_mask: boolean [...], or None: all count.
        otherwise: like value, or a number.
    Returns: of value's shape, in its unit.
    """
    if length_mask is None:
        return value
    axes = tuple(range(length_mask.ndim, value.ndim))
    return jnp.where(jnp.expand_dims(length_mask, axes), value, otherwise)


def _boolean(name: str, mask: Array, shape: tuple[int, ...]) -> Array:
    if jnp.result_type(mask) != jnp.bool_:
        raise ValueError(
            f"expected a boolean {name}, got {jnp.result_type(mask)}; compare with 1"
        )
    return _like(name, mask, shape)


def _like(name: str, array: Array, shape: tuple[int, ...]) -> Array:
    if jnp.shape(array) not in (tuple(shape), tuple(shape[1:])):
        raise ValueError(
            f"expected {name} of shape {tuple(shape)} or {tuple(shape[1:])}, got "
            f"{jnp.shape(array)}; the first axis of the samples' shape is the batch"
        )
    return jnp.broadcast_to(array, shape)
