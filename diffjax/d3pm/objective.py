"""The only place where a network is seen: anything with `init` and `apply` will do.

A network takes and returns batches: `net.apply(params, x [B, ...], t [B])` are logits
[B, ..., K] of p(x_0 | x_t), or of whatever `predict` takes them for.
"""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from diffjax.core import chain
from diffjax.core.batching import of_example
from diffjax.core.bounds import Bound
from diffjax.d3pm import likelihood, losses, samplers
from diffjax.d3pm import predict as predictions
from diffjax.d3pm.predict import Denoise, Predict
from diffjax.d3pm.process import Transitions
from diffjax.d3pm.samplers import Step
from diffjax.types import Array, Batch, Metrics, Net, Objective, Params, Sampler

Loss = Callable[[Denoise, Any, Array, Array], Array]
"""(denoise, transitions, rng, x_0 [B, ...]) -> [] nats per example."""
Guide = Callable[[Denoise], Denoise]
Inputs = Callable[[Batch], tuple[Any, ...]]
"""batch -> what a network is given after x_t and t, each [B, ...] or None."""


def example_net(net: Net, params: Params, *extra: Array) -> Denoise:
    r"""A batched network as a function of one example.

        f(x, t) = net(x[None], t[None])[0]

    Args: net: Net.  params: its parameters.  extra: further inputs of one example.
    Returns: (x [...], t []) -> [..., K] (logits).
    """
    f = of_example(net, params)
    return lambda x, t: f(x, t, *extra)


def unguided(denoise: Denoise) -> Denoise:
    r"""The denoiser as it is.

        denoise' = denoise

    Args: denoise: one example.
    Returns: denoise (logits).
    """
    return denoise


def no_inputs(batch: Batch) -> tuple[Any, ...]:
    r"""A network of x_t and t alone.

        net(x_t, t)

    Args: batch: any.
    Returns: ()  (no unit).
    """
    return ()


def label_and_lengths(batch: Batch) -> tuple[Any, ...]:
    r"""A network that is told of the class and of the padding, such as a transformer.

        net(x_t, t, label, length_mask)

    Args: batch: with "label" [B], "length_mask" [B, ...], both or one of them.
    Returns: the two, None for one that is not there (no unit).
    """
    return batch.get("label"), batch.get("length_mask")


def objective(
    net: Net,
    transitions: Transitions,
    *,
    loss: Loss = losses.vb_loss,
    guide: Guide = unguided,
    inputs: Inputs = no_inputs,
) -> Objective:
    r"""Train a network on any loss of this chapter.

        L = loss(net, transitions, rng, x_0),    by default the bound, L_vb

    Austin et al. 2021 (arXiv:2107.03006), eqs. 1 and 5. Options are bound beforehand:
    `functools.partial(losses.hybrid_loss, lam=0.01)`. Where a batch has "length_mask"
    [B, ...], padding costs nothing, and bits_per_dim are of what is not padding; that
    no other token looks at it is for the network to see to, by `label_and_lengths`.

    Args: net: (x [B, ...], t [B], *inputs) -> [B, ..., K].  transitions: a family.
        loss: of `losses`, `masked` or `continuous`.  guide: denoise -> denoise, for
        example `predict.zero_masked` with its mask.  inputs: batch -> what the network
        is given besides; then each example is a batch of its own to the loss, so that
        times cannot be stratified.
    Returns: Objective (nats per example).
    """

    def init(rng: Array, batch: Batch) -> Params:
        x = batch["x"]
        return net.init(rng, x, jnp.ones(x.shape[0], jnp.int32), *inputs(batch))

    def value(params: Params, rng: Array, batch: Batch) -> tuple[Array, Metrics]:
        x_0 = batch["x"]
        nats = jnp.mean(told(params, rng, batch))
        counted = jnp.sum(batch.get("length_mask", jnp.ones(x_0.shape, bool)))
        bits = nats / (counted / len(x_0) * jnp.log(2))
        return nats, {"loss": nats, "bits_per_dim": bits}

    told = _told(loss, net, transitions, guide, inputs)
    return Objective(init, value)


def sampler(
    net: Net,
    transitions: Transitions,
    shape: tuple[int, ...],
    *,
    step: Step | None = None,
    predict: Predict = predictions.joint,
    ts: Any = None,
    guide: Guide = unguided,
    known: Array | None = None,
    known_mask: Array | None = None,
) -> Sampler:
    r"""Draw with a trained network.

        x_T ~ p(x_T),    x_s ~ p(x_s | x_t) down to x_0

    Austin et al. 2021, section 3.

    Args: net: as trained.  transitions: a family.  shape: of one example.  step,
        predict, ts, known, known_mask: as for `samplers.sample`.  guide: denoise ->
        denoise.
    Returns: Sampler: (params, rng, num) -> integer [num, *shape] (category indices).
    """

    def draw(params: Params, rng: Array, num: int) -> Array:
        denoise, size = guide(example_net(net, params)), (num, *shape)
        options: dict[str, Any] = {"step": step, "predict": predict, "ts": ts}
        options |= {"known": known, "known_mask": known_mask}
        return samplers.sample(denoise, transitions, rng, size, **options)

    return draw


def bound(
    net: Net,
    transitions: Transitions,
    *,
    predict: Predict = predictions.joint,
    ts: Any = None,
    guide: Guide = unguided,
    inputs: Inputs = no_inputs,
) -> Callable[[Params, Array, Batch], Bound]:
    r"""The exact bound of a trained network.

        (params, rng, batch) -> Bound

    Austin et al. 2021, eq. 1.

    Args: net: as trained.  transitions: a family.  predict, ts: as for
        `likelihood.bound`.  guide, inputs: as for `objective`.
    Returns: a function to Bound of [B], [B, T - 1], [B]; nats.
    """

    terms = functools.partial(likelihood.bound, predict=predict, ts=ts)
    return _told(terms, net, transitions, guide, inputs)


def _told(
    function: Callable[..., Any],
    net: Net,
    transitions: Transitions,
    guide: Guide,
    inputs: Inputs,
) -> Callable[[Params, Array, Batch], Any]:
    """(params, rng, batch) -> function of its network, transitions, rng and x_0."""

    def whole(params: Params, rng: Array, batch: Batch, *extra: Any) -> Any:
        lengths = {k: v for k, v in batch.items() if k == "length_mask"}
        denoise = guide(example_net(net, params, *extra))
        return function(denoise, transitions, rng, batch["x"], **lengths)

    def of_example(params: Params, rng: Array, example: Batch) -> Any:
        batch = jax.tree.map(lambda leaf: leaf[None], example)
        return whole(params, rng[None], batch, *inputs(example))

    def told(params: Params, rng: Array, batch: Batch) -> Any:
        if not jax.tree.leaves(inputs(batch)):
            return whole(params, rng, batch)
        keys = chain.example_keys(rng, len(batch["x"]))
        each = jax.vmap(of_example, in_axes=(None, 0, 0))(params, keys, dict(batch))
        return jax.tree.map(lambda leaf: leaf.reshape(len(leaf), *leaf.shape[2:]), each)

    return told
