"""The bound of a discrete VAE whose encoder is certain: a point mass on the codes."""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from diffjax.core.bounds import Bound
from diffjax.types import Array

Encode = Callable[[Array], Array]
"""x [...] -> codes integer [...], one example."""
Decode = Callable[[Array], Array]
"""codes integer [...] -> what the likelihood takes, one example."""
Likelihood = Callable[[Array, Array], Array]
"""(x [...], decoder's output [...]) -> log p(x | codes) [] nats."""
LogPrior = Callable[[Array], Array]
"""codes integer [...] -> log p(codes) [] nats."""


def bound(
    encode: Encode,
    decode: Decode,
    x: Array,
    *,
    likelihood: Likelihood,
    log_prior: LogPrior,
) -> Bound:
    r"""The bound, both terms exact: nothing is drawn.

        log p(x) >= log p(x | codes) + log p(codes),    codes = encode(x)
        log p(x) - elbo = -log p(codes | x)

    van den Oord et al. 2017 (arXiv:1711.00937), section 3.1; theorem T11 of the tests.
    With `prior.uniform(K)` the prior term is N log K. A `log_prior` that is a bound
    itself, such as the elbo of `d3pm.bound`, gives a bound again.

    Args: encode, decode: one example.  x: [B, ...].  likelihood: (x, output) -> nats,
        of `core.likelihoods`.  log_prior: codes -> nats, of `prior` or any other.
    Returns: Bound of [B], [B, 0], [B]; nats.
    """

    def of_example(x: Array) -> Bound:
        codes = encode(x)
        return Bound(likelihood(x, decode(codes)), jnp.zeros(0), -log_prior(codes))

    return jax.vmap(of_example)(x)
