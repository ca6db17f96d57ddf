"""The one `lax.scan` that every sampler shares, and the only keys of the core.

A chain is one example; a batch is `jax.vmap` over its keys. The grid `ts` is data:
chains of any length and spacing lower to the same small program.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from diffjax import types
from diffjax.core.noise import swift
from diffjax.types import Array

Step = Callable[[Any, Array, Array, Any, Any], tuple[Any, Any]]
"""(x_t, t, s, noise, memory) -> (x_s, memory). A chain traces the step once with memory
None, to learn the shapes of what it remembers, and starts from zeros of these shapes:
so zeros must mean "nothing yet"."""
Draw = Callable[[Array, Any], Any]
"""(key, x_t) -> the noise of one step."""


def normal(rng: Array, x: Array) -> Array:
    r"""Standard Gaussian noise, the `Draw` of every continuous chain.

        eps ~ N(0, I)

    Args: rng: key.  x: [...], only its shape and dtype are used.
    Returns: [...] noise (standard deviations).
    """
    return jax.random.normal(rng, x.shape, x.dtype)


def example_keys(rng: Array, num: int) -> Array:
    r"""One key for each example, the same whatever the batch is cut into.

        key_i = fold_in(rng, i)

    Args: rng: a key; or keys [num] made elsewhere, kept, so that devices
        can be given the keys of their part of a global batch.  num: examples.
    Returns: keys [num], made swift: the same numbers, sooner (no unit).
    """
    return jax.vmap(swift)(types.example_keys(rng, num))


def reverse(step: Step, rng: Array, x: Any, ts: Array, *, draw: Draw = normal) -> Any:
    r"""Walk one example down a grid.

        x_{ts[i+1]} ~ step(x_{ts[i]}, ts[i], ts[i+1]),    i = 0 .. N-1

    Lecture 02 (DDPM), "DDPM Sampling": the loop, for any step.

    Args: step: as `Step`.  rng: key, folded with i for the noise of step i.  x: [...]
        at ts[0], or any pytree that the step and the draw understand.  ts: [N + 1],
        integers or real.  draw: noise of a step.
    Returns: [...] at ts[-1], in the unit of x.
    """
    carry = (x, _blank_memory(step, rng, x, ts, draw))
    return _walk(step, rng, carry, _moves(ts), draw)[0]


def trajectory(
    step: Step,
    rng: Array,
    x: Any,
    ts: Array,
    *,
    every: int,
    observe: Callable[[Any, Array], Any] = lambda x_t, t: x_t,
    draw: Draw = normal,
) -> tuple[Any, Any]:
    r"""`reverse` that also records what it passes, without keeping the rest.

        records_k = observe(x_t, t) at t = ts[k * every]

    `observe=denoise` gives the progressive estimates of x_0.

    Args: step, rng, x, ts, draw: as for `reverse`.  every: steps between records.
        observe: (x_t [...], t []) -> any pytree.
    Returns: [...] at ts[-1], and the records with a leading axis of ceil(N / every),
        first the start (each in its own unit).
    """
    if every < 1:
        raise ValueError(f"expected every >= 1, got {every}")
    moves = _moves(ts)
    whole = (len(ts) - 1) // every * every
    blocks = jax.tree.map(lambda m: m[:whole].reshape(-1, every), moves)
    rest = jax.tree.map(lambda m: m[whole:], moves)

    def advance(carry: Any, block: Any) -> tuple[Any, Any]:
        record = observe(carry[0], block[1][0])
        return _walk(step, rng, carry, block, draw), record

    carry = (x, _blank_memory(step, rng, x, ts, draw))
    carry, records = jax.lax.scan(advance, carry, blocks)
    if whole < len(ts) - 1:
        carry, last = advance(carry, rest)
        records = jax.tree.map(lambda r, v: jnp.append(r, v[None], 0), records, last)
    return carry[0], records


def _moves(ts: Array) -> tuple[Array, Array, Array]:
    return jnp.arange(len(ts) - 1), ts[:-1], ts[1:]


def _walk(step: Step, rng: Array, carry: Any, moves: Any, draw: Draw) -> Any:
    def move(carry: Any, i_t_s: Any) -> tuple[Any, None]:
        (x_t, memory), (i, t, s) = carry, i_t_s
        noise = draw(jax.random.fold_in(rng, i), x_t)
        return step(x_t, t, s, noise, memory), None

    return jax.lax.scan(move, carry, moves)[0]


def _blank_memory(step: Step, rng: Array, x: Any, ts: Array, draw: Draw) -> Any:
    def first(x: Any) -> Any:
        return step(x, ts[0], ts[1], draw(rng, x), None)[1]

    return jax.tree.map(lambda m: jnp.zeros(m.shape, m.dtype), jax.eval_shape(first, x))
