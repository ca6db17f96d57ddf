"""The whole protocol: an objective is two functions, a sampler is one."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, Protocol

import jax
import jax.numpy as jnp

Array = jax.Array
Params = Any
"""A pytree of arrays."""
Batch = Mapping[str, Array]
"""Arrays with a leading batch axis: "x" is the data, "label" the class, if any."""
Metrics = Mapping[str, Array]
"""Scalars, named as the lectures name them."""


class Net(Protocol):
    """Anything with `init` and `apply`; inputs and output carry a leading batch axis.

    A Flax module is one, a pair of plain functions in a NamedTuple is another.
    """

    @property
    def init(self) -> Callable[..., Params]:
        """(rng, x [B, ...], t [B], ...) -> params."""

    @property
    def apply(self) -> Callable[..., Any]:
        """(params, x [B, ...], t [B], ...) -> output [B, ...]."""


class Objective(NamedTuple):
    """What a trainer needs to know of a model.

    init: (rng, batch) -> params.
    loss: (params, rng, batch) -> (scalar, metrics).
    """

    init: Callable[[Array, Batch], Params]
    loss: Callable[[Params, Array, Batch], tuple[Array, Metrics]]


class StatefulObjective(NamedTuple):
    """An objective with a memory that no gradient trains; any pytree.

    init: (rng, batch) -> (params, memory).
    loss: (params, memory, rng, batch) -> (scalar, (metrics, memory)), so that
        `jax.value_and_grad(loss, has_aux=True)` gives all there is to keep.
    """

    init: Callable[[Array, Batch], tuple[Params, Any]]
    loss: Callable[[Params, Any, Array, Batch], tuple[Array, tuple[Metrics, Any]]]


class Sampler(Protocol):
    """What a generator needs to know of a model."""

    def __call__(self, params: Params, rng: Array, num: int) -> Array:
        """Draw `num` samples, [num, ...]."""


def example_keys(rng: Array, num: int, *, first: Array | int = 0) -> Array:
    r"""One key for each example, the same whatever the batch is cut into.

        key_i = fold_in(rng, first + i)

    Args: rng: a key; or keys [num] made elsewhere, kept.  num: examples.  first: place
        of example 0 in the whole batch.
    Returns: keys [num] (no unit).
    """
    is_typed = jnp.issubdtype(rng.dtype, jax.dtypes.prng_key)
    if rng.ndim == (0 if is_typed else 1):
        fold_in = jax.vmap(jax.random.fold_in, in_axes=(None, 0))
        return fold_in(rng, first + jnp.arange(num))
    if rng.shape[0] != num:
        raise ValueError(f"expected one key or {num} keys, got {rng.shape[0]} keys")
    return rng
