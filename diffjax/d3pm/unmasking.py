"""Samplers of absorbing transitions: which masked tokens to show, and when.

All of them give the mask no mass, whatever the network says of it.
"""

from typing import Any

import jax
import jax.numpy as jnp

from diffjax.core import categorical, chain
from diffjax.d3pm import vocabulary
from diffjax.d3pm.infill import held
from diffjax.d3pm.likelihood import grid, gumbel
from diffjax.d3pm.masked import Absorbing, masked_prob, unmask_prob
from diffjax.d3pm.predict import Denoise, zero_masked
from diffjax.d3pm.samplers import Step
from diffjax.types import Array


def keys(rng: Array, x: Array) -> Array:
    r"""The `draw` of `reveal`: the step's key itself, for noise made in blocks.

        noise = rng

    Args: rng: key.  x: not used.
    Returns: key.
    """
    return rng


def reveal(
    denoise: Denoise,
    transitions: Absorbing,
    x_t: Array,
    t: Array,
    s: Array,
    noise: Array,
    memory: Any,
) -> tuple[Array, Any]:
    r"""`ancestral` for a large vocabulary: no K numbers a token besides the logits.

        where masked, with probability (alpha_bar_s - alpha_bar_t) / (1 - alpha_bar_t):
        x_s ~ p~(x_0 | x_t);    elsewhere x_s = x_t

    Shi et al. 2024 (MD4, arXiv:2406.04329), eq. 5. Its `draw` is `keys`.

    Args: denoise: one example.  transitions: absorbing.  x_t: integer [...].  t, s: [].
        noise: a key.  memory: returned as it is.
    Returns: x_s integer [...], memory (category indices).
    """
    rng_coin, rng_token = jax.random.split(noise)
    mask = transitions.mask
    token = vocabulary.draw(denoise(x_t, t), rng_token, impossible=mask)
    coin = jax.random.uniform(rng_coin, x_t.shape)
    shown = (x_t == mask) & (coin < unmask_prob(transitions, t, s))
    return jnp.where(shown, token.astype(x_t.dtype), x_t), memory


def confidence(*, temperature: float = 0.0) -> Step:
    r"""Shows as many tokens as `ancestral` would on average, the surest ones first.

        n = round( M (alpha_bar_s - alpha_bar_t) / (1 - alpha_bar_t) ) of the M masked,
        ranked by log p~(x_i | x_t) + temperature g_i,    x_i ~ p~(x_0_i | x_t)

    Chang et al. 2022 (MaskGIT, arXiv:2202.04200), section 3.2. Not a sampler of the
    model's law: it trades variety for quality.

    Args: temperature: of the ranking; a large one shows tokens in random order.
    Returns: a step (category indices).
    """
    if temperature < 0:
        raise ValueError(f"expected temperature >= 0, got {temperature}")

    def step(denoise, transitions, x_t, t, s, gumbel, memory):
        mask = transitions.mask
        log_p = categorical.normalise(zero_masked(denoise, mask=mask)(x_t, t))
        token = categorical.draw(log_p, gumbel)
        # The mask is never drawn, so its column of the noise is free.
        score = categorical.at(log_p, token) + temperature * gumbel[..., mask]
        hidden = x_t == mask
        num = jnp.round(jnp.sum(hidden) * unmask_prob(transitions, t, s))
        order = jnp.argsort(jnp.where(hidden, -score, jnp.inf).ravel())
        rank = jnp.argsort(order).reshape(x_t.shape)
        return jnp.where(hidden & (rank < num), token, x_t).astype(x_t.dtype), memory

    return step


