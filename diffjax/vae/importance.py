"""Training on the importance-weighted bound: scalars, nats per example, a batch's mean.

    loss                 is -L_k, its gradient made of
    iwae_loss            every draw, by its weight
    resampled_iwae_loss  a few draws, picked by their weights
    dreg_loss            every draw, but 0 for the encoder of the exact posterior

All take (encode, decode, rng, x).
"""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp

from diffjax.core import chain, gaussian
from diffjax.core.bounds import importance_bound
from diffjax.types import Array
from diffjax.vae import likelihood as _likelihood
from diffjax.vae.decoders import Likelihood, bernoulli
from diffjax.vae.likelihood import Decode, Encode, Gaussian


def iwae_loss(
    encode: Encode,
    decode: Decode,
    rng: Array,
    x: Array,
    *,
    num: int,
    likelihood: Likelihood = bernoulli,
) -> Array:
    r"""Minus the importance-weighted bound, with its own gradient.

        L = -E log 1/k sum_j w_j,    grad = -E sum_j w~_j grad log w_j,
        w~_j = w_j / sum_i w_i

    Burda et al. 2015 (IWAE, arXiv:1509.00519), section 3. k = 1 is the ELBO.

    Args: encode, decode, rng, x, likelihood: as for `losses.elbo_loss`.  num: k, draws
        of z for each example.
    Returns: [] nats per example.
    """

    def of_example(rng: Array, x: Array) -> Array:
        posterior = encode(x)
        eps = _noise(rng, posterior, num)
        return importance_bound(_log_weights(decode, posterior, x, eps, likelihood))

    keys = chain.example_keys(rng, x.shape[0])
    return -jnp.mean(jax.vmap(of_example)(keys, x))


def resampled_iwae_loss(
    encode: Encode,
    decode: Decode,
    rng: Array,
    x: Array,
    *,
    num: int,
    kept: int,
    likelihood: Likelihood = bernoulli,
) -> Array:
    r"""Minus the importance-weighted bound, its gradient by a few of the draws.

        grad = -E 1/m sum_i grad log w_{j_i},    j_1 .. j_m ~ w~, systematically

    of which value and expected gradient are those of `iwae_loss`, since E [how often j
    is picked] = m w~_j. All k draws are decoded, m of them a second time, and only
    these backwards: with m much less than k, little more than the work of one forward
    pass.

    Args: as for `iwae_loss`, and kept: m, draws that the gradient is made of.
    Returns: [] nats per example.
    """
    if kept < 1:
        raise ValueError(f"expected kept >= 1 draws, got {kept}")

    def of_example(rng: Array, x: Array) -> Array:
        posterior = encode(x)
        eps = _noise(rng, posterior, num)
        log_w = _log_weights(decode, posterior, x, eps, likelihood)
        value = jax.lax.stop_gradient(importance_bound(log_w))
        of_pick = jax.random.fold_in(rng, num)  # the draws' own are 0 .. num - 1
        picked = _systematic(of_pick, log_w, kept)
        slope = jnp.mean(_log_weights(decode, posterior, x, eps[picked], likelihood))
        return value + slope - jax.lax.stop_gradient(slope)

    keys = chain.example_keys(rng, x.shape[0])
    return -jnp.mean(jax.vmap(of_example)(keys, x))


def dreg_loss(
    encode: Encode,
    decode: Decode,
    rng: Array,
    x: Array,
    *,
    num: int,
    likelihood: Likelihood = bernoulli,
) -> Array:
    r"""Minus the importance-weighted bound, the encoder's gradient another estimate.

        grad_enc = -E sum_j w~_j^2 (d log w_j / d z_j) (d z_j / d enc)

    and grad_dec as in `iwae_loss`, of which value and expected gradient are the same.
    Tucker et al. 2018 (DReG, arXiv:1810.04152). Near the posterior it has less noise,
    and none at it, while that of `iwae_loss` drowns in noise as k grows.

    Args: as for `iwae_loss`.
    Returns: [] nats per example.
    """

    def of_example(rng: Array, x: Array) -> Array:
        posterior = encode(x)
        eps = _noise(rng, posterior, num)
        fixed = jax.lax.stop_gradient(posterior)
        log_w = _log_weights(decode, fixed, x, eps, likelihood)
        share = jax.lax.stop_gradient(jax.nn.softmax(log_w))
        # The bound's own gradient gives each draw its share; this is the second one.
        moved = jax.vmap(partial(_through_z, posterior))(eps, share)
        return importance_bound(_log_weights(decode, fixed, x, moved, likelihood))

    keys = chain.example_keys(rng, x.shape[0])
    return -jnp.mean(jax.vmap(of_example)(keys, x))


def _noise(rng: Array, posterior: Gaussian, num: int) -> Array:
    if num < 1:
        raise ValueError(f"expected num >= 1 draws, got {num}")
    return _likelihood.latent_noise(rng, posterior[0], jnp.arange(num))


def _log_weights(
    decode: Decode, posterior: Gaussian, x: Array, eps: Array, likelihood: Likelihood
) -> Array:
    def one(eps: Array) -> Array:
        return _likelihood.log_weight(decode, posterior, x, eps, likelihood=likelihood)

    return jax.vmap(one)(eps)


def _systematic(rng: Array, log_w: Array, num: int) -> Array:
    """`num` indices, each as often as its share says, give or take one."""
    below = jnp.cumsum(jax.nn.softmax(jax.lax.stop_gradient(log_w)))
    points = (jnp.arange(num) + jax.random.uniform(rng)) / num
    return jnp.searchsorted(below, points * below[-1], method="compare_all")


def _through_z(posterior: Gaussian, eps: Array, share: Array) -> Array:
    """eps, of which a gradient reaches the posterior by way of z, `share` of it."""
    mean, log_var = posterior
    z = gaussian.reparameterize(mean, log_var, eps)
    return _steered(eps, z, share * jnp.exp(-0.5 * log_var))


@jax.custom_jvp
def _steered(eps: Array, z: Array, slope: Array) -> Array:
    return eps


@_steered.defjvp
def _steered_jvp(primals: Any, tangents: Any) -> tuple[Array, Array]:
    return primals[0], primals[2] * tangents[1]
