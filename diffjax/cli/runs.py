"""What the commands do with a trained run: draw from it, on all devices."""

from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from diffjax.build.runs import Run, read, trained

__all__ = [
    "Run",
    "by_example",
    "chunks",
    "noise_keys",
    "num_parameters",
    "read",
    "trained",
]


def num_parameters(run: Run) -> int:
    r"""The size of a model.

        sum of the sizes of all leaves

    Args: run: Run.
    Returns: how many numbers (no unit).
    """
    return sum(leaf.size for leaf in jax.tree.leaves(run.params))


def by_example(
    mesh: Mesh, draw: Callable[[Any, Any, int], Any], size: int
) -> Callable[[Any, int, int], np.ndarray]:
    r"""A sampler whose i-th sample depends on (seed, i) alone, spread over all devices.

        sample i = draw(params, fold_in(seed, i))

    Args: mesh: the devices.  draw: (params, keys [num], num) -> [num,
        ...].  size: drawn at once, rounded up to a multiple of the devices.
    Returns: (params, seed, start) -> samples start .. start + size - 1, [size, ...]
        (unit of draw).
    """
    size = -(-size // mesh.size) * mesh.size
    spread = NamedSharding(mesh, PartitionSpec(*mesh.axis_names))
    whole = NamedSharding(mesh, PartitionSpec())

    def part(params: Any, seed: Any, start: Any) -> Any:
        keys = noise_keys(seed, start, size)
        keys = jax.lax.with_sharding_constraint(keys, spread)
        return draw(params, keys, size)

    compiled = jax.jit(part, out_shardings=whole)
    return lambda params, seed, start: np.asarray(
        compiled(params, jnp.uint32(seed), jnp.uint32(start))
    )


def noise_keys(seed: Any, start: Any, num: int) -> jax.Array:
    r"""The keys of some examples, whatever they are drawn or looked at with.

        key_i = fold_in(seed, start + i)

    Args: seed: of them all.  start: place of the first.  num: how many.
    Returns: keys [num] (no unit).
    """
    fold_in = jax.vmap(jax.random.fold_in, in_axes=(None, 0))
    return fold_in(jax.random.key(seed), start + jnp.arange(num))


def chunks(
    draw: Callable[[Any, int, int], np.ndarray], params: Any, seed: int, num: int
) -> Iterator[np.ndarray]:
    r"""Samples 0 .. num - 1, a part at a time.

        draw(params, seed, 0), draw(params, seed, size), ...

    Args: draw: of `by_example`.  params: of the run.  seed: of all samples.  num: how
        many in all.
    Returns: iterator of [n, ...], n at most the size of a part (unit of draw).
    """
    done = 0
    while done < num:
        part = draw(params, seed, done)[: num - done]
        done += len(part)
        yield part
