"""What a model is to the commands, and what it is built from."""

from collections.abc import Callable
from typing import Any, NamedTuple

from diffjax.build.data import Prepared
from diffjax.core.bounds import Bound
from diffjax.types import Array, Batch, Objective, Params, Sampler, StatefulObjective


class Coder(NamedTuple):
    """The codes of a model that has some, to see how many are used.

    K: codes there are.
    codes: (params, batch) -> integer [B, ...].
    """

    K: int
    codes: Callable[[Params, Batch], Array]


class Model(NamedTuple):
    """All that the commands need to know of a model.

    objective: to train.
    sampler: (params, rng, num) -> [num, ...].
    bound: (params, rng, batch) -> Bound.
    chain: (params, rng, num) -> [num, frames, ...], noisiest first, or None.
    trained: (params, memory) -> the params that the three take.
    coder: Coder, or None.
    """

    objective: Objective | StatefulObjective
    sampler: Sampler
    bound: Callable[[Params, Array, Batch], Bound]
    chain: Callable[[Params, Array, int], Array] | None = None
    trained: Callable[[Params, Any], Params] = lambda params, memory: params
    coder: Coder | None = None


class Context(NamedTuple):
    """What a model is built from beside its options.

    data: Prepared.
    net: spec of the network.
    axis_name: of the devices, for objectives with collectives.
    """

    data: Prepared
    net: Any
    axis_name: str | None


def expect_whole(data: Prepared, reader: str) -> None:
    r"""Data that a reader of categories can read.

        x in {0, ..., levels - 1}

    Args: data: Prepared.  reader: who wants it so, for the message.
    Returns: nothing (no unit).
    """
    if not data.whole or not data.levels:
        raise ValueError(
            f"expected integers for {reader}, got the real numbers of {data.name}; "
            "leave out the transforms that scale, or end with `tokens`"
        )
