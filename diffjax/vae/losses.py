"""Training losses of a VAE: scalars, nats per example, the mean over a batch.

    loss            is
    elbo_loss       distortion + beta rate; the -ELBO with beta = 1
    free_bits_loss  -ELBO, but a group of latents may spend lam nats for nothing
    sigma_vae_loss  -ELBO of a Gaussian decoder with the best sigma of the batch

Those of a tighter bound are in `importance`. All take (encode, decode, rng, x). What
they weight never touches a reported `Bound`.
"""

import jax
import jax.numpy as jnp

from diffjax.core import chain, checks, gaussian
from diffjax.core.annealing import batch_mean
from diffjax.types import Array
from diffjax.vae import likelihood as _likelihood
from diffjax.vae.decoders import Likelihood, bernoulli
from diffjax.vae.likelihood import Decode, Encode


def elbo_loss(
    encode: Encode,
    decode: Decode,
    rng: Array,
    x: Array,
    *,
    likelihood: Likelihood = bernoulli,
    beta: float | Array = 1.0,
) -> Array:
    r"""Minus the bound, with the rate weighted.

        L = E [ -log p(x | z) ] + beta KL(q(z | x) || p(z))

    Lecture 02 (VAE), theorem 1; Higgins et al. 2017 (beta-VAE). Let beta grow with
    `warm_up` for KL annealing.

    Args: encode, decode: one example.  rng: key, or keys [B].  x: [B, ...].
        likelihood: log p(x | z) of one example.  beta: [] >= 0, weight of the rate.
    Returns: [] nats per example.
    """
    if checks.is_concrete(beta) and not beta >= 0:
        raise ValueError(f"expected beta >= 0, got {beta}")
    terms = _likelihood.bound(encode, decode, rng, x, likelihood=likelihood)
    return jnp.mean(terms.distortion + beta * terms.rate)


def free_bits_loss(
    encode: Encode,
    decode: Decode,
    rng: Array,
    x: Array,
    *,
    lam: float,
    groups: int = 1,
    likelihood: Likelihood = bernoulli,
    axis_name: str | None = None,
) -> Array:
    r"""Minus the bound, where every group of latents may spend some nats for nothing.

        L = E [ -log p(x | z) ] + sum_g max( lam, E_batch KL_g )

    Kingma et al. 2016 (IAF, arXiv:1606.04934), "free bits".

    Args: encode, decode, rng, x, likelihood: as for `elbo_loss`.  lam: nats that a
        group may spend.  groups: equal parts of the latent, in its order.  axis_name:
        of the devices among which the batch is split.
    Returns: [] nats per example.
    """

    def of_example(rng: Array, x: Array) -> tuple[Array, Array]:
        mean, log_var, z = _likelihood.draw(encode, rng, x)
        return likelihood(x, decode(z)), grouped_kl(mean, log_var, groups=groups)

    keys = chain.example_keys(rng, x.shape[0])
    reconstruction, divergences = jax.vmap(of_example)(keys, x)
    rate = free_bits(divergences, lam=lam, axis_name=axis_name)
    return rate - jnp.mean(reconstruction)


def grouped_kl(mean: Array, log_var: Array, *, groups: int) -> Array:
    r"""The divergence of each part of a latent from the prior.

        KL_g = KL( q(z_g | x) || N(0, I) ),    sum_g KL_g = KL

    Args: mean, log_var: [...], d entries.  groups: equal parts, in the order of z.
    Returns: [groups] nats.
    """
    if groups < 1 or mean.size % groups:
        raise ValueError(
            f"expected groups to divide the {mean.size} latents, got {groups}"
        )
    log_var = jnp.broadcast_to(log_var, mean.shape)
    parts = (v.reshape(groups, -1) for v in (mean, log_var))
    return jax.vmap(gaussian.kl_standard)(*parts)


def free_bits(divergences: Array, *, lam: float, axis_name: str | None = None) -> Array:
    r"""A rate that nothing is gained by lowering below lam in any group.

        sum_g max( lam, E_batch KL_g )

    Kingma et al. 2016; the mean over the whole batch first, then the maximum.

    Args: divergences: [B, G] nats.  lam: nats, >= 0.  axis_name: of the devices among
        which the batch is split.
    Returns: [] nats per example.
    """
    if lam < 0:
        raise ValueError(f"expected lam >= 0 nats, got {lam}")
    mean = batch_mean(divergences, axis_name=axis_name)
    return jnp.sum(jnp.maximum(mean, lam))


def sigma_vae_loss(
    encode: Encode,
    decode: Decode,
    rng: Array,
    x: Array,
    *,
    axis_name: str | None = None,
) -> Array:
    r"""Minus the bound of a Gaussian decoder at the best sigma for this batch.

        L = D/2 [ log(2 pi sigma*^2) + 1 ] + E KL,    sigma*^2 = E ||x - mean||^2 / D

    Rybkin et al. 2021 (sigma-VAE, arXiv:2006.13202). To report a bound, take sigma from
    the training data: `gaussian_moments` with `optimal_log_var`.

    Args: encode, rng, x: as for `elbo_loss`.  decode: one example, z -> mean.
        axis_name: of the devices among which the batch is split.
    Returns: [] nats per example.
    """

    def of_example(rng: Array, x: Array) -> tuple[Array, Array]:
        mean, log_var, z = _likelihood.draw(encode, rng, x)
        return decode(z), gaussian.kl_standard(mean, log_var)

    keys = chain.example_keys(rng, x.shape[0])
    mean, rate = jax.vmap(of_example)(keys, x)
    log_var = optimal_log_var(x, mean, axis_name=axis_name)
    return 0.5 * x[0].size * (jnp.log(2 * jnp.pi) + log_var + 1) + jnp.mean(rate)


def optimal_log_var(x: Array, mean: Array, *, axis_name: str | None = None) -> Array:
    r"""The variance of a Gaussian decoder that makes the data most likely.

        sigma*^2 = 1 / (B D) sum ||x - mean||^2

    Rybkin et al. 2021.

    Args: x, mean: [B, ...].  axis_name: of the devices among which the batch is split.
    Returns: [] log sigma*^2 (of data units squared).
    """
    squares = jnp.square(x - mean).reshape(-1)
    return jnp.log(batch_mean(squares, axis_name=axis_name))
