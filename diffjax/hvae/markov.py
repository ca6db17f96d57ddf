"""The Markov HVAE: a stack of VAEs, the encoder climbing from the data upwards.

    q(z_1..L | x) = q(z_1 | x) prod_{i=2}^L q(z_i | z_{i-1})
    p(x, z_1..L) = p(x | z_1) prod_{i=2}^L p(z_{i-1} | z_i) p(z_L),    p(z_L) = N(0, I)

    encode.at(i, z_{i-1}) -> (mean, log_var) of z_i,        z_0 = x
    decode.at(i, z_i)     -> (mean, log_var) of z_{i-1};    layer 1: decoded, of x

The lecture's product over p(z_{i-1} | z_i) starts at i = 1, which would count
p(x | z_1) twice; its bound, and this module, start at i = 2.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from diffjax.core import chain, gaussian
from diffjax.core.bounds import Bound
from diffjax.hvae.layers import (
    Index,
    Latent,
    Layers,
    Noise,
    agree,
    common_loop,
    latent,
    standard_noise,
    temperatures,
)
from diffjax.types import Array

Likelihood = Callable[[Array, Any], Array]
"""(x [...], decoded) -> log p(x | z) [], nats."""
Draw = Callable[[Array, Any], Any]
"""(rng, decoded) -> x [...], one example."""


def terms(
    encode: Layers, decode: Layers, noise: Noise, x: Array, *, likelihood: Likelihood
) -> Bound:
    r"""The bound of one example as a function of its noise, each latent on its own.

        reconstruction   log p(x | z_1)
        divergences_i    log q(z_i | z_{i-1}) - log p(z_i | z_{i+1}),    i = 1..L-1
        prior            KL( q(z_L | z_{L-1}) || p(z_L) )

    Lecture 02 (VAE), "From VAE to Hierarchical VAEs", the bound, its factors grouped
    by latent: both densities of a term are of one variable, so that it has no unit and
    no new scale of z_i changes it. The lecture's own pairs, q(z_i | z_{i-1}) with
    p(z_{i-1} | z_i), compare densities of two variables. An inner divergence is an
    estimate, and no local KL: even its expectation can be negative. The top one is a
    KL in closed form; it is all there is if L = 1.

    Args: encode, decode: Layers.  noise: a `Noise`.  x: [...].  likelihood: of x.
    Returns: Bound of [], [L - 1], []; nats.
    """
    reconstruction, divergences, top = _climb(encode, decode, noise, x, likelihood)
    return Bound(reconstruction, divergences, gaussian.kl_standard(*top.moments))


def log_weight(
    encode: Layers, decode: Layers, noise: Noise, x: Array, *, likelihood: Likelihood
) -> Array:
    r"""What one draw of all the latents says of the evidence.

        log w = log p(x, z_1..L) - log q(z_1..L | x),    E_q w = p(x)

    Burda et al. 2015 (IWAE, arXiv:1509.00519); constant if q is the posterior.

    Args: as for `terms`.
    Returns: [] nats.
    """
    reconstruction, divergences, top = _climb(encode, decode, noise, x, likelihood)
    return (
        reconstruction
        - jnp.sum(divergences)
        - top.log_q
        + gaussian.log_prob_standard(top.z)
    )


def bound(
    encode: Layers, decode: Layers, rng: Array, x: Array, *, likelihood: Likelihood
) -> Bound:
    r"""Every term of the bound, estimated with one draw of the latents an example.

        log p(x) >= E_q[ log p(x | z_1) + sum_{i=2}^L log p(z_{i-1} | z_i) + log p(z_L)
                         - log q(z_1 | x) - sum_{i=2}^L log q(z_i | z_{i-1}) ]

    Lecture 02 (VAE), "From VAE to Hierarchical VAEs". The terms are those of `terms`;
    with L = 1 it is the VAE's, draw for draw.

    Args: encode, decode: Layers, of one example.  rng: key, or keys [B].  x: [B, ...].
        likelihood: of x.
    Returns: Bound of [B], [B, L - 1] for z_1..z_{L-1}, [B]; nats.
    """

    def of_example(rng: Array, x: Array) -> Bound:
        noise = standard_noise(rng, encode.L)
        return terms(encode, decode, noise, x, likelihood=likelihood)

    return jax.vmap(of_example)(chain.example_keys(rng, x.shape[0]), x)


def log_weights(
    encode: Layers,
    decode: Layers,
    rng: Array,
    x: Array,
    *,
    num: int,
    likelihood: Likelihood,
) -> Array:
    r"""Importance weights of a batch: their `core.bounds.importance_bound` is IWAE's.

        log w_k = log p(x, z^k) - log q(z^k | x),    z^k ~ q(z | x)

    Burda et al. 2015, eq. 8. Draws are made one after the other: memory does not grow
    with their number.

    Args: as for `bound`.  num: draws of each example.
    Returns: [num, B] nats.
    """

    def of_example(rng: Array, x: Array) -> Array:
        noise = standard_noise(rng, encode.L)
        return log_weight(encode, decode, noise, x, likelihood=likelihood)

    return repeat(of_example, rng, x, num)


def sample(
    decode: Layers,
    rng: Array,
    shape: tuple[int, ...],
    *,
    temperature: Callable[[int], float] = lambda i: 1.0,
    draw: Draw = lambda rng, decoded: decoded,
) -> Any:
    r"""Ancestral samples, from the top down.

        z_L ~ N(0, tau_L^2 I),    z_{i-1} ~ N(mean, tau_{i-1}^2 var),    i = L..2

    Lecture 02 (VAE), "From VAE to Hierarchical VAEs": the generative factorization.

    Args: decode: Layers.  rng: key, or keys [B].  shape: [B, ...] of z_L.
        temperature: (i) -> tau_i >= 0, the scale of z_i's noise; 0 takes means.
        draw: of x from what the decoder says, by default just that.
    Returns: [B, ...] samples (data units, or what `draw` makes).
    """
    tau = temperatures(temperature, decode.L)

    def one(rng: Array) -> Any:
        of_latents, of_data = jax.random.split(rng)

        def noise(i: Index, mean: Array) -> Array:
            eps = standard_noise(of_latents, decode.L)(i, mean)
            return tau[i].astype(eps.dtype) * eps

        def descend(z: Array, i: Index) -> tuple[Array, Array]:
            return latent(decode.at(i, z), noise, i - 1).z, jnp.zeros(())

        z_L = noise(decode.L, jnp.zeros(shape[1:]))
        z_1, _ = decode.loop(descend, z_L, range(decode.L, 1, -1))
        return draw(of_data, decode.at(1, z_1))

    return jax.vmap(one)(chain.example_keys(rng, shape[0]))


def repeat(
    one: Callable[[Array, Array], Array], rng: Array, x: Array, num: int
) -> Array:
    r"""Many draws of one quantity for every example, one after the other.

        one(fold_in(rng_b, k), x_b),    k = 0..num-1

    Args: one: (rng, x [...]) -> [].  rng: key, or keys [B].  x: [B, ...].  num: draws.
    Returns: [num, B], in the unit of `one`.
    """
    if num < 1:
        raise ValueError(f"expected num >= 1, got {num}; it is the number of draws")
    keys = chain.example_keys(rng, x.shape[0])

    def of_draw(k: Array) -> Array:
        return jax.vmap(lambda rng, x: one(jax.random.fold_in(rng, k), x))(keys, x)

    return jax.lax.map(of_draw, jnp.arange(num))


def _climb(
    encode: Layers, decode: Layers, noise: Noise, x: Array, likelihood: Likelihood
) -> tuple[Array, Array, Latent]:
    """log p(x | z_1), the inner log ratios [L - 1], and the top latent."""
    loop = common_loop(encode, decode)
    bottom = latent(encode.at(1, x), noise, 1)

    def layer(below: Latent, i: Index) -> tuple[Latent, Array]:
        above = latent(encode.at(i, below.z), noise, i)
        p = decode.at(i, above.z)
        agree("z_(i-1)", below.moments, p)
        return above, below.log_q - gaussian.log_prob(below.z, *p)

    top, divergences = loop(layer, bottom, range(2, encode.L + 1))
    return likelihood(x, decode.at(1, bottom.z)), divergences, top
