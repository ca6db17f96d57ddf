"""Between networks, which take batches, and mathematics, which takes one example."""

from collections.abc import Callable
from typing import Any

import jax

from diffjax.types import Net, Params


def of_example(net: Net, params: Params) -> Callable[..., Any]:
    r"""A batched network as a function of one example.

        f(x, ...) = net(x[None], ...)[0]

    Under `jax.vmap` the batch is there again: the network is called once.

    Args: net: its inputs and outputs are any pytrees of [B, ...].  params: of the net.
    Returns: a function of the same inputs and outputs, [...].
    """

    def f(*inputs: Any) -> Any:
        batch = jax.tree.map(lambda leaf: leaf[None], inputs)
        return jax.tree.map(lambda leaf: leaf[0], net.apply(params, *batch))

    return f
