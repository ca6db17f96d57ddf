"""A causal network as a model of its own: the prior over codes, or of text.

It has no latents, so the bound is exact: all of it is the reconstruction term.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from diffjax.core import chain
from diffjax.core.batching import of_example
from diffjax.core.bounds import Bound, bits_per_dim
from diffjax.types import Array, Batch, Metrics, Net, Objective, Params, Sampler
from diffjax.vq import prior
from diffjax.vq.prior import Prior


def net_prior(net: Net, params: Params) -> Prior:
    r"""A trained causal network as a prior.

        log p(x) = sum_i log p(x_i | x_1 .. x_{i-1})

    van den Oord et al. 2017 (VQ-VAE, arXiv:1711.00937), section 3.3.

    Args: net: x integer [B, ...] -> logits [B, ..., K], those of position i from the
        entries before it alone.  params: of the net.
    Returns: Prior (nats).
    """
    return prior.autoregressive(of_example(net, params))


def autoregressive_objective(net: Net) -> Objective:
    r"""Train a causal network by maximum likelihood.

        L = -mean_b log p(x_b)

    van den Oord et al. 2017, section 3.3.

    Args: net: as for `net_prior`.
    Returns: Objective (nats per example).
    """

    def init(rng: Array, batch: Batch) -> Params:
        return net.init(rng, batch["x"])

    def loss(params: Params, rng: Array, batch: Batch) -> tuple[Array, Metrics]:
        x = batch["x"]
        nats = -jnp.mean(jax.vmap(net_prior(net, params).log_prob)(x))
        return nats, {"loss": nats, "bits_per_dim": bits_per_dim(nats, x[0].size)}

    return Objective(init, loss)


def autoregressive_sampler(net: Net, shape: tuple[int, ...]) -> Sampler:
    r"""Draw with a trained causal network, one entry after the other.

        x_i ~ p(x_i | x_1 .. x_{i-1})

    van den Oord et al. 2017, section 3.3.

    Args: net: as trained.  shape: of one example.
    Returns: Sampler: (params, rng, num) -> integer [num, *shape] (category indices).
    """

    def draw(params: Params, rng: Array, num: int) -> Array:
        law = net_prior(net, params)
        keys = chain.example_keys(rng, num)
        return jax.vmap(lambda key: law.sample(key, shape))(keys)

    return draw


def autoregressive_bound(net: Net) -> Callable[[Params, Array, Batch], Bound]:
    r"""The likelihood of a trained causal network, in the words of the family.

        elbo = reconstruction = log p(x),    rate = 0

    Args: net: as trained.
    Returns: (params, rng, batch) -> Bound of [B], [B, 0], [B]; nats, exact: the key is
        not used.
    """

    def bound(params: Params, rng: Array, batch: Batch) -> Bound:
        log_p = jax.vmap(net_prior(net, params).log_prob)(batch["x"])
        nothing = jnp.zeros_like(log_p)
        return Bound(log_p, jnp.zeros((*log_p.shape, 0)), nothing)

    return bound
