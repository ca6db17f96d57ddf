"""What a decoder's output means: the likelihood p(x | z) of one example, in nats.

A `Likelihood` takes the data and what the decoder said, (x, decoded) -> []. Values
that have no probability at all (category 256 of 256, a grey level for a bit) raise
where they can be seen, and are NaN under jit and vmap.
"""

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
import numpy as np

from diffjax.core import categorical as _categorical
from diffjax.core import checks, gaussian, likelihoods
from diffjax.types import Array

Likelihood = Callable[[Array, Any], Array]
"""(x [...], decoded: any pytree) -> log p(x | z) [] nats."""


def bernoulli(x: Array, logits: Array) -> Array:
    r"""Bits: the decoder says the logit of each being 1.

        log p(x | z) = sum [ x l - log(1 + exp l) ]

    Kingma & Welling 2013 (arXiv:1312.6114), appendix C.1. Grey levels on [0, 1] are no
    bits: binarise them, or use `categorical`.

    Args: x: [...], 0 or 1 (of any dtype).  logits: [...].
    Returns: [] nats.
    """
    is_bit = (x == 0) | (x == 1)
    if checks.is_concrete(x) and not np.all(is_bit):
        raise ValueError(
            f"expected bits x in {{0, 1}}, got values from {jnp.min(x)} to "
            f"{jnp.max(x)}; binarise them, or give a likelihood of levels or reals"
        )
    return jnp.where(jnp.all(is_bit), likelihoods.bernoulli(x, logits), jnp.nan)


def categorical(x: Array, logits: Array) -> Array:
    r"""Categories, for example 256 grey levels: the decoder says every logit.

        log p(x | z) = sum [ l_x - log sum_k exp l_k ]

    Lecture 02 (AE), the categorical loss, with its minus sign outside.

    Args: x: integer [...], 0..K-1.  logits: [..., K].
    Returns: [] nats.
    """
    return likelihoods.categorical(_levels(x, logits.shape[-1]), logits)


def gaussian_with(sigma: float) -> Likelihood:
    r"""Real values around the decoder's mean, one deviation given for all.

        log p(x | z) = -||x - mean||^2 / (2 sigma^2) - D/2 log(2 pi sigma^2)

    Lecture 02 (VAE), "Gaussian VAE", with the constant it drops: without it the best
    sigma would be infinite.

    Args: sigma: > 0.
    Returns: (x [...], mean [...]) -> [] nats.
    """
    if checks.is_concrete(sigma) and not sigma > 0:
        raise ValueError(f"expected sigma > 0, got {sigma}")
    log_var = 2 * jnp.log(jnp.asarray(sigma))
    return lambda x, mean: gaussian.log_prob(x, mean, log_var)


def gaussian_moments(x: Array, decoded: tuple[Array, Array]) -> Array:
    r"""Real values; the decoder says the mean and the variance, shared or of each.

        log p(x | z) = -1/2 sum [ log(2 pi var) + (x - mean)^2 / var ]

    Lecture 02 (VAE), "Gaussian VAE", where sigma is learned too: by a decoder
    `with_log_sigma`, or of each dimension by one whose output `halves` splits.

    Args: x: [...].  decoded: mean [...], log_var [...], or [] for one sigma.
    Returns: [] nats.
    """
    mean, log_var = decoded
    return gaussian.log_prob(x, mean, log_var)


def discretized_logistic(*, levels: int = 256) -> Likelihood:
    r"""Levels under a logistic law cut into bins, for grey images.

        log p(x | z) = sum log int_bin logistic(u; mean, s) du

    Kingma et al. 2016 (IAF, arXiv:1606.04934).

    Args: levels: how many.
    Returns: (x integer [...], (mean [...], log_scale [...] or [])) -> [] nats.
    """

    def log_prob(x: Array, decoded: tuple[Array, Array]) -> Array:
        level, (mean, log_scale) = _levels(x, levels), decoded
        value = likelihoods.discretized_logistic(level, mean, log_scale, levels=levels)
        return _categorical.guard(value, level, levels)

    return log_prob


def logistic_mixture(*, levels: int = 256) -> Likelihood:
    r"""RGB levels under a mixture of logistics whose channels know each other.

        log p(x | z) = sum_pixels log sum_m w_m prod_c p_logistic(x_c; mean_mc, s_mc)

    Salimans et al. 2017 (PixelCNN++, arXiv:1701.05517), eqs. 1-3; the channels of the
    decoder's output are in the order of `core.likelihoods`.

    Args: levels: how many.
    Returns: (x integer [..., 3], params [..., 10 M]) -> [] nats.
    """

    def log_prob(x: Array, params: Array) -> Array:
        level = _levels(x, levels)
        value = likelihoods.discretized_logistic_mixture(level, params, levels=levels)
        return _categorical.guard(value, level, levels)

    return log_prob


def _levels(x: Array, K: int) -> Array:
    _categorical.tokens("x", x, K)
    return x.astype(jnp.int32)  # so that 256 is a number, even for bytes
