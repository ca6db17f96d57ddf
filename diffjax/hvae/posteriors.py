"""What a ladder's encoder says of a latent, read next to the latent's prior.

Each reading is a pair of functions: the moments of q(z_i | z_{>i}, x), and its KL from
the prior in the form that keeps its digits.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

from diffjax.core import gaussian
from diffjax.core.precision import widen
from diffjax.hvae.layers import Moments
from diffjax.types import Array


class Posterior(NamedTuple):
    """A reading of the encoder's pair.

    moments: (said, prior) -> (mean, log_var) of q, [...].
    kl: (said, prior) -> KL(q || prior) [], nats.
    """

    moments: Callable[[Moments, Moments], Moments]
    kl: Callable[[Moments, Moments], Array]


def residual_moments(said: Moments, prior: Moments) -> Moments:
    r"""A posterior relative to its prior.

        q = N(mean_p + dmean, (sigma_p dsigma)^2)

    Vahdat & Kautz 2020 (NVAE, arXiv:2007.03898), section 3.2.

    Args: said: (dmean, log dsigma^2), [...].  prior: (mean, log_var), [...].
    Returns: (mean, log_var) of q, [...].
    """
    return prior[0] + said[0], prior[1] + said[1]


def residual_kl(said: Moments, prior: Moments) -> Array:
    r"""The divergence of a residual posterior, in which the prior's mean cancels.

        KL = 1/2 sum [ dmean^2 / sigma_p^2 + dsigma^2 - log dsigma^2 - 1 ]

    Vahdat & Kautz 2020, eq. 2.

    Args: as for `residual_moments`.
    Returns: [] nats.
    """
    dmean, dlog_var, log_var_p = widen(said[0], said[1], prior[1])
    return gaussian.kl(dmean, dlog_var + log_var_p, jnp.zeros_like(dmean), log_var_p)


def precision_weighted(said: Moments, prior: Moments) -> Moments:
    r"""The product of what the data says and what the layers above say.

        1 / var = 1 / var_x + 1 / var_p,
        mean = var (mean_x / var_x + mean_p / var_p)

    Sonderby et al. 2016 (ladder VAE, arXiv:1602.02282).

    Args: said: (mean_x, log_var_x), from the data, [...].  prior: (mean, log_var).
    Returns: (mean, log_var) of q, [...].
    """
    (mean_x, log_var_x), (mean_p, log_var_p) = widen(*said), widen(*prior)
    # The share of the prior, a sigmoid: no variance is inverted, however small.
    logit = log_var_x - log_var_p
    share = jax.nn.sigmoid(logit)
    log_var = log_var_x + jax.nn.log_sigmoid(-logit)
    return share * mean_p + (1 - share) * mean_x, log_var


ABSOLUTE = Posterior(lambda said, prior: said, lambda q, p: gaussian.kl(*q, *p))
RESIDUAL = Posterior(residual_moments, residual_kl)
PRECISION = Posterior(
    precision_weighted,
    lambda said, prior: gaussian.kl(*precision_weighted(said, prior), *prior),
)
