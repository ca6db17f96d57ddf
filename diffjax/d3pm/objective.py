"""The only place where a network is seen: anything with `init` and `apply` will do.

A network takes and returns batches: `net.apply(params, x [B, ...], t [B])` are logits
[B, ..., K] of p(x_0 | x_t), or of whatever `predict` takes them for.
"""

import functools
from collections.abc import Callable
from typing import Any

import jax.numpy as jnp

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


def objective(
    net: Net,
    transitions: Transitions,
    *,
    loss: Loss = losses.vb_loss,
    guide: Guide = unguided,
) -> Objective:
    r"""Train a network on any loss of this chapter.

        L = loss(net, transitions, rng, x_0),    by default the bound, L_vb

    Austin et al. 2021 (arXiv:2107.03006), eqs. 1 and 5. Options are bound beforehand:
    `functools.partial(losses.hybrid_loss, lam=0.01)`. Where a batch has "length_mask"
    [B, ...], padding costs nothing, and bits_per_dim are of what is not padding.

    Args: net: (x [B, ...], t [B]) -> [B, ..., K].  transitions: a family.  loss: of
        `losses`, `masked` or `continuous`.  guide: denoise -> denoise, for example
        `predict.zero_masked` with its mask.
    Returns: Objective (nats per example).
    """

    def init(rng: Array, batch: Batch) -> Params:
        x = batch["x"]
        return net.init(rng, x, jnp.ones(x.shape[0], jnp.int32))

    def value(params: Params, rng: Array, batch: Batch) -> tuple[Array, Metrics]:
        x_0 = batch["x"]
        denoise = guide(example_net(net, params))
        nats = _of_batch(loss, batch)(denoise, transitions, rng, x_0)
        counted = jnp.sum(batch.get("length_mask", jnp.ones(x_0.shape, bool)))
        bits = nats / (counted / len(x_0) * jnp.log(2))
        return nats, {"loss": nats, "bits_per_dim": bits}

    return Objective(init, value)


def _of_batch(function: Callable[..., Any], batch: Batch) -> Callable[..., Any]:
    if "length_mask" not in batch:
        return function
    return functools.partial(function, length_mask=batch["length_mask"])


def sampler(
    net: Net,
    transitions: Transitions,
    shape: tuple[int, ...],
    *,
    step: Step | None = None,
    predict: Predict = predictions.joint,
    ts: Any = None,
    guide: Guide = unguided,
) -> Sampler:
    r"""Draw with a trained network.

        x_T ~ p(x_T),    x_s ~ p(x_s | x_t) down to x_0

    Austin et al. 2021, section 3.

    Args: net: as trained.  transitions: a family.  shape: of one example.  step,
        predict, ts: as for `samplers.sample`.  guide: denoise -> denoise.
    Returns: Sampler: (params, rng, num) -> integer [num, *shape] (category indices).
    """

    def draw(params: Params, rng: Array, num: int) -> Array:
        denoise, size = guide(example_net(net, params)), (num, *shape)
        return samplers.sample(
            denoise, transitions, rng, size, step=step, predict=predict, ts=ts
        )

    return draw


def bound(
    net: Net,
    transitions: Transitions,
    *,
    predict: Predict = predictions.joint,
    ts: Any = None,
    guide: Guide = unguided,
) -> Callable[[Params, Array, Batch], Bound]:
    r"""The exact bound of a trained network.

        (params, rng, batch) -> Bound

    Austin et al. 2021, eq. 1.

    Args: net: as trained.  transitions: a family.  predict, ts: as for
        `likelihood.bound`.  guide: denoise -> denoise.
    Returns: a function to Bound of [B], [B, T - 1], [B]; nats.
    """

    def of_batch(params: Params, rng: Array, batch: Batch) -> Bound:
        denoise, x_0 = guide(example_net(net, params)), batch["x"]
        evaluate = _of_batch(likelihood.bound, batch)
        return evaluate(denoise, transitions, rng, x_0, predict=predict, ts=ts)

    return of_batch
