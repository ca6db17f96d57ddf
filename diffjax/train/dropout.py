"""Dropout for objectives that know nothing of it."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from diffjax.types import Array, Batch, Metrics, Net, Objective, Params, example_keys


class _Masked(NamedTuple):
    init: Callable[..., Params]
    apply: Callable[..., Any]


def dropped(objective_of: Callable[..., Objective], *nets: Net) -> Objective:
    r"""The objective with dropout: each example has its own masks, from its own key.

        L = 1/B sum_i objective_of(*nets with masks of key_i).loss(x_i)

    for example `dropped(lambda net: ddpm.objective(net, schedule), net)`. To evaluate,
    use `objective_of(*nets)` itself. Srivastava et al. 2014 (dropout).

    Args: objective_of: nets -> Objective whose loss is a mean over examples.
        nets: their `apply` takes a key `rng` and drops nothing without one.
    Returns: Objective (in its unit).
    """

    def of_example(params: Params, rng: Array, example: Batch) -> tuple[Array, Metrics]:
        for_loss, *for_nets = jax.random.split(rng, 1 + len(nets))
        seen = map(masked, nets, for_nets)
        one = jax.tree.map(lambda leaf: leaf[None], example)
        return objective_of(*seen).loss(params, for_loss[None], one)

    def loss(params: Params, rng: Array, batch: Batch) -> tuple[Array, Metrics]:
        size = jax.tree.leaves(dict(batch))[0].shape[0]
        keys = example_keys(rng, size)
        each = jax.vmap(of_example, in_axes=(None, 0, 0))(params, keys, dict(batch))
        return jax.tree.map(lambda leaf: jnp.mean(leaf, axis=0), each)

    return Objective(objective_of(*nets).init, loss)


def masked(net: Net, rng: Array) -> Net:
    r"""A network with the masks of one key: the same function at every call.

        net'(x) = net(x, rng=rng)

    Args: net: its `apply` takes a key `rng`.  rng: key, of one example.
    Returns: Net.
    """

    def apply(params: Params, *inputs: Any) -> Any:
        return net.apply(params, *inputs, rng=rng)

    return _Masked(net.init, apply)
