"""The bound of a run on its test split, or its error, example by example."""

from collections.abc import Iterable, Iterator, Mapping

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import NamedSharding, PartitionSpec

from diffjax import build
from diffjax.build.data import Prepared
from diffjax.cli.runs import Run


def terms(run: Run, seed: int, *, batch_size: int) -> Iterator[dict[str, np.ndarray]]:
    r"""The terms of every test example, in order, on all devices.

        -elbo = rate + distortion,    the noise of example i from (seed, i);
        or error(x, x_hat) where there is no bound

    Args: run: Run.  seed: of the noise.  batch_size: at once, rounded up to a multiple
        of the devices.
    Returns: iterator of {"-elbo", "rate", "distortion"}, [n] nats each, or of
        {"reconstruction error"}, [n] in the unit of the model's error.
    """
    mesh = run.experiment.devices.layout.mesh
    size = -(-batch_size // mesh.size) * mesh.size
    spread = NamedSharding(mesh, PartitionSpec(*mesh.axis_names))
    model = run.experiment.model

    def of_batch(params, keys, batch):
        if model.error is not None:
            return {"reconstruction error": model.error.of(params, batch)}
        assert model.bound is not None  # one of the two is there
        bound = model.bound(params, keys, batch)
        parts = {"rate": bound.rate, "distortion": bound.distortion}
        return {"-elbo": -bound.elbo, **parts}

    @jax.jit
    def evaluate(params, seed, start, batch):
        fold_in = jax.vmap(jax.random.fold_in, in_axes=(None, 0))
        keys = fold_in(jax.random.key(seed), start + jnp.arange(size))
        return of_batch(params, keys, batch)

    data = build.data.test_batches(run.experiment.data, seed, batch_size=size)
    for i, batch in enumerate(data):
        kept = batch.pop("mask")
        placed = jax.device_put(batch, spread)
        found = evaluate(run.params, jnp.uint32(seed), jnp.uint32(i * size), placed)
        yield {name: np.asarray(value)[kept] for name, value in found.items()}


def first(
    parts: Iterable[dict[str, np.ndarray]], total: int
) -> Iterator[dict[str, np.ndarray]]:
    r"""The terms of the first examples.

        examples 0 .. total - 1

    Args: parts: of `terms`.  total: how many.
    Returns: iterator as `terms` is, nats.
    """
    for part in parts:
        part = {name: values[:total] for name, values in part.items()}
        total -= len(next(iter(part.values())))
        yield part
        if total <= 0:
            return


def summary(
    values: Mapping[str, np.ndarray], data: Prepared, *, unit: str = "nats"
) -> dict[str, tuple[float, float, str]]:
    r"""Means and standard errors, and bits/dim of what is a code length.

        mean = 1/n sum v_i,    s.e. = sqrt( sum (v_i - mean)^2 / (n (n - 1)) )
        bits/dim = nats / (D log 2)

    Args: values: name -> [n].  data: of the run.  unit: of the values.
    Returns: name -> (mean, standard error, unit), this unit and bits/dim.
    """

    def moments(nats: np.ndarray, unit: str) -> tuple[float, float, str]:
        nats = nats.astype(np.float64)
        error = nats.std(ddof=1) / np.sqrt(len(nats)) if len(nats) > 1 else np.nan
        return float(nats.mean()), float(error), unit

    found = {name: moments(each, unit) for name, each in values.items()}
    if "-elbo" not in values:
        return found
    dims = int(np.prod(data.shape))
    bits = moments(values["-elbo"] / (dims * np.log(2)), "bits/dim")
    return {"bits/dim": bits, **found}
