"""The bound of a run on its test split, on all devices."""

from collections.abc import Iterator
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import NamedSharding, PartitionSpec

from diffjax import build
from diffjax.cli.runs import Run
from diffjax.evaluate import Moments, summary


class Seen(NamedTuple):
    """What is known after some test examples.

    terms: of the bound, nats.
    counts: [K] how often each code was used; [0] where there are no codes.
    """

    terms: summary.Terms[Moments]
    counts: jax.Array


def over(run: Run, seed: int, *, batch_size: int, num: int) -> Iterator[Seen]:
    r"""The bound over the first test examples, as it goes on.

        -elbo = rate + distortion,    the noise of example i from (seed, i)

    No example's own terms leave the devices.

    Args: run: Run.  seed: of the noise.  batch_size: at once, rounded up to a multiple
        of the devices.  num: examples, as many as there are at most.
    Returns: iterator of Seen, after every batch; the last one is of all, nats.
    """
    mesh = run.experiment.devices.layout.mesh
    size = -(-batch_size // mesh.size) * mesh.size
    spread = NamedSharding(mesh, PartitionSpec(*mesh.axis_names))
    model = run.experiment.model

    @jax.jit
    def update(seen, params, seed, start, batch, mask):
        index = start + jnp.arange(size)
        fold_in = jax.vmap(jax.random.fold_in, in_axes=(None, 0))
        mask = mask & (index < num)
        bound = model.bound(params, fold_in(jax.random.key(seed), index), batch)
        used = _counts(run, params, batch)
        counts = seen.counts + jnp.sum(jnp.where(mask[:, None], used, 0), axis=0)
        return Seen(summary.update(seen.terms, bound, mask=mask), counts)

    seen = _nothing(run, size)
    data = build.data.test_batches(run.experiment.data, seed, batch_size=size)
    for i, batch in enumerate(data):
        if i * size >= num:
            return
        mask, placed = batch.pop("mask"), jax.device_put(batch, spread)
        start = jnp.uint32(i * size)
        seen = update(seen, run.params, jnp.uint32(seed), start, placed, mask)
        yield seen


def estimates(seen: Seen, dims: int) -> dict[str, tuple[summary.Estimate, str]]:
    r"""Means and standard errors, and bits/dim of what is a code length.

        bits/dim = nats / (D log 2)

    Args: seen: Seen.  dims: D.
    Returns: name -> (Estimate, unit), nats and bits/dim.
    """
    found = {
        name: summary.estimate(moments)
        for name, moments in seen.terms._asdict().items()
    }
    elbo = found.pop("elbo")
    length = elbo._replace(mean=-elbo.mean)
    nats = {"-elbo": length, **found}
    return {
        "bits/dim": (summary.bits(length, dims), "bits/dim"),
        **{name: (value, "nats") for name, value in nats.items()},
    }


def _nothing(run: Run, size: int) -> Seen:
    batch = build.data.first(run.experiment.data, batch_size=size)
    keys = jax.random.split(jax.random.key(0), size)
    bound = jax.eval_shape(run.experiment.model.bound, run.params, keys, batch)
    coder = run.experiment.model.coder
    counts = np.zeros(coder.K if coder else 0, np.int32)
    return Seen(summary.zero(bound.divergences.shape[-1]), jnp.asarray(counts))


def _counts(run: Run, params, batch) -> jax.Array:
    coder = run.experiment.model.coder
    if coder is None:
        return jnp.zeros((len(batch["x"]), 0), jnp.int32)
    return build.latents.counts(coder.codes(params, batch), coder.K)
