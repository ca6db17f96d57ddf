"""Priors over codes. A prior is two functions; a bound asks for the first alone."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

from diffjax.core import categorical
from diffjax.types import Array


class Prior(NamedTuple):
    """A law over the codes of one example, integer [...].

    log_prob: codes -> [] nats; a lower bound on it, as a diffusion has, serves too.
    sample: (rng, shape) -> codes of this shape.
    """

    log_prob: Callable[[Array], Array]
    sample: Callable[[Array, tuple[int, ...]], Array]


def uniform(K: int) -> Prior:
    r"""Every code alike: what a code costs when nothing is known of it.

        log p(codes) = -N log K

    van den Oord et al. 2017 (arXiv:1711.00937), section 3.1. Exact for a point mass:
    KL(q || p) = N log K, a constant of the architecture.

    Args: K: codes.
    Returns: Prior (nats).
    """
    if K < 2:
        raise ValueError(f"expected K >= 2, got {K}; one code alone can say nothing")
    return unigram(jnp.zeros(K))


def unigram(logits: Array) -> Prior:
    r"""Every position by itself, all by one law.

        log p(codes) = sum_i log p_{codes_i}

    With the frequencies of the codes, `logits = categorical.log(counts)`, it is the
    best such prior: E[-log p] = N log perplexity. A code never counted has probability
    zero, and an example with one an infinite rate.

    Args: logits: [K], not necessarily normalised.
    Returns: Prior (nats).
    """
    if logits.ndim != 1 or logits.shape[0] < 2:
        raise ValueError(f"expected logits [K] with K >= 2, got {logits.shape}")
    log_p = categorical.normalise(logits)

    def log_prob(codes: Array) -> Array:
        categorical.tokens("codes", codes, log_p.shape[0])
        each = jnp.broadcast_to(log_p, (*codes.shape, *log_p.shape))
        return jnp.sum(categorical.at(each, codes))

    def sample(rng: Array, shape: tuple[int, ...]) -> Array:
        return jax.random.categorical(rng, log_p, shape=shape, mode="high")

    return Prior(log_prob, sample)


def autoregressive(predict: Callable[[Array], Array]) -> Prior:
    r"""Every position after those before it, in the order of the axes (raster scan).

        log p(codes) = sum_i log p(codes_i | codes_1 .. codes_{i-1})

    van den Oord et al. 2017, section 3.3 (a PixelCNN).

    Args: predict: codes integer [...] -> logits [..., K], those of position i from the
        codes before it alone; for example `lambda c: net.apply(params, c[None])[0]`.
    Returns: Prior (nats).
    """

    def log_prob(codes: Array) -> Array:
        logits = predict(codes)
        categorical.tokens("codes", codes, logits.shape[-1])
        return categorical.log_prob(codes, logits)

    def sample(rng: Array, shape: tuple[int, ...]) -> Array:
        def fill(codes: Array, i: Array) -> tuple[Array, None]:
            logits = predict(codes.reshape(shape))
            logits = logits.reshape(codes.size, logits.shape[-1])[i]
            key = jax.random.fold_in(rng, i)
            code = jax.random.categorical(key, logits, mode="high")
            return codes.at[i].set(code.astype(codes.dtype)), None

        blank = jnp.zeros(shape, jnp.int32).reshape(-1)
        return jax.lax.scan(fill, blank, jnp.arange(blank.size))[0].reshape(shape)

    return Prior(log_prob, sample)
