"""How far the host may run ahead of the devices."""

import collections
from collections.abc import Callable
from typing import Any

import jax

AHEAD = 8
"""Programs in flight: enough to keep devices busy, few enough to stop soon."""


def limited(run: Callable[..., Any], *, ahead: int = AHEAD) -> Callable[..., Any]:
    r"""A function whose calls wait for the one made `ahead` calls before.

        call n returns when call n - ahead is done

    JAX returns before a program has run, so a host without a limit is minutes ahead of
    a slow device, and a signal to stop is heard that much too late.

    Args: run: (...) -> pytree; its last leaf is not donated to later calls.  ahead:
        programs in flight.
    Returns: the same function (no unit).
    """
    flying: collections.deque[Any] = collections.deque()

    def call(*args: Any) -> Any:
        found = run(*args)
        flying.append(jax.tree.leaves(found)[-1])
        if len(flying) > ahead:
            jax.block_until_ready(flying.popleft())
        return found

    return call
