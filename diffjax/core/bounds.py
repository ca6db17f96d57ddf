"""The one contract of the family: the terms of an ELBO, in nats, per example."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from diffjax.types import Array


class Bound(NamedTuple):
    r"""The terms of an evidence lower bound; nothing that weights a loss touches them.

        log p(x) >= reconstruction - sum_l divergences_l - prior = elbo

    Lecture 02 (VAE), theorem 1; "Diffusion Probabilistic Models" (blog), RV1-RV3.

    reconstruction: [...] E_q log p(x | z_1), nats.
    divergences: [..., L] one KL for each latent layer but the top, nats.
    prior: [...] KL(q(z_L | x) || p(z_L)), nats.
    """

    reconstruction: Array
    divergences: Array
    prior: Array

    @property
    def elbo(self) -> Array:
        """reconstruction - sum(divergences) - prior, [...] nats."""
        return self.reconstruction - self.rate

    @property
    def rate(self) -> Array:
        """sum(divergences) + prior: what the latents cost, [...] nats."""
        return jnp.sum(self.divergences, axis=-1) + self.prior

    @property
    def distortion(self) -> Array:
        """-reconstruction, so that -elbo = rate + distortion, [...] nats."""
        return -self.reconstruction


def stacked(reconstruction: Array, log_q: Array, inner: Bound) -> Bound:
    r"""The bound of a model whose prior is a model with a bound of its own.

        log p(x) >= E_q [ log p(x | z) - log q(z | x) + log p(z) ],
        log p(z) >= inner.elbo

    So z is a layer below those of the inner model, and costs the divergence
    log q(z | x) - inner.reconstruction: for codes the cost of the last step, for a
    density a number that may be negative for one draw. Vahdat et al. 2021 (LSGM,
    arXiv:2106.05931), section 3.

    Args: reconstruction: [...] log p(x | z).  log_q: [...] log q(z | x), 0 where z is
        certain.  inner: Bound of z, [...], [..., L], [...], in the unit of volume of q.
    Returns: Bound of [...], [..., L + 1], [...]; nats.
    """
    own = (log_q - inner.reconstruction)[..., None]
    divergences = jnp.concatenate([own, inner.divergences], axis=-1)
    return Bound(reconstruction, divergences, inner.prior)


def bits_per_dim(nats: Array, num_dims: int) -> Array:
    r"""A code length on the scale on which data sets are compared.

        bits/dim = nats / (D log 2)

    Args: nats: [...], for example -elbo.  num_dims: D, the dimensions of one example.
    Returns: [...] bits per dimension.
    """
    if num_dims < 1:
        raise ValueError(f"expected num_dims >= 1, got {num_dims}; it is x_0.size")
    return nats / (num_dims * jnp.log(2))


def importance_bound(log_w: Array) -> Array:
    r"""The importance-weighted bound; k = 1 is the ELBO.

        L_k = log 1/k sum_i w_i,    w_i = p(x, z_i) / q(z_i | x)

    Burda et al. 2015 (IWAE, arXiv:1509.00519). One bound for each trailing index:
    average over examples after the logarithm, never before.

    Args: log_w: [k, ...] nats.
    Returns: [...] nats.
    """
    return jax.nn.logsumexp(log_w, axis=0) - jnp.log(log_w.shape[0])


def mean_and_standard_error(values: Array) -> tuple[Array, Array]:
    r"""What to print of a quantity estimated on n examples.

        mean = 1/n sum v_i,    s.e. = sqrt( sum (v_i - mean)^2 / (n (n - 1)) )

    Args: values: [n, ...], independent, n >= 2.
    Returns: mean [...], standard error [...], in the unit of values.
    """
    if values.shape[0] < 2:
        raise ValueError(f"expected at least 2 values, got {values.shape[0]}")
    deviation = jnp.std(values, axis=0, ddof=1)
    return jnp.mean(values, axis=0), deviation / jnp.sqrt(values.shape[0])
