"""A denoising autoencoder seen as what diffusion calls it: noise, score, one step.

`dae` is any function x -> x_hat; the exact one of a finite data set is
`core.oracle.finite_dae`, and many steps are `core.oracle.attract`.
"""

from collections.abc import Callable

import chex
import jax.numpy as jnp

from diffjax.core import checks
from diffjax.types import Array

Dae = Callable[[Array], Array]
"""x [...] -> its reconstruction [...]."""


def predicted_noise(dae: Dae, x: Array) -> Array:
    r"""What a denoising autoencoder takes away is what noise it believes to see.

        eps_hat = x - DAE(x) = E[ x - x_i | x ]

    Slides "Towards Diffusion Models", "Update". In data units: `ddpm` divides by sigma.

    Args: dae: trained with Gaussian noise.  x: [...].
    Returns: [...] (data units).
    """
    x_hat = dae(x)
    chex.assert_equal_shape([x, x_hat])
    return x - x_hat


def score(dae: Dae, x: Array, *, sigma: float) -> Array:
    r"""The slope of the log density of the noisy data (Tweedie).

        grad log p_sigma(x) = (DAE(x) - x) / sigma^2

    Alain & Bengio 2014 (arXiv:1211.4246), theorem 1, here exact at any sigma.

    Args: dae: the best for noise of sigma.  x: [...].  sigma: > 0, data units.
    Returns: [...] nats per data unit.
    """
    if checks.is_concrete(sigma) and not sigma > 0:
        raise ValueError(f"expected sigma > 0, got {sigma}")
    return -predicted_noise(dae, x) / jnp.square(sigma)


def denoising_step(dae: Dae, x: Array, *, eta: float) -> Array:
    r"""A small step against the predicted noise: towards the data's manifold.

        x' = x - eta (x - DAE(x)) = (1 - eta) x + eta DAE(x)

    Slides "Towards Diffusion Models", "Update". With the best DAE and 0 < eta < 2 no
    step lowers p_sigma; samplers of `ddpm` lower sigma on the way.

    Args: dae: x -> x_hat.  x: [...].  eta: step size.
    Returns: [...] (data units).
    """
    return x - eta * predicted_noise(dae, x)