def remasking(strength: float) -> Step:
    r"""Lets shown tokens be masked again, so that mistakes can be mended.

        shown: x_s = mask with probability sigma, else x_t
        masked: x_s ~ [ (a_s - (1 - sigma) a_t) p~ + (1 - a_s - sigma a_t) e_mask ]
                      / (1 - a_t)
        sigma = strength min(1, (1 - a_s) / a_t),    a = alpha_bar

    Wang et al. 2025 (ReMDM, arXiv:2503.00307), eqs. 4-5. It keeps every q(x_s | x_0).

    Args: strength: 0 is `ancestral`, 1 remasks as much as can be.
    Returns: a step (category indices).
    """
    if not 0 <= strength <= 1:
        raise ValueError(f"expected 0 <= strength <= 1, got {strength}")

    def step(denoise, transitions, x_t, t, s, gumbel, memory):
        mask = transitions.mask
        log_p = categorical.normalise(zero_masked(denoise, mask=mask)(x_t, t))
        hidden_t, hidden_s = masked_prob(transitions, t), masked_prob(transitions, s)
        a_t, _ = transitions.between(jnp.zeros_like(t), t)
        sigma = strength * jnp.where(hidden_s < a_t, hidden_s / a_t, 1)
        leaves = unmask_prob(transitions, t, s) + sigma * a_t / hidden_t
        stays = jnp.where(s > 0, 1 - leaves, 0)
        at_mask = categorical.one_hot(jnp.full(x_t.shape, mask), log_p.shape[-1]) == 0
        masked = jnp.where(
            at_mask, categorical.log(stays), log_p + categorical.log(leaves)
        )
        same = categorical.one_hot(x_t, log_p.shape[-1]) == 0
        shown = jnp.where(same, jnp.log1p(-sigma), -jnp.inf)
        shown = jnp.where(at_mask, categorical.log(sigma), shown)
        logits = jnp.where((x_t == mask)[..., None], masked, shown)
        return categorical.draw(logits, gumbel).astype(x_t.dtype), memory

    return step


def first_hitting(
    denoise: Denoise,
    transitions: Absorbing,
    rng: Array,
    shape: tuple[int, ...],
    *,
    ts: Any = None,
    known: Array | None = None,
    known_mask: Array | None = None,
    length_mask: Array | None = None,
    pad: int | None = None,
) -> Array:
    r"""`ancestral`, in law, without the steps at which nothing happens.

        t_i = step at which token i is shown,    P(t_i <= t) = (1 - ab_t) / (1 - ab_T)
        for t from the largest t_i down:  x_i ~ p~(x_0_i | x_t)  for all i with t_i = t

    Zheng et al. 2024 (arXiv:2409.02908), section 4, in discrete time, so that tokens
    shown in the same step are drawn together, as `ancestral` draws them. As many calls
    of the network as there are tokens, or steps if these are fewer.

    Args: denoise: one example.  transitions: absorbing.  rng: key, or keys [B].  shape:
        (B, ...).  ts, known, known_mask, length_mask, pad: as for `samplers.sample`.
    Returns: integer [B, ...] samples (category indices).
    """
    ascending = jnp.flip(grid(transitions, ts))
    fixed = held(transitions.K, shape, known, known_mask, length_mask, pad)
    hidden = jax.vmap(lambda t: masked_prob(transitions, t))(ascending)
    calls = min(max(fixed.mask[0].size, 1), len(ascending) - 1)
    noise = gumbel(transitions.K)
    predict = zero_masked(denoise, mask=transitions.mask)

    def of_tokens(rng: Array, state: Any) -> Array:
        return noise(rng, state[0])

    def move(state: Any, t: Array, s: Array, gumbel: Array, memory: Any) -> Any:
        x_t, time = state
        now = jnp.max(time)
        token = categorical.draw(predict(x_t, now), gumbel)
        shown = (time == now) & (now > 0)
        x_s = jnp.where(shown, token.astype(x_t.dtype), x_t)
        return (x_s, jnp.where(shown, 0, time)), memory

    def one(rng: Array, values: Array, known: Array) -> Array:
        first, rest = jax.random.split(rng)
        u = jax.random.uniform(first, known.shape) * hidden[-1]
        index = jnp.searchsorted(hidden, u, side="right")
        time = ascending[jnp.minimum(index, len(ascending) - 1)]
        x_T = jnp.where(known, values, transitions.mask)
        state: Any = (x_T, jnp.where(known, 0, time))
        countdown = jnp.arange(calls, -1, -1)
        return chain.reverse(move, rest, state, countdown, draw=of_tokens)[0]

    keys = chain.example_keys(rng, shape[0])
    return jax.vmap(one)(keys, fixed.values, fixed.mask)
