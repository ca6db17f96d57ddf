"""The top-down HVAE: prior and posterior of a layer both know all the layers above.

    q(z_1..L | x) = prod_i q(z_i | z_{>i}, x),    p(z_1..L) = prod_i p(z_i | z_{>i})

so that every term of the bound is a Gaussian KL in closed form (ladder VAE, NVAE,
VDVAE). What the layers above left behind is a state h, any pytree:

    h_L = start,    h_{i-1} = merge.at(i, h_i, z_i),    decoded = read(h_0)
    prior.at(i, h_i) -> (mean, log_var)       encode.at(i, h_i, features(x)) -> a pair,
                                              read by `posterior`
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from diffjax.core import chain, gaussian
from diffjax.core.bounds import Bound
from diffjax.hvae.layers import (
    Index,
    Latent,
    Layers,
    Moments,
    Noise,
    agree,
    common_loop,
    latent,
    standard_noise,
    temperatures,
)
from diffjax.hvae.markov import Draw, Likelihood, repeat
from diffjax.hvae.posteriors import ABSOLUTE, Posterior
from diffjax.types import Array

Features = Callable[[Array], Any]
"""x [...] -> what the encoder reads of it, made once for all layers."""


class Ladder(NamedTuple):
    """The generative half, from the top down.

    start: h_L, the state above the top layer.
    prior: Layers, (i, h_i) -> (mean, log_var) of p(z_i | z_{>i}).
    merge: Layers, (i, h_i, z_i) -> h_{i-1}.
    read: h_0 -> decoded.
    """

    start: Any
    prior: Layers
    merge: Layers
    read: Callable[[Any], Any]


def terms(
    encode: Layers,
    decode: Ladder,
    noise: Noise,
    x: Array,
    *,
    likelihood: Likelihood,
    posterior: Posterior = ABSOLUTE,
    features: Features = lambda x: x,
) -> Bound:
    r"""The bound of one example as a function of its noise.

        reconstruction   log p(x | z)
        divergences_i    KL( q(z_i | z_{>i}, x) || p(z_i | z_{>i}) ),    i = 1..L-1
        prior            KL( q(z_L | x) || p(z_L) )

    Sonderby et al. 2016 (ladder VAE, arXiv:1602.02282); Child 2021 (VDVAE,
    arXiv:2011.10650).

    Args: encode: Layers, (i, h_i, features) -> a pair.  decode: Ladder.  noise: a
        `Noise`.  x: [...].  likelihood: of x.  posterior: what the pair means:
        ABSOLUTE, RESIDUAL, PRECISION.  features: of x.
    Returns: Bound of [], [L - 1], []; nats.
    """

    def kl(q: Latent, said: Moments, p: Moments) -> Array:
        return posterior.kl(said, p)

    h, kls = _descend(encode, decode, noise, features(x), posterior, kl)
    return Bound(likelihood(x, decode.read(h)), kls[:-1], kls[-1])


def log_weight(
    encode: Layers,
    decode: Ladder,
    noise: Noise,
    x: Array,
    *,
    likelihood: Likelihood,
    posterior: Posterior = ABSOLUTE,
    features: Features = lambda x: x,
) -> Array:
    r"""What one draw of all the latents says of the evidence.

        log w = log p(x, z_1..L) - log q(z_1..L | x),    E_q w = p(x)

    Burda et al. 2015 (IWAE, arXiv:1509.00519); constant if q is the posterior.

    Args: as for `terms`.
    Returns: [] nats.
    """

    def ratio(q: Latent, said: Moments, p: Moments) -> Array:
        return q.log_q - gaussian.log_prob(q.z, *p)

    h, ratios = _descend(encode, decode, noise, features(x), posterior, ratio)
    return likelihood(x, decode.read(h)) - jnp.sum(ratios)


def bound(
    encode: Layers,
    decode: Ladder,
    rng: Array,
    x: Array,
    *,
    likelihood: Likelihood,
    posterior: Posterior = ABSOLUTE,
    features: Features = lambda x: x,
) -> Bound:
    r"""Every term of the bound, estimated with one draw of the latents an example.

        log p(x) >= E_q[ log p(x | z) - sum_{i<L} KL(q(z_i | z_{>i}, x) || p) ]
                    - KL(q(z_L | x) || p(z_L))

    Sonderby et al. 2016; Child 2021.

    Args: as for `terms`, of one example, but rng: key, or keys [B].  x: [B, ...].
    Returns: Bound of [B], [B, L - 1] for z_1..z_{L-1}, [B]; nats.
    """

    def of_example(rng: Array, x: Array) -> Bound:
        return terms(
            encode,
            decode,
            standard_noise(rng, encode.L),
            x,
            likelihood=likelihood,
            posterior=posterior,
            features=features,
        )

    return jax.vmap(of_example)(chain.example_keys(rng, x.shape[0]), x)


def log_weights(
    encode: Layers,
    decode: Ladder,
    rng: Array,
    x: Array,
    *,
    num: int,
    likelihood: Likelihood,
    posterior: Posterior = ABSOLUTE,
    features: Features = lambda x: x,
) -> Array:
    r"""Importance weights of a batch: their `core.bounds.importance_bound` is IWAE's.

        log w_k = log p(x, z^k) - log q(z^k | x),    z^k ~ q(z | x)

    Burda et al. 2015, eq. 8.

    Args: as for `bound`.  num: draws of each example, one after the other.
    Returns: [num, B] nats.
    """

    def of_example(rng: Array, x: Array) -> Array:
        return log_weight(
            encode,
            decode,
            standard_noise(rng, encode.L),
            x,
            likelihood=likelihood,
            posterior=posterior,
            features=features,
        )

    return repeat(of_example, rng, x, num)


def sample(
    decode: Ladder,
    rng: Array,
    num: int,
    *,
    temperature: Callable[[int], float] = lambda i: 1.0,
    draw: Draw = lambda rng, decoded: decoded,
) -> Any:
    r"""Ancestral samples, from the top down.

        z_i ~ N(mean, tau_i^2 var) of p(z_i | z_{>i}),    i = L..1

    Child 2021; a temperature below 1 makes samples more regular.

    Args: decode: Ladder.  rng: key, or keys [num].  num: samples.  temperature: (i)
        -> tau_i >= 0, the scale of z_i's noise; 0 takes means.  draw: of x
        from what the decoder says, by default just that.
    Returns: [num, ...] samples (data units, or what `draw` makes).
    """
    loop = common_loop(decode.prior, decode.merge)
    tau = temperatures(temperature, decode.prior.L)

    def one(rng: Array) -> Any:
        of_latents, of_data = jax.random.split(rng)

        def noise(i: Index, mean: Array) -> Array:
            eps = standard_noise(of_latents, decode.prior.L)(i, mean)
            return tau[i].astype(eps.dtype) * eps

        def layer(h: Any, i: Index) -> tuple[Any, Array]:
            z = latent(decode.prior.at(i, h), noise, i).z
            return decode.merge.at(i, h, z), jnp.zeros(())

        h, _ = loop(layer, decode.start, range(decode.prior.L, 0, -1))
        return draw(of_data, decode.read(h))

    return jax.vmap(one)(chain.example_keys(rng, num))


def _descend(
    encode: Layers,
    decode: Ladder,
    noise: Noise,
    seen: Any,
    posterior: Posterior,
    compare: Callable[[Latent, Moments, Moments], Array],
) -> tuple[Any, Array]:
    """h_0, and what `compare` makes of z_i, the encoder's pair and p, [L]."""
    common_loop(encode, decode.merge)
    loop = common_loop(encode, decode.prior)

    def layer(h: Any, i: Index) -> tuple[Any, Array]:
        p, said = decode.prior.at(i, h), encode.at(i, h, seen)
        agree("z_i", said, p)
        q = latent(posterior.moments(said, p), noise, i)
        return decode.merge.at(i, h, q.z), compare(q, said, p)

    h, told = loop(layer, decode.start, range(encode.L, 0, -1))
    return h, jnp.flip(told)
