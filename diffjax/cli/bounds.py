"""The bound of a run on its test split, or its error, on all devices."""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import NamedSharding, PartitionSpec

from diffjax import build
from diffjax.cli.runs import Run, noise_keys
from diffjax.evaluate import Moments, moments, summary

T = TypeVar("T")


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
    bound = run.experiment.model.bound
    assert bound is not None  # `errors` is for models without one
    size = _size(run, batch_size)

    def see(seen: Seen, params, keys, batch, mask) -> Seen:
        used = jnp.where(mask[:, None], _counts(run, params, batch), 0)
        terms = summary.update(seen.terms, bound(params, keys, batch), mask=mask)
        return Seen(terms, seen.counts + jnp.sum(used, axis=0))

    return _walk(run, seed, size, num, see, _nothing(run, bound, size))


def errors(run: Run, seed: int, *, batch_size: int, num: int) -> Iterator[Moments]:
    r"""The error of reconstructions of the first test examples, as it goes on.

        error(x, x_hat),    for a model without a likelihood

    Args: run, seed, batch_size, num: as for `over`.
    Returns: iterator of Moments of [], in the unit of the model's error.
    """
    error = run.experiment.model.error
    assert error is not None  # `over` is for models with a bound

    def see(seen: Moments, params, keys, batch, mask) -> Moments:
        found = error.of(params, batch)
        return moments.update(moments.squares, seen, found, mask=mask)

    nothing = moments.zero(moments.squares, ())
    return _walk(run, seed, _size(run, batch_size), num, see, nothing)


def likelihoods(
    run: Run, seed: int, *, batch_size: int, num: int, draws: int
) -> Iterator[Moments]:
    r"""The negative log likelihood of the first test examples, as it goes on.

        -log p(x_i) by so many draws of the latents, their noise from (seed, i)

    In constant memory, whatever the number of draws of a VAE.

    Args: run, seed, batch_size, num: as for `over`.  draws: of each example.
    Returns: iterator of Moments of [], nats.
    """
    nll = run.experiment.model.nll
    if nll is None:
        raise ValueError(
            "expected a model with importance weights (vae, hvae) for "
            f"--importance-samples, got {run.config['model']['name']}; leave it out "
            "for the bound alone"
        )
    of_batch = nll(draws)

    def see(seen: Moments, params, keys, batch, mask) -> Moments:
        found = of_batch(params, keys, batch)
        return moments.update(moments.squares, seen, found, mask=mask)

    nothing = moments.zero(moments.squares, ())
    return _walk(run, seed, _size(run, batch_size), num, see, nothing)


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


def _size(run: Run, batch_size: int) -> int:
    num = run.experiment.devices.layout.mesh.size
    return -(-batch_size // num) * num


def _walk(
    run: Run, seed: int, size: int, num: int, see: Callable[..., T], seen: T
) -> Iterator[T]:
    mesh = run.experiment.devices.layout.mesh
    spread = NamedSharding(mesh, PartitionSpec(*mesh.axis_names))

    @jax.jit
    def update(seen: Any, params, seed, start, batch, mask):
        mask = mask & (start + jnp.arange(size) < num)
        return see(seen, params, noise_keys(seed, start, size), batch, mask)

    data = build.data.test_batches(run.experiment.data, seed, batch_size=size)
    for i, batch in enumerate(data):
        if i * size >= num:
            return
        mask, placed = batch.pop("mask"), jax.device_put(batch, spread)
        start = jnp.uint32(i * size)
        seen = update(seen, run.params, jnp.uint32(seed), start, placed, mask)
        yield seen


def _nothing(run: Run, bound: Callable[..., Any], size: int) -> Seen:
    batch = build.data.first(run.experiment.data, batch_size=size)
    keys = jax.random.split(jax.random.key(0), size)
    terms = jax.eval_shape(bound, run.params, keys, batch)
    coder = run.experiment.model.coder
    counts = np.zeros(coder.K if coder else 0, np.int32)
    return Seen(summary.zero(terms.divergences.shape[-1]), jnp.asarray(counts))


def _counts(run: Run, params, batch) -> jax.Array:
    coder = run.experiment.model.coder
    if coder is None:
        return jnp.zeros((len(batch["x"]), 0), jnp.int32)
    return build.latents.counts(coder.codes(params, batch), coder.K)
