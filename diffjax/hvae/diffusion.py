"""The DDPM as an HVAE: T latents as large as the data, an encoder without parameters.

What a fixed linear Gaussian encoder adds to the Markov HVAE is that its marginals and
its posteriors are known, so that the bound is again a sum of KLs in closed form, each
with a draw of its own:

    log q(z_1..L | x) = log q(z_L | x) + sum_{i=2}^L log q(z_{i-1} | z_i, x)
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from diffjax.core import chain, gaussian
from diffjax.core.bounds import Bound
from diffjax.core.schedules import Schedule
from diffjax.hvae.layers import (
    Index,
    Layers,
    Moments,
    Noise,
    agree,
    alike,
    latent,
    one_height,
)
from diffjax.hvae.markov import Likelihood
from diffjax.types import Array


class Known(NamedTuple):
    """A Markov encoder, refactored from the top down.

    marginal: (i, x) -> (mean, log_var) of q(z_i | x), i = 1..L.
    posterior: (i, z_i, x) -> (mean, log_var) of q(z_{i-1} | z_i, x), i = 2..L.
    L: layers.
    """

    marginal: Callable[[Index, Array], Moments]
    posterior: Callable[[Index, Array, Array], Moments]
    L: int


def fixed_gaussian_encoder(schedule: Schedule) -> Layers:
    r"""The encoder that makes a Markov HVAE the DDPM: nothing in it is learned.

        q(z_i | z_{i-1}) = N( sqrt(1 - beta_i) z_{i-1}, beta_i I ),    z_0 = x

    Lecture 02 (DDPM), "Forward Process (Fixed Encoder)"; Ho et al. 2020
    (arXiv:2006.11239), eq. 2.

    Args: schedule: tables [T + 1].
    Returns: Layers, L = T of them, all alike.
    """

    def layer(i: Index, z: Array) -> Moments:
        beta = schedule.beta[i]
        return jnp.sqrt(1 - beta) * z, jnp.log(beta)

    return alike(layer, schedule.T)


def fixed_gaussian_posterior(schedule: Schedule) -> Known:
    r"""The same encoder, as seen from the top.

        q(z_i | x) = N( sqrt(ab_i) x, (1 - ab_i) I )
        q(z_{i-1} | z_i, x) = N( (sqrt(ab_{i-1}) beta_i x
            + sqrt(1 - beta_i) (1 - ab_{i-1}) z_i) / (1 - ab_i),
            beta_i (1 - ab_{i-1}) / (1 - ab_i) I )

    Ho et al. 2020, eqs. 4, 6 and 7.

    Args: schedule: tables [T + 1].
    Returns: Known, L = T.
    """
    ab, noise = schedule.alpha_bar, schedule.one_minus_alpha_bar

    def marginal(i: Index, x: Array) -> Moments:
        log_var = jnp.where(ab[i] < 0.5, jnp.log1p(-ab[i]), jnp.log(noise[i]))
        return jnp.sqrt(ab[i]) * x, log_var

    def posterior(i: Index, z: Array, x: Array) -> Moments:
        beta = schedule.beta[i]
        of_x = jnp.sqrt(ab[i - 1]) * beta * x
        mean = (of_x + jnp.sqrt(1 - beta) * noise[i - 1] * z) / noise[i]
        return mean, jnp.log(beta * noise[i - 1] / noise[i])

    return Known(marginal, posterior, schedule.T)


def denoising_decoder(
    denoise: Callable[[Array, Array], Array], schedule: Schedule
) -> Layers:
    r"""The decoder of DDPM: the encoder's posterior, at a guess of x.

        p(z_{i-1} | z_i) = q(z_{i-1} | z_i, x_hat),    x_hat = denoise(z_i, i) = decoded

    Lecture 02 (DDPM), "Reverse Denoising Process"; Ho et al. 2020, section 3.2, with
    the smaller of the two variances.

    Args: denoise: (z_i [...], i []) -> x [...].  schedule: tables [T + 1].
    Returns: Layers, L = T of them; the first says x [...].
    """
    known = fixed_gaussian_posterior(schedule)

    def layer(i: Index, z: Array) -> Moments:
        return known.posterior(i, z, denoise(z, jnp.asarray(i)))

    return alike(layer, schedule.T, first=lambda z: denoise(z, jnp.asarray(1)))


def terms(
    encode: Known, decode: Layers, noise: Noise, x: Array, *, likelihood: Likelihood
) -> Bound:
    r"""The bound of one example, each latent drawn from its marginal.

        reconstruction   log p(x | z_1)
        divergences_i    KL( q(z_i | z_{i+1}, x) || p(z_i | z_{i+1}) ),    i = 1..L-1
        prior            KL( q(z_L | x) || N(0, I) )

    Ho et al. 2020, eq. 5; the blog's RV1-RV3.

    Args: encode: Known.  decode: Layers.  noise: a `Noise`.  x: [...].  likelihood:
        of x.
    Returns: Bound of [], [L - 1], []; nats.
    """
    one_height(encode.L, decode.L)

    def layer(nothing: Any, i: Index) -> tuple[Any, Array]:
        z = latent(encode.marginal(i, x), noise, i).z
        q, p = encode.posterior(i, z, x), decode.at(i, z)
        agree("z_(i-1)", q, p)
        return nothing, gaussian.kl(*q, *p)

    _, divergences = decode.loop(layer, (), range(2, encode.L + 1))
    z_1 = latent(encode.marginal(1, x), noise, 1).z
    top = gaussian.kl_standard(*encode.marginal(encode.L, x))
    return Bound(likelihood(x, decode.at(1, z_1)), divergences, top)


def bound(
    encode: Known, decode: Layers, rng: Array, x: Array, *, likelihood: Likelihood
) -> Bound:
    r"""The bound of a Markov HVAE whose encoder is known from the top down.

        log p(x) >= E log p(x | z_1) - sum_{i=2}^L E KL(q(z_{i-1} | z_i, x) || p)
                    - KL(q(z_L | x) || N(0, I))

    Lecture 02 (DDPM); Ho et al. 2020, eq. 5. It has the expectation of `markov.bound`
    with the same encoder, and far less variance.

    Args: encode: Known.  decode: Layers.  rng: key, or keys [B].  x: [B, ...].
        likelihood: of x.
    Returns: Bound of [B], [B, L - 1] for z_1..z_{L-1}, [B]; nats.
    """

    def of_example(rng: Array, x: Array) -> Bound:
        def noise(i: Index, mean: Array) -> Array:
            return chain.normal(jax.random.fold_in(rng, i), mean)

        return terms(encode, decode, noise, x, likelihood=likelihood)

    return jax.vmap(of_example)(chain.example_keys(rng, x.shape[0]), x)
