"""A VAE whose prior is a model of its own, trained on the latents of a frozen encoder.

    scaling = vae.composed.standardizing(mean, log_var)        of many encodings
    vae.composed.bound(encode, decode, rng, x, scaling=scaling, prior=...)

with a `prior` such as `lambda rng, u: ddpm.bound(denoise, schedule, rng, u,
decoder=ddpm.likelihood.gaussian_decoder())`: latent diffusion, and its likelihood.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

from diffjax.core import bounds, chain, gaussian
from diffjax.core.bounds import Bound
from diffjax.types import Array
from diffjax.vae.decoders import Likelihood, bernoulli
from diffjax.vae.likelihood import Decode, Encode, log_prob_of_noise

Prior = Callable[[Array, Array], Bound]
"""(keys [B], u [B, ...]) -> a bound on the log density of u: [B], [B, L], [B]; nats."""


class Scaling(NamedTuple):
    """How the prior sees a latent: u = (z - shift) / scale.

    shift: [C] for the last axis of z, or [].
    scale: [C] or [], > 0.
    """

    shift: Array
    scale: Array


def standardizing(mean: Array, log_var: Array) -> Scaling:
    r"""The scaling that gives u mean 0 and variance 1 in every channel.

        shift = E mean,    scale^2 = E [ var + (mean - shift)^2 ]

    The moments of the aggregate posterior, without drawing from it; all positions of a
    channel have the same. Rombach et al. 2022 (arXiv:2112.10752), whose published
    factor 0.18215 is one 1 / scale for all channels, and no shift.

    Args: mean, log_var: [N, ..., C] of q(z | x) for N examples.
    Returns: Scaling of [C] (latent units).
    """
    log_var = jnp.broadcast_to(log_var, mean.shape)
    means, variances = (v.reshape(-1, v.shape[-1]) for v in (mean, jnp.exp(log_var)))
    shift = jnp.mean(means, axis=0)
    spread = jnp.mean(variances + jnp.square(means - shift[None]), axis=0)
    return Scaling(shift, jnp.sqrt(spread))


def scaled(scaling: Scaling, z: Array) -> Array:
    r"""A latent as the prior sees it.

        u = (z - shift) / scale

    Args: scaling: Scaling.  z: [..., C].
    Returns: [..., C] (no unit).
    """
    shift, scale = (jnp.broadcast_to(part, z.shape) for part in scaling)
    return (z - shift) / scale


def unscaled(scaling: Scaling, u: Array) -> Array:
    r"""A latent as the decoder sees it: the inverse of `scaled`.

        z = shift + scale u

    Args: scaling: Scaling.  u: [..., C].
    Returns: [..., C] (latent units).
    """
    shift, scale = (jnp.broadcast_to(part, u.shape) for part in scaling)
    return shift + scale * u


def log_volume(scaling: Scaling, shape: tuple[int, ...]) -> Array:
    r"""What a change of units adds to a log density.

        log q(u) = log q(z) + log |dz / du|,    log |dz / du| = sum_i log scale_i

    Args: scaling: Scaling.  shape: of one latent.
    Returns: [] nats.
    """
    return jnp.sum(jnp.log(jnp.broadcast_to(scaling.scale, shape)))


def bound(
    encode: Encode,
    decode: Decode,
    rng: Array,
    x: Array,
    *,
    scaling: Scaling,
    prior: Prior,
    likelihood: Likelihood = bernoulli,
) -> Bound:
    r"""The bound under a prior that has itself a bound; one draw of z for all of it.

        log p(x) >= E_q [ log p(x | z) - log q(u | x) + prior(u).elbo ],
        u = (z - shift) / scale,    log q(u | x) = log q(z | x) + sum log scale

    Both densities are of u, so that no unit of the latents is left: of a VAE with
    latents a z, log variances + 2 log a and a decoder of z / a, all terms are the same.
    Vahdat et al. 2021 (LSGM, arXiv:2106.05931), section 3.

    Args: encode, decode: one example.  rng: key, or keys [B].  x: [B, ...].  scaling:
        Scaling.  prior: Prior, for example `ddpm.bound` with a Gaussian decoder.
        likelihood: log p(x | z) of one example, from what `decode` says.
    Returns: Bound of [B], [B, L + 1], [B]: the first divergence is that of u; nats.
    """

    def of_example(rng: Array, x: Array) -> tuple[Array, Array, Array]:
        mean, log_var = encode(x)
        eps = chain.normal(rng, mean)
        z = gaussian.reparameterize(mean, log_var, eps)
        log_q = log_prob_of_noise(eps, log_var) + log_volume(scaling, z.shape)
        return likelihood(x, decode(z)), log_q, scaled(scaling, z)

    of_latent, of_prior = _two_keys(rng, len(x))
    reconstruction, log_q, u = jax.vmap(of_example)(of_latent, x)
    return bounds.stacked(reconstruction, log_q, prior(of_prior, u))


def _two_keys(rng: Array, num: int) -> tuple[Array, Array]:
    keys = jax.vmap(jax.random.split)(chain.example_keys(rng, num))
    return keys[:, 0], keys[:, 1]
