"""What an encoder does to a whole data set: q(z), blurry means, latents left unused.

The encoder enters as its moments, `means` and `log_vars` [N, ...], of N examples.
"""

import jax
import jax.numpy as jnp

from diffjax.core import gaussian
from diffjax.types import Array


def aggregate_log_prob(means: Array, log_vars: Array, z: Array) -> Array:
    r"""Log density of the aggregate posterior, what the prior should look like.

        log q(z) = log 1/N sum_i q(z | x_i)

    Lecture 02 (VAE), where q(x | z) must be normalised by it and not by the prior.

    Args: means, log_vars: [N, ...].  z: [...].
    Returns: [] nats.
    """
    log_q = _log_each(means, log_vars, z)
    return jax.nn.logsumexp(log_q) - jnp.log(log_q.shape[0])


def source_log_prob(means: Array, log_vars: Array, z: Array) -> Array:
    r"""Which example a latent came from.

        q(x_i | z) = q(z | x_i) / sum_j q(z | x_j)

    Lecture 02 (VAE), "Drawbacks of Standard VAE".

    Args: means, log_vars: [N, ...].  z: [...].
    Returns: [N] log probabilities, nats.
    """
    return jax.nn.log_softmax(_log_each(means, log_vars, z))


def blurry_mean(means: Array, log_vars: Array, x: Array, z: Array) -> Array:
    r"""The best decoder of a Gaussian VAE for a fixed encoder: an average of images.

        mean*(z) = E_data[ q(z | x) x ] / E_data[ q(z | x) ]

    Lecture 02 (VAE), "Drawbacks of Standard VAE": where encodings overlap, samples are
    blurry.

    Args: means, log_vars: [N, ...], the encodings of x.  x: [N, ...].  z: [...].
    Returns: [...] (data units).
    """
    weights = jnp.exp(source_log_prob(means, log_vars, z))
    return jnp.tensordot(weights, x, 1)


def index_information(means: Array, log_vars: Array, z: Array) -> Array:
    r"""How much a latent tells of which example it came from; the rest of the rate.

        I(i; z) = E [ log q(z | x_i) - log q(z) ],
        E KL(q(z | x) || p(z)) = I(i; z) + KL(q(z) || p(z))

    Hoffman & Johnson 2016 ("ELBO surgery"). Between 0 (collapse) and log N.

    Args: means, log_vars: [N, ...].  z: [N, ...], one draw from each posterior.
    Returns: [] nats.
    """

    def each(i: Array, z: Array) -> Array:
        return source_log_prob(means, log_vars, z)[i]

    num = means.shape[0]
    return jnp.mean(jax.vmap(each)(jnp.arange(num), z)) + jnp.log(num)


def active_units(means: Array, *, threshold: float = 0.01) -> Array:
    r"""The latents that say something about the data; the others have collapsed.

        A_j = Var_x( E_{q(z|x)} z_j ) > threshold

    Burda et al. 2015 (IWAE, arXiv:1509.00519).

    Args: means: [N, ...] of the posteriors, N >= 2.  threshold: of the variance, >= 0.
    Returns: boolean [...] (no unit).
    """
    if means.shape[0] < 2:
        raise ValueError(f"expected the means of 2 examples or more, got {len(means)}")
    if threshold < 0:
        raise ValueError(f"expected threshold >= 0, got {threshold}")
    return jnp.var(means, axis=0) > threshold


def _log_each(means: Array, log_vars: Array, z: Array) -> Array:
    return jax.vmap(gaussian.log_prob, in_axes=(None, 0, 0))(z, means, log_vars)
