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

    Lecture 02 (VAE), theorem 1; Kingma & Welling 2013 (arXiv:1312.6114), eq. 3.

    Args: encode, decode: one example.  rng: key, or keys [B].  x: [B, ...].
        likelihood: log p(x | z) of one example, from what `decode` says.
    Returns: Bound of [B], [B, 0], [B]; nats.
    """

    def of_example(rng: Array, x: Array) -> Bound:
        mean, log_var = encode(x)
        eps = jax.random.normal(rng, mean.shape, mean.dtype)
        z = gaussian.reparameterize(mean, log_var, eps)
        reconstruction = likelihood(x, decode(z))
        no_layers = jnp.zeros(0, reconstruction.dtype)
        return Bound(reconstruction, no_layers, gaussian.kl_standard(mean, log_var))

    keys = chain.example_keys(rng, x.shape[0])
    terms = jax.vmap(of_example)(keys, x)
    _explain_nan(of_example, terms.reconstruction, keys, x)
    return terms


def _explain_nan(of_example: Callable[..., Any], value: Array, *batched: Array) -> None:
    """Run the first example that gave NaN alone, where a likelihood sees its values."""
    if all(map(checks.is_concrete, (value, *batched))) and jnp.isnan(value).any():
        first = int(jnp.argmax(jnp.isnan(value)))
        of_example(*(b[first] for b in batched))
