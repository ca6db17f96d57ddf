"""Steering a sampler: a guide turns denoisers into a denoiser, so any step takes it.

Estimates of x_0 and of eps are affine in each other, so mixing the one mixes the other.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from diffjax.core import chain, checks
from diffjax.core.schedules import Schedule
from diffjax.ddpm import process, samplers
from diffjax.ddpm.predict import Denoise
from diffjax.ddpm.samplers import Step
from diffjax.types import Array


def unguided(denoise: Denoise) -> Denoise:
    r"""The denoiser as it is.

        x_0_hat' = x_0_hat

    Args: denoise: one example.
    Returns: denoise (data units).
    """
    return denoise


def clipped(denoise: Denoise, *, low: float = -1.0, high: float = 1.0) -> Denoise:
    r"""A denoiser whose estimates stay in the data's range.

        x_0_hat' = clip(x_0_hat, low, high)

    Ho et al. 2020, published code ("clip_denoised").

    Args: denoise: one example.  low, high: the range.
    Returns: denoise (data units).
    """
    return lambda x_t, t: jnp.clip(denoise(x_t, t), low, high)


def dynamically_clipped(denoise: Denoise, *, quantile: float = 0.995) -> Denoise:
    r"""A denoiser whose estimates are clipped at a quantile, then scaled into [-1, 1].

        x_0_hat' = clip(x_0_hat, -a, a) / a,    a = max(1, quantile of |x_0_hat|)

    Saharia et al. 2022 (Imagen, arXiv:2205.11487), section 2.3.

    Args: denoise: one example.  quantile: 0 to 1.
    Returns: denoise (data units).
    """
    if not 0 <= quantile <= 1:
        raise ValueError(f"expected 0 <= quantile <= 1, got {quantile}")

    def clipped_denoise(x_t: Array, t: Array) -> Array:
        x_0_hat = denoise(x_t, t)
        a = jnp.maximum(jnp.quantile(jnp.abs(x_0_hat), quantile), 1)
        return jnp.clip(x_0_hat, -a, a) / a

    return clipped_denoise


def classifier_free(
    conditional: Denoise,
    unconditional: Denoise,
    scale: float | Callable[[Array], Array],
) -> Denoise:
    r"""Extrapolation from an unconditional estimate through a conditional one.

        x_0_hat = u + w (c - u)

    so the score is grad log [ p_t(x_t)^(1 - w) p_t(x_t | y)^w ]. Ho & Salimans 2022
    (arXiv:2207.12598), eq. 6, with w = 1 + their w: 0 ignores the class, 1 is the
    class's own law.

    Args: conditional, unconditional: one example.  scale: w, or t [] -> w [].
    Returns: denoise (data units).
    """
    weight = scale if callable(scale) else lambda t: scale

    def denoise(x_t: Array, t: Array) -> Array:
        u = unconditional(x_t, t)
        return u + weight(t) * (conditional(x_t, t) - u)

    return denoise


def within(scale: float, *, low: int, high: int) -> Callable[[Array], Array]:
    r"""A guidance scale for a part of the chain only; elsewhere the conditional law.

        w(t) = scale if low <= t <= high else 1

    Kynkäänniemi et al. 2024 (arXiv:2404.07724), eq. 6, there an interval of sigma.

    Args: scale: w inside.  low, high: steps.
    Returns: t [] -> w [] (no unit).
    """
    return lambda t: jnp.where((low <= t) & (t <= high), scale, 1.0)


def rescaled(guided: Denoise, conditional: Denoise, *, phi: float = 0.7) -> Denoise:
    r"""A guided estimate with the contrast of the conditional one.

        x_0_hat' = phi (std(c) / std(g)) g + (1 - phi) g

    Lin et al. 2023 (arXiv:2305.08891), eqs. 15-16, on the estimate of x_0.

    Args: guided, conditional: one example.  phi: 0 leaves the guided one as it is.
    Returns: denoise (data units).
    """

    def denoise(x_t: Array, t: Array) -> Array:
        g, c = guided(x_t, t), conditional(x_t, t)
        return (phi * jnp.std(c) / jnp.std(g) + 1 - phi) * g

    return denoise


def classifier(
    denoise: Denoise,
    schedule: Schedule,
    log_prob: Callable[[Array, Array], Array],
    *,
    scale: float = 1.0,
) -> Denoise:
    r"""A denoiser for a law tilted by a classifier of noisy examples.

        x_0_hat' = x_0_hat + w (1 - ab_t) / sqrt(ab_t) grad log p(y | x_t)

    that is Tweedie's formula for the score grad log p_t(x_t) + w grad log p(y | x_t).
    Dhariwal & Nichol 2021 (arXiv:2105.05233), algorithm 2.

    Args: denoise: one example.  schedule: tables [T + 1].  log_prob: (x_t [...], t [])
        -> [] nats.  scale: w.
    Returns: denoise (data units).
    """

    def guided(x_t: Array, t: Array) -> Array:
        noise, ab = schedule.one_minus_alpha_bar[t], schedule.alpha_bar[t]
        pull = jax.grad(log_prob)(x_t, t)
        return denoise(x_t, t) + scale * noise / jnp.sqrt(ab) * pull

    return guided


def inpaint(
    denoise: Denoise,
    schedule: Schedule,
    rng: Array,
    known: Array,
    mask: Array,
    *,
    repeats: int = 10,
    jump: int = 1,
    step: Step | None = None,
    ts: Array | None = None,
) -> Array:
    r"""Complete examples of which a part is known, by resampling.

        x_s <- mask * draw of q(x_s | known) + (1 - mask) * draw of p(x_s | x_t),
        and now and then back up: x_t ~ q(x_t | x_s)

    Lugmayr et al. 2022 (RePaint, arXiv:2201.09865), algorithm 1. The going back lets
    the two parts agree; the completion tends to the exact conditional law as the
    repeats grow and the grid gets finer.

    Args: denoise: one example.  schedule: tables [T + 1].  rng: key, or keys [B].
        known: [B, ...].  mask: boolean [...] or [B, ...], True where known.  repeats:
        visits of each stretch of the grid.  jump: its length in steps.  step: by
        default ancestral; one without memory.  ts: integers descending from T to 0.
    Returns: [B, ...] completions, equal to `known` where it is known (data units).
    """
    checks.floating("known", known)
    if mask.dtype != jnp.bool_ or mask.shape not in (known.shape, known.shape[1:]):
        raise ValueError(
            f"expected a boolean mask {known.shape} or {known.shape[1:]}, got "
            f"{mask.dtype} {mask.shape}; True marks what is known"
        )
    step = samplers.ancestral if step is None else step
    ts = samplers.full_grid(schedule) if ts is None else checks.grid(schedule.T, ts)
    path = ts[resampling_path(len(ts), repeats=repeats, jump=jump)]

    def one(rng: Array, known: Array, mask: Array) -> Array:
        x_T, rng = samplers.start(schedule, rng, known.shape)
        move = _known_or(step, known, mask)
        return chain.reverse(samplers.bind(move, denoise, schedule), rng, x_T, path)

    keys = chain.example_keys(rng, known.shape[0])
    return jax.vmap(one)(keys, known, jnp.broadcast_to(mask, known.shape))


def resampling_path(num: int, *, repeats: int, jump: int) -> Array:
    r"""The walk of RePaint over the places of a grid: down, and back up, and down.

        0 1 .. j | j-1 .. 0 | 1 .. j | ... j visited `repeats` times, then on from j

    Lugmayr et al. 2022, published code (their "jump length" and "resampling").

    Args: num: places of the grid, the last one the data.  repeats: visits of each
        stretch.  jump: its length.
    Returns: integers [N], from 0 to num - 1, neighbours differing by 1 (no unit).
    """
    if repeats < 1 or jump < 1:
        raise ValueError(f"expected repeats, jump >= 1, got {repeats}, {jump}")
    path = [0]
    for low in range(0, num - 2, jump):
        high = min(low + jump, num - 2)
        down, up = range(low + 1, high + 1), range(high - 1, low - 1, -1)
        path += [*down, *[*up, *down] * (repeats - 1)]
    return jnp.asarray([*path, num - 1])  # from the data there is no way back up


def _known_or(step: Step, known: Array, mask: Array) -> Step:
    def move(denoise, schedule, x_t, t, s, eps, memory):
        def down() -> Array:
            # Masked and unmasked entries use disjoint entries of eps.
            drawn, _ = step(denoise, schedule, x_t, t, s, eps, None)
            given = process.marginal(schedule, known, jnp.maximum(s, 1))
            noised = given[0] + jnp.sqrt(given[1]) * eps
            return jnp.where(mask, jnp.where(s > 0, noised, known), drawn)

        def up() -> Array:  # t and s swap roles: s is the noisier
            return process.forward(schedule, x_t, eps, s, s=t)

        return jax.lax.cond(s < t, down, up), memory

    return move
