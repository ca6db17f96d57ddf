"""The discrete VAE whose encoder is a law over codes, relaxed to be differentiable."""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from diffjax.core import categorical, chain, checks
from diffjax.core.bounds import Bound
from diffjax.types import Array
from diffjax.vq.codebook import straight_through
from diffjax.vq.likelihood import Decode, Likelihood, LogPrior

Relax = Callable[[Array, Array, Array], Array]
"""(logits [..., K], gumbel [..., K], temperature []) -> weights [..., K]."""
Anneal = Callable[[Array], Array]
"""step [] -> temperature, or weight of the KL, []."""


def relaxed(logits: Array, gumbel: Array, temperature: Array) -> Array:
    r"""A draw of a category, softened: one-hot as the temperature goes to 0.

        y = softmax( (log q + g) / tau ),    g ~ Gumbel(0, 1)

    Jang et al. 2016 (arXiv:1611.01144), eq. 2; Maddison et al. 2016 (arXiv:1611.00712).
    The largest entry is a draw of the categorical law, at any temperature.

    Args: logits, gumbel: [..., K].  temperature: [], positive.
    Returns: [..., K] weights that sum to 1 (no unit).
    """
    if checks.is_concrete(temperature) and not float(temperature) > 0:
        raise ValueError(f"expected temperature > 0, got {temperature}")
    return jax.nn.softmax((categorical.normalise(logits) + gumbel) / temperature)


def hard(logits: Array, gumbel: Array, temperature: Array) -> Array:
    r"""A draw of a category, one-hot, with the gradient of the softened one.

        value onehot(argmax y),    gradient of y

    Jang et al. 2016, section 2.2, "Straight-Through Gumbel-Softmax".

    Args: logits, gumbel, temperature: as for `relaxed`.
    Returns: [..., K] zeros and a one (no unit).
    """
    soft = relaxed(logits, gumbel, temperature)
    chosen = jnp.argmax(logits + gumbel, axis=-1)
    return straight_through(
        soft, jax.nn.one_hot(chosen, soft.shape[-1], dtype=soft.dtype)
    )


def kl_uniform(logits: Array) -> Array:
    r"""What the codes of one example cost under the uniform prior.

        KL(q || U) = sum_i [ log K - H(q_i) ],    0 <= KL <= N log K

    Of the encoder's own logits, not of those divided by a temperature; summed over the
    N positions, per example: a batch has as many as it has examples.

    Args: logits: [..., K], not necessarily normalised.
    Returns: [] nats.
    """
    return categorical.kl(logits, jnp.zeros_like(logits))


def cosine(*, start: float, end: float, steps: int) -> Anneal:
    r"""From one value to another along half a cosine, then constant.

        end + (start - end) (1 + cos(pi min(step / steps, 1))) / 2

    Ramesh et al. 2021 (DALL-E, arXiv:2102.12092): temperature from 1 to 1/16 in 150 000
    steps, weight of the KL from 0 to 6.6 in 5000 (there with losses per pixel).

    Args: start, end: values, not negative.  steps: from the one to the other.
    Returns: step [] -> value [] (no unit).
    """
    if min(start, end) < 0 or steps < 1:
        raise ValueError(
            "expected start >= 0, end >= 0 and steps >= 1, got "
            f"{start}, {end} and {steps}"
        )

    def value(step: Array) -> Array:
        done = jnp.minimum(step / steps, 1)
        return end + (start - end) * (1 + jnp.cos(jnp.pi * done)) / 2

    return value


def exponential(*, rate: float, end: float = 0.5) -> Anneal:
    r"""From 1 down, exponentially, to a floor.

        max(end, exp(-rate step))

    Jang et al. 2016 (arXiv:1611.01144).

    Args: rate: each step, not negative.  end: positive.
    Returns: step [] -> temperature [] (no unit).
    """
    if rate < 0 or end <= 0:
        raise ValueError(f"expected rate >= 0 and end > 0, got {rate} and {end}")
    return lambda step: jnp.maximum(end, jnp.exp(-rate * step))


def constant(value: float) -> Anneal:
    r"""The same at every step.

        value

    Args: value: not negative.
    Returns: step [] -> value [] (no unit).
    """
    if value < 0:
        raise ValueError(f"expected value >= 0, got {value}")
    return lambda step: jnp.asarray(value, jnp.result_type(float))


def whole(step: Array) -> Array:
    r"""The weight of the KL in the bound, at any step.

        1

    Args: step: [].
    Returns: [] weight (no unit).
    """
    return jnp.ones(jnp.shape(step))


def bound(
    encode: Callable[[Array], Array],
    decode: Decode,
    rng: Array,
    x: Array,
    *,
    likelihood: Likelihood,
    log_prior: LogPrior,
) -> Bound:
    r"""The bound of the discrete model itself, with a draw of codes for each example.

        log p(x) >= E_q log p(x | codes) - KL(q(codes | x) || p(codes))
        KL = -H(q) - E_q log p(codes)

    Lecture 02 (VAE), theorem 1. No temperature: the codes are whole. The expectations
    are estimated by the draw, the entropy is exact, and so under `prior.uniform` the
    KL is.

    Args: encode: x [...] -> logits [..., K], one example.  decode: codes -> output, one
        example.  rng: key, or keys [B].  x: [B, ...].  likelihood: (x, output) -> nats.
        log_prior: codes -> nats.
    Returns: Bound of [B], [B, 0], [B]; nats.
    """

    def of_example(rng: Array, x: Array) -> Bound:
        logits = encode(x)
        codes = categorical.draw(logits, draw(rng, logits))
        prior = -log_prior(codes) - categorical.entropy(logits)
        return Bound(likelihood(x, decode(codes)), jnp.zeros(0), prior)

    return jax.vmap(of_example)(chain.example_keys(rng, x.shape[0]), x)


def draw(rng: Array, logits: Array) -> Array:
    r"""Gumbel noise for a choice at each position, its tail exact.

        g = -log(-log u),    u ~ U(0, 1)

    with `mode="high"`: the default of `jax.random` never exceeds 15.94.

    Args: rng: key.  logits: [..., K], only shape and dtype are used; float32 at least.
    Returns: [..., K] (no unit).
    """
    dtype = jnp.promote_types(logits.dtype, jnp.float32)
    return jax.random.gumbel(rng, logits.shape, dtype, mode="high")
