"""Oracle of a linear Gaussian HVAE: evidence, posterior and the gap of any bound.

    z_L ~ N(0, I),    z_{i-1} = W_i z_i + b_i + sigma_i eps_i,    i = L..1,    z_0 = x

All of x, z_1..z_L is one Gaussian vector. Its conditionals follow from one formula, so
nothing here knows of encoders, draws or bounds.
"""

from collections.abc import Sequence
from typing import NamedTuple

import chex
import jax.numpy as jnp

from diffjax.core import gaussian as _gaussian
from diffjax.types import Array


class GaussianChain(NamedTuple):
    """A linear Gaussian chain of L latents, layer 1 the one that makes the data.

    weights: L matrices, W_i [D_{i-1}, D_i], D_0 the data's dimensions.
    offsets: L vectors, b_i [D_{i-1}].
    log_vars: L vectors, log sigma_i^2 [D_{i-1}].
    """

    weights: tuple[Array, ...]
    offsets: tuple[Array, ...]
    log_vars: tuple[Array, ...]


def gaussian_chain(
    weights: Sequence[Array], offsets: Sequence[Array], log_vars: Sequence[Array]
) -> GaussianChain:
    r"""A linear Gaussian chain, its shapes checked.

        p(z_{i-1} | z_i) = N(W_i z_i + b_i, diag sigma_i^2),    p(z_L) = N(0, I)

    Args: weights: L >= 1 of [D_{i-1}, D_i].  offsets: L of [D_{i-1}].  log_vars: L of
        [D_{i-1}].
    Returns: GaussianChain.
    """
    if not len(weights) == len(offsets) == len(log_vars) >= 1:
        raise ValueError(
            "expected L >= 1 weights and as many offsets and log_vars, got "
            f"{len(weights)}, {len(offsets)} and {len(log_vars)}"
        )
    chain = GaussianChain(
        *(tuple(map(jnp.asarray, v)) for v in (weights, offsets, log_vars))
    )
    for i, (w, b, v) in enumerate(zip(*chain, strict=True), 1):
        below = w.shape[:1] if i == 1 else chain.weights[i - 2].shape[1:]
        if w.ndim != 2 or not below == w.shape[:1] == b.shape == v.shape:
            raise ValueError(
                f"expected W_{i} [D_{i - 1}, D_{i}], b_{i} and log_var_{i} [D_{i - 1}] "
                f"with D_{i - 1} = {below}, got {w.shape}, {b.shape} and {v.shape}"
            )
    return chain


def chain_law(chain: GaussianChain) -> tuple[Array, Array]:
    r"""Mean and covariance of data and latents together.

        m_{i-1} = W_i m_i + b_i,    S_{i-1, k} = W_i S_{i, k},  k >= i,
        S_{i-1, i-1} = W_i S_{i, i} W_i^T + diag sigma_i^2

    Args: chain: GaussianChain.
    Returns: mean [D], cov [D, D] of (x, z_1, ..., z_L), D = D_0 + ... + D_L.
    """
    top = chain.weights[-1].shape[1]
    mean, cov = jnp.zeros(top), jnp.eye(top)
    for w, b, log_var in reversed(list(zip(*chain, strict=True))):
        near = w.shape[1]  # z_i comes first in what has been built so far
        cross = w @ cov[:near]
        corner = cross[:, :near] @ w.T + jnp.diag(jnp.exp(log_var))
        cov = jnp.block([[corner, cross], [cross.T, cov]])
        mean = jnp.concatenate([w @ mean[:near] + b, mean])
    return mean, cov


def chain_log_prob(chain: GaussianChain, x: Array) -> Array:
    r"""The evidence.

        log p(x) = log int p(x, z_1..L) dz

    Args: chain: GaussianChain.  x: [D_0].
    Returns: [] nats.
    """
    chex.assert_equal_shape([x, chain.offsets[0]])
    mean, cov = chain_law(chain)
    D = x.shape[0]
    return _gaussian.log_prob_full(x, mean[:D], cov[:D, :D])


def chain_posterior(chain: GaussianChain, x: Array) -> tuple[Array, Array]:
    r"""All latents given the data.

        p(z_1..L | x) = N(m_z + S_zx S_xx^-1 (x - m_x), S_zz - S_zx S_xx^-1 S_xz)

    Bishop 2006, eqs. 2.81-2.82.

    Args: chain: GaussianChain.  x: [D_0].
    Returns: mean [D], cov [D, D] of (z_1, ..., z_L), D = D_1 + ... + D_L.
    """
    chex.assert_equal_shape([x, chain.offsets[0]])
    latents = tuple(range(1, len(chain.weights) + 1))
    gain, offset, cov = chain_conditional(chain, (0,), latents)
    return gain @ x + offset, cov


def chain_conditional(
    chain: GaussianChain, given: tuple[int, ...], wanted: tuple[int, ...]
) -> tuple[Array, Array, Array]:
    r"""Some layers given some others, 0 being the data.

        p(z_wanted | z_given) = N(G z_given + g, C)

    so that (i - 1,) -> (i,) is the exact bottom-up encoder, and (0, i + 1) -> (i,) the
    exact top-down one. Bishop 2006, eqs. 2.81-2.82.

    Args: chain: GaussianChain.  given, wanted: layers, 0..L.
    Returns: G [D_wanted, D_given], g [D_wanted], C [D_wanted, D_wanted].
    """
    mean, cov = chain_law(chain)
    a, b = _places(chain, wanted), _places(chain, given)
    gain = jnp.linalg.solve(cov[jnp.ix_(b, b)], cov[jnp.ix_(b, a)]).T
    spread = cov[jnp.ix_(a, a)] - gain @ cov[jnp.ix_(b, a)]
    return gain, mean[a] - gain @ mean[b], spread


def chain_gap(chain: GaussianChain, x: Array, mean_q: Array, cov_q: Array) -> Array:
    r"""What a Gaussian encoder loses of the evidence.

        log p(x) - ELBO(q) = KL( q(z_1..L | x) || p(z_1..L | x) )

    Lecture 02 (VAE), theorem 1, for all latents at once.

    Args: chain: GaussianChain.  x: [D_0].  mean_q [D], cov_q [D, D]: of (z_1..z_L).
    Returns: [] nats.
    """
    return _gaussian.kl_full(mean_q, cov_q, *chain_posterior(chain, x))


def _places(chain: GaussianChain, layers: tuple[int, ...]) -> Array:
    sizes = [chain.offsets[0].shape[0], *(w.shape[1] for w in chain.weights)]
    starts = [sum(sizes[:i]) for i in range(len(sizes))]
    return jnp.concatenate([starts[i] + jnp.arange(sizes[i]) for i in layers])
