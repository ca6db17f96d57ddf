"""Samplers: each is a step for `core.chain`, and every step takes any denoiser.

    step(denoise, transitions, x_t, t, s, noise, memory) -> (x_s, memory)

One example, s < t, noise as drawn by `draw` (Gumbel noise [..., K] unless the step says
otherwise), memory None at the start of a chain. Grids are any integers descending to 0.
Every sampler holds known tokens where they are, and padding beyond an example's length.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from diffjax.core import categorical, chain
from diffjax.d3pm import predict as predictions
from diffjax.d3pm import vocabulary
from diffjax.d3pm.infill import Held, held, holding
from diffjax.d3pm.likelihood import grid, gumbel
from diffjax.d3pm.predict import Denoise, Predict
from diffjax.d3pm.process import Transitions
from diffjax.types import Array

Step = Callable[..., tuple[Array, Any]]
"""(denoise, transitions, x_t, t, s, noise, memory) -> (x_s, memory)."""


def sample(
    denoise: Denoise,
    transitions: Transitions,
    rng: Array,
    shape: tuple[int, ...],
    *,
    step: Step | None = None,
    predict: Predict = predictions.joint,
    ts: Any = None,
    draw: chain.Draw | None = None,
    known: Array | None = None,
    known_mask: Array | None = None,
    length_mask: Array | None = None,
    pad: int | None = None,
) -> Array:
    r"""Draw from the model: x_T from its prior, then step after step to x_0.

        x_s ~ p(x_s | x_t)    for (t, s) along the grid

    Austin et al. 2021 (arXiv:2107.03006), section 3. Wrap it in `jax.jit` to call it
    more than once; the grid may be an argument. Known tokens are held clean all along:
    exact for absorbing transitions, and an approximation for others.

    Args: denoise: one example.  transitions: a family.  rng: key, or keys [B].  shape:
        (B, ...).  step: by default `ancestral_with(predict)`, which draws at the last
        step too.  predict: what the logits mean, for the default step only.  ts:
        integers descending from T to 0, by default all.  draw: the step's noise, by
        default Gumbel [..., K].  known: integer [B, ...] or [...], of which only the
        part where known_mask (boolean, of either shape) is True is used.  length_mask:
        boolean, False beyond an example's end, where it is `pad`.
    Returns: integer [B, ...] samples (category indices).
    """
    step = ancestral_with(predict) if step is None else step
    draw = gumbel(transitions.K) if draw is None else draw
    ts = grid(transitions, ts)
    fixed = held(transitions.K, shape, known, known_mask, length_mask, pad)

    def one(rng: Array, fixed: Held) -> Array:
        x_T, rng = start(transitions, rng, fixed)
        move = holding(bind(step, denoise, transitions), fixed)
        return chain.reverse(move, rng, x_T, ts, draw=draw)

    return jax.vmap(one)(chain.example_keys(rng, shape[0]), fixed)


def trajectory(
    denoise: Denoise,
    transitions: Transitions,
    rng: Array,
    shape: tuple[int, ...],
    *,
    every: int,
    observe: Callable[[Array, Array], Any] = lambda x_t, t: x_t,
    step: Step | None = None,
    predict: Predict = predictions.joint,
    ts: Any = None,
    draw: chain.Draw | None = None,
    known: Array | None = None,
    known_mask: Array | None = None,
    length_mask: Array | None = None,
    pad: int | None = None,
) -> tuple[Array, Any]:
    r"""`sample`, the same samples, with what it passed on the way.

        records_k = observe(x_t, t) at t = ts[k * every]

    Austin et al. 2021, figure 2, is the default.

    Args: as for `sample`.  every: steps between records.  observe: (x_t [...], t [])
        -> any pytree.
    Returns: integer [B, ...] samples, and records [B, ceil(N / every), ...], the
        noisiest first (category indices).
    """
    step = ancestral_with(predict) if step is None else step
    draw = gumbel(transitions.K) if draw is None else draw
    ts = grid(transitions, ts)
    fixed = held(transitions.K, shape, known, known_mask, length_mask, pad)

    def one(rng: Array, fixed: Held) -> tuple[Array, Any]:
        x_T, rng = start(transitions, rng, fixed)
        move = holding(bind(step, denoise, transitions), fixed)
        return chain.trajectory(
            move, rng, x_T, ts, every=every, observe=observe, draw=draw
        )

    return jax.vmap(one)(chain.example_keys(rng, shape[0]), fixed)


def bind(step: Step, denoise: Denoise, transitions: Transitions) -> chain.Step:
    r"""A step of this chapter as a step of `core.chain`.

        (x_t, t, s, noise, memory) -> step(denoise, transitions, x_t, t, s, ...)

    Args: step: of this chapter.  denoise: one example.  transitions: a family.
    Returns: a `chain.Step` (category indices).
    """
    return lambda x_t, t, s, noise, memory: step(
        denoise, transitions, x_t, t, s, noise, memory
    )


def ancestral_with(predict: Predict) -> Step:
    r"""A step that draws from p(x_s | x_t) under a given parameterization.

        x_s = argmax_k [ log p(x_s = k | x_t) + g_k ]

    Austin et al. 2021, section 3; on any grid.

    Args: predict: what the denoiser's logits mean.
    Returns: a step (category indices).
    """

    def step(denoise, transitions, x_t, t, s, gumbel, memory):
        logits = predict(transitions, denoise(x_t, t), x_t, t, s=s)
        return _pick(logits, gumbel, x_t), memory

    return step


def ancestral(
    denoise: Denoise,
    transitions: Transitions,
    x_t: Array,
    t: Array,
    s: Array,
    gumbel: Array,
    memory: Any,
) -> tuple[Array, Any]:
    r"""A step that draws from p(x_s | x_t) of eq. 4.

        x_s = argmax_k [ log p(x_s = k | x_t) + g_k ]

    Austin et al. 2021, section 3 and eq. 4; on any grid.

    Args: denoise: one example.  transitions: a family.  x_t: integer [...].  t, s: [].
        gumbel: [..., K].  memory: returned as it is.
    Returns: x_s integer [...], memory (category indices).
    """
    step = ancestral_with(predictions.joint)
    return step(denoise, transitions, x_t, t, s, gumbel, memory)


def argmax_last(predict: Predict = predictions.joint) -> Step:
    r"""`ancestral`, but its last step takes the likeliest token instead of drawing.

        x_0 = argmax_k log p(x_0 = k | x_t)

    Austin et al. 2021, published code.

    Args: predict: what the denoiser's logits mean.
    Returns: a step (category indices).
    """

    def step(denoise, transitions, x_t, t, s, gumbel, memory):
        logits = predict(transitions, denoise(x_t, t), x_t, t, s=s)
        return _pick(logits, jnp.where(s > 0, gumbel, 0), x_t), memory

    return step


def start(transitions: Transitions, rng: Array, fixed: Held) -> tuple[Array, Array]:
    r"""The noise a chain starts from, and the key of the rest.

        x_T ~ p(x_T)    where nothing is known

    Args: transitions: a family.  rng: key.  fixed: `Held` of one example.
    Returns: x_T integer [...] (category indices), key.
    """
    first, rest = jax.random.split(rng)
    log_p, shape = transitions.log_prior(), fixed.mask.shape
    if log_p.ndim == 1:
        drawn = vocabulary.draw_alike(log_p, first, shape)
    else:  # a law at each position
        each = jnp.broadcast_to(log_p, (*shape, log_p.shape[-1]))
        drawn = vocabulary.draw(each, first)
    return jnp.where(fixed.mask, fixed.values, drawn), rest


def _pick(logits: Array, gumbel: Array, x_t: Array) -> Array:
    if gumbel.shape != logits.shape:
        raise ValueError(
            f"expected Gumbel noise {logits.shape}, got noise {gumbel.shape}; "
            "leave out `draw`, or give the one this step's docstring names"
        )
    return categorical.draw(logits, gumbel).astype(x_t.dtype)
