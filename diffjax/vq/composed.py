"""A discrete VAE whose prior is a model of its own, with a bound: a D3PM of its codes.

    vq.composed.bound(encode, decode, rng, x, likelihood=..., prior=...)

with a `prior` such as `lambda rng, codes: d3pm.bound(denoise, transitions, rng,
codes)`. A prior whose log probability is exact goes into `vq.bound`, without a key.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from diffjax.core import bounds
from diffjax.core.bounds import Bound
from diffjax.types import Array
from diffjax.vq.likelihood import Decode, Encode, Likelihood

Prior = Callable[[Array, Array], Bound]
"""(rng, codes [B, ...]) -> a bound on their log probability: [B], [B, L], [B]; nats."""


def bound(
    encode: Encode,
    decode: Decode,
    rng: Array,
    x: Array,
    *,
    likelihood: Likelihood,
    prior: Prior,
) -> Bound:
    r"""The bound, the prior's term by term.

        log p(x) >= log p(x | codes) + prior(codes).elbo,    codes = encode(x)

    The first divergence is what the codes cost once the prior has come to its last
    step, -log p(codes | x_1) of a diffusion. Gu et al. 2022 (VQ-Diffusion,
    arXiv:2111.14822), whose likelihoods are of codes alone.

    Args: encode, decode: one example.  rng: key, or keys [B], of the prior.  x:
        [B, ...].  likelihood: (x, output) -> nats.  prior: Prior.
    Returns: Bound of [B], [B, L + 1], [B]; nats.
    """
    codes = jax.vmap(encode)(x)
    reconstruction = jax.vmap(lambda x, c: likelihood(x, decode(c)))(x, codes)
    # A point mass: log q(codes | x) = 0.
    certain = jnp.zeros_like(reconstruction)
    return bounds.stacked(reconstruction, certain, prior(rng, codes))
