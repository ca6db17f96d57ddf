"""What a VAE says of the data: the bound, term by term, and log p by many samples."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from diffjax.core import chain, checks, gaussian
from diffjax.core.bounds import Bound
from diffjax.types import Array
from diffjax.vae.decoders import Likelihood, bernoulli

Gaussian = tuple[Array, Array]
"""(mean [...], log_var [...]) of a diagonal Gaussian."""
Encode = Callable[[Array], Gaussian]
"""x [...] -> q(z | x), the moments of one example's latent."""
Decode = Callable[[Array], Any]
"""z [...] -> what the `Likelihood` needs to know, any pytree."""


def draw(encode: Encode, rng: Array, x: Array) -> tuple[Array, Array, Array]:
    r"""The posterior of one example, and a draw from it.

        z = mean + sqrt(var) eps,    eps ~ N(0, I)

    Lecture 02 (VAE), "Gaussian VAE"; Kingma & Welling 2013 (arXiv:1312.6114), eq. 10.

    Args: encode: one example.  rng: key.  x: [...].
    Returns: mean, log_var and z, [...] each (latent units).
    """
    mean, log_var = encode(x)
    eps = jax.random.normal(rng, mean.shape, mean.dtype)
    return mean, log_var, gaussian.reparameterize(mean, log_var, eps)


def bound(
    encode: Encode,
    decode: Decode,
    rng: Array,
    x: Array,
    *,
    likelihood: Likelihood = bernoulli,
) -> Bound:
    r"""The evidence lower bound, its reconstruction estimated with one draw of z.

        log p(x) >= E_{q(z|x)} log p(x | z) - KL(q(z | x) || N(0, I))

    Lecture 02 (VAE), theorem 1; Kingma & Welling 2013, eq. 3.

    Args: encode, decode: one example.  rng: key, or keys [B].  x: [B, ...].
        likelihood: log p(x | z) of one example, from what `decode` says.
    Returns: Bound of [B], [B, 0], [B]; nats.
    """

    def of_example(rng: Array, x: Array) -> Bound:
        mean, log_var, z = draw(encode, rng, x)
        reconstruction = likelihood(x, decode(z))
        no_layers = jnp.zeros(0, reconstruction.dtype)
        return Bound(reconstruction, no_layers, gaussian.kl_standard(mean, log_var))

    keys = chain.example_keys(rng, x.shape[0])
    terms = jax.vmap(of_example)(keys, x)
    _explain_nan(of_example, terms.reconstruction, keys, x)
    return terms


def log_weight(
    decode: Decode,
    posterior: Gaussian,
    x: Array,
    eps: Array,
    *,
    likelihood: Likelihood = bernoulli,
) -> Array:
    r"""What one draw of z says of log p(x): its mean is the ELBO.

        log w = log p(x | z) + log p(z) - log q(z | x),    z = mean + sqrt(var) eps

    Burda et al. 2015 (IWAE, arXiv:1509.00519), section 3.

    Args: decode: one example.  posterior: mean [...], log_var [...].  x: [...].  eps:
        [...] like the mean.  likelihood: as for `bound`.
    Returns: [] nats.
    """
    z = gaussian.reparameterize(*posterior, eps)
    log_p = gaussian.log_prob_standard(z)
    return likelihood(x, decode(z)) + log_p - log_prob_of_noise(eps, posterior[1])


def log_prob_of_noise(eps: Array, log_var: Array) -> Array:
    r"""The density of a posterior at the draw that some noise makes.

        log q(z | x) = log N(eps; 0, I) - 1/2 sum log var,    z = mean + sqrt(var) eps

    From eps itself: (z - mean) / sigma has no digits left when sigma is small.

    Args: eps: [...].  log_var: [...] or [], of the posterior.
    Returns: [] nats.
    """
    volume = 0.5 * jnp.sum(jnp.broadcast_to(log_var, eps.shape))
    return gaussian.log_prob_standard(eps) - volume


def latent_noise(rng: Array, mean: Array, index: Array) -> Array:
    r"""The noise of an example's draws, the same whatever chunks they come in.

        eps_j = normal(fold_in(rng, j))

    Args: rng: key.  mean: [...], only its shape and dtype are used.  index: integer
        [k], which draws.
    Returns: [k, ...] noise (standard deviations).
    """
    keys = jax.vmap(jax.random.fold_in, in_axes=(None, 0))(rng, index)
    return jax.vmap(chain.normal, in_axes=(0, None))(keys, mean)


def nll(
    encode: Encode,
    decode: Decode,
    rng: Array,
    x: Array,
    *,
    num: int,
    chunk: int = 10,
    likelihood: Likelihood = bernoulli,
) -> Array:
    r"""The negative log likelihood by importance sampling, in constant memory.

        -log p(x) <= -E log 1/k sum_j w_j,    w_j = p(x, z_j) / q(z_j | x)

    Burda et al. 2015, section 3. Falls to -log p(x) as k grows; exactly `num` draws are
    used, a chunk at a time, and their noise does not depend on the chunk.

    Args: encode, decode, x, likelihood: as for `bound`.  rng: key, or keys [B].  num:
        k, draws of z for each example.  chunk: draws held in memory at once.
    Returns: [B] nats.
    """
    if num < 1 or chunk < 1:
        raise ValueError(f"expected num >= 1 and chunk >= 1, got {num} and {chunk}")

    def of_example(rng: Array, x: Array) -> Array:
        posterior = encode(x)

        def log_sum(index: Array) -> Array:
            def one(eps: Array) -> Array:
                return log_weight(decode, posterior, x, eps, likelihood=likelihood)

            eps = latent_noise(rng, posterior[0], index)
            return jax.nn.logsumexp(jax.vmap(one)(eps))

        def add(total: Array, index: Array) -> tuple[Array, None]:
            return jnp.logaddexp(total, log_sum(index)), None

        first = (num - 1) % chunk + 1  # so that the rest is whole chunks
        rest = jnp.arange(first, num).reshape(-1, chunk)
        total, _ = jax.lax.scan(add, log_sum(jnp.arange(first)), rest)
        return jnp.log(num) - total

    keys = chain.example_keys(rng, x.shape[0])
    value = jax.vmap(of_example)(keys, x)
    _explain_nan(of_example, value, keys, x)
    return value


def _explain_nan(of_example: Callable[..., Any], value: Array, *batched: Array) -> None:
    """Run the first example that gave NaN alone, where a likelihood sees its values."""
    if all(map(checks.is_concrete, (value, *batched))) and jnp.isnan(value).any():
        first = int(jnp.argmax(jnp.isnan(value)))
        of_example(*(b[first] for b in batched))
