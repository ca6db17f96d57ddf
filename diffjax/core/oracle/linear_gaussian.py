"""The linear-Gaussian VAE: everything in closed form, the optimum too (pPCA).

    p(z) = N(0, I_d),    p(x | z) = N(x; W z + b, sigma^2 I_D)

Tipping & Bishop 1999 (Probabilistic Principal Component Analysis).
"""

from collections.abc import Callable
from typing import NamedTuple

import chex
import jax.numpy as jnp

from diffjax.core import checks, gaussian
from diffjax.core.bounds import Bound
from diffjax.types import Array


class LinearGaussian(NamedTuple):
    """A linear decoder with Gaussian noise.

    weight: W [D, d].  bias: b [D].  log_var: [] log sigma^2, nats.
    """

    weight: Array
    bias: Array
    log_var: Array


class LinearEncoder(NamedTuple):
    """A linear encoder with noise that does not depend on x.

    weight: V [d, D].  bias: c [d].  log_var: [d] log s^2, nats.
    """

    weight: Array
    bias: Array
    log_var: Array


def decoder(model: LinearGaussian) -> Callable[[Array], tuple[Array, Array]]:
    r"""The moments of p(x | z), as a VAE with a learned sigma decodes.

        z -> W z + b, log sigma^2

    Args: model: LinearGaussian.
    Returns: (z [d]) -> mean [D], log_var [].
    """
    return lambda z: (model.weight @ z + model.bias, model.log_var)


def encoder(model: LinearEncoder) -> Callable[[Array], tuple[Array, Array]]:
    r"""The moments of q(z | x).

        x -> V x + c, log s^2

    Args: model: LinearEncoder.
    Returns: (x [D]) -> mean [d], log_var [d].
    """
    return lambda x: (model.weight @ x + model.bias, model.log_var)


def log_evidence(model: LinearGaussian, x: Array) -> Array:
    r"""What a VAE can only bound.

        log p(x) = log N(x; b, W W^T + sigma^2 I)

    Tipping & Bishop 1999.

    Args: model: LinearGaussian.  x: [D].
    Returns: [] nats.
    """
    noise = jnp.exp(model.log_var) * jnp.eye(x.size, dtype=model.weight.dtype)
    return gaussian.log_prob_full(x, model.bias, model.weight @ model.weight.T + noise)


def posterior(model: LinearGaussian, x: Array) -> tuple[Array, Array]:
    r"""The posterior that an encoder approximates.

        p(z | x) = N( M^-1 W^T (x - b), sigma^2 M^-1 ),    M = W^T W + sigma^2 I

    Tipping & Bishop 1999.

    Args: model: LinearGaussian.  x: [D].
    Returns: mean [d], cov [d, d] (latent units, and squared).
    """
    gram = _gram(model)
    mean = jnp.linalg.solve(gram, model.weight.T @ (x - model.bias))
    return mean, jnp.exp(model.log_var) * jnp.linalg.inv(gram)


def expected_bound(
    model: LinearGaussian, x: Array, mean: Array, log_var: Array
) -> Bound:
    r"""The bound of any Gaussian encoding, its expectation taken exactly.

        E_q log p(x | z) = log N(x; W mean + b, sigma^2 I)
                           - tr(W diag(s^2) W^T) / (2 sigma^2)

    Lucas et al. 2019 ("Don't Blame the ELBO!", arXiv:1911.02469).

    Args: model: LinearGaussian.  x: [D].  mean, log_var: [d] of q(z | x).
    Returns: Bound of [], [0], []; nats.
    """
    chex.assert_equal_shape([mean, log_var])
    at_mean = gaussian.log_prob(x, *decoder(model)(mean))
    spread = jnp.sum(jnp.square(model.weight) * jnp.exp(log_var)[None])
    reconstruction = at_mean - 0.5 * spread * jnp.exp(-model.log_var)
    return Bound(reconstruction, jnp.zeros(0), gaussian.kl_standard(mean, log_var))


def ppca(
    mean: Array, cov: Array, latent: int, *, var: float | None = None
) -> LinearGaussian:
    r"""The linear-Gaussian VAE that makes Gaussian data most likely.

        W = U_d (Lambda_d - sigma^2)_+^(1/2),    sigma^2 = mean of the other lambda

    Tipping & Bishop 1999, the maximum of the likelihood. With sigma^2 given, directions
    whose variance is not above it are not used: their latents collapse (Lucas et al.
    2019).

    Args: mean: [D] of the data.  cov: [D, D].  latent: d < D.  var: sigma^2 > 0, by
        default the best.
    Returns: LinearGaussian.
    """
    if not 1 <= latent < mean.size:
        raise ValueError(f"expected 1 <= latent < D = {mean.size}, got {latent}")
    if var is not None and checks.is_concrete(var) and not var > 0:
        raise ValueError(f"expected var > 0, got {var}")
    ascending, vectors = jnp.linalg.eigh(cov)
    kept, left = jnp.flip(ascending)[:latent], jnp.flip(ascending)[latent:]
    noise = jnp.mean(left) if var is None else jnp.asarray(var, cov.dtype)
    scale = jnp.sqrt(jnp.maximum(kept - noise, 0))
    directions = jnp.flip(vectors, axis=1)[:, :latent]
    return LinearGaussian(directions * scale[None], mean, jnp.log(noise))


def best_encoder(model: LinearGaussian) -> LinearEncoder:
    r"""The encoder with a diagonal covariance that makes the bound largest.

        V = M^-1 W^T,    c = -V b,    s^2 = sigma^2 / diag(M),    M = W^T W + sigma^2 I

    Lucas et al. 2019; the posterior itself where M is diagonal, as it is after `ppca`.

    Args: model: LinearGaussian.
    Returns: LinearEncoder.
    """
    gram = _gram(model)
    weight = jnp.linalg.solve(gram, model.weight.T)
    log_var = model.log_var - jnp.log(jnp.diag(gram))
    return LinearEncoder(weight, -weight @ model.bias, log_var)


def _gram(model: LinearGaussian) -> Array:
    weight = model.weight
    noise = jnp.exp(model.log_var) * jnp.eye(weight.shape[1], dtype=weight.dtype)
    return weight.T @ weight + noise
