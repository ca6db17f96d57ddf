"""Gaussian densities and divergences, one example, nats, summed over all dimensions."""

import chex
import jax
import jax.numpy as jnp

from diffjax.core.precision import widen
from diffjax.types import Array


def log_prob(x: Array, mean: Array, log_var: Array) -> Array:
    r"""Log density of a diagonal Gaussian.

        log N(x; mean, var) = -1/2 sum [ log(2 pi var) + (x - mean)^2 / var ]

    Lecture 02 (VAE), "Gaussian VAE", proof, with the constant that it calls C.

    Args: x, mean: [...].  log_var: [...] or [] for one variance shared by all.
    Returns: [] nats.
    """
    chex.assert_equal_shape([x, mean])
    x, mean, log_var = widen(x, mean, log_var)
    _same_or_shared(mean, log_var)
    squared = jnp.square(x - mean) * jnp.exp(-log_var)
    return -0.5 * jnp.sum(jnp.log(2 * jnp.pi) + log_var + squared)


def log_prob_standard(z: Array) -> Array:
    r"""Log density of the standard Gaussian, a latent's prior.

        log N(z; 0, I) = -1/2 sum [ log(2 pi) + z^2 ]

    Args: z: [...].
    Returns: [] nats.
    """
    return log_prob(z, jnp.zeros_like(z), jnp.zeros(()))


def kl(mean_q: Array, log_var_q: Array, mean_p: Array, log_var_p: Array) -> Array:
    r"""Divergence between two diagonal Gaussians.

        KL(q || p) = 1/2 sum [ var_q / var_p - 1 - log(var_q / var_p)
                               + (mean_q - mean_p)^2 / var_p ]

    Diagonal case of the KL in the blog "Diffusion Probabilistic Models".

    Args: mean_q, mean_p: [...].  log_var_q, log_var_p: [...] or [] if shared by all.
    Returns: [] nats.
    """
    chex.assert_equal_shape([mean_q, mean_p])
    mean_q, log_var_q, mean_p, log_var_p = widen(mean_q, log_var_q, mean_p, log_var_p)
    _same_or_shared(mean_q, log_var_q, log_var_p)
    # expm1 keeps the digits that `exp(d) - 1 - d` loses when the variances are close.
    d = log_var_q - log_var_p
    squared = jnp.square(mean_q - mean_p) * jnp.exp(-log_var_p)
    return 0.5 * jnp.sum(jnp.expm1(d) - d + squared)


def kl_standard(mean: Array, log_var: Array) -> Array:
    r"""Divergence from a diagonal Gaussian to the standard one.

        KL(N(mean, var) || N(0, I)) = 1/2 sum [ var + mean^2 - 1 - log var ]

    Lecture 02 (VAE), "Latent Regularization"; Kingma & Welling 2013, appendix B.

    Args: mean: [...].  log_var: [...] or [] if shared by all.
    Returns: [] nats.
    """
    mean, log_var = widen(mean, log_var)
    _same_or_shared(mean, log_var)
    return 0.5 * jnp.sum(jnp.expm1(log_var) - log_var + jnp.square(mean))


def kl_full(mean_q: Array, cov_q: Array, mean_p: Array, cov_p: Array) -> Array:
    r"""Divergence between two Gaussians with full covariances, by Cholesky factors.

        KL(q || p) = 1/2 [ log |S_p| / |S_q| - D + tr(S_p^-1 S_q)
                           + (m_p - m_q)^T S_p^-1 (m_p - m_q) ]

    Blog "Diffusion Probabilistic Models", "KL Divergence between two Gaussian
    distributions".

    Args: mean_q, mean_p: [D].  cov_q, cov_p: [D, D], symmetric positive definite.
    Returns: [] nats.
    """
    chex.assert_rank([mean_q, mean_p, cov_q, cov_p], [1, 1, 2, 2])
    chex.assert_equal_shape([cov_q, cov_p])
    mean_q, cov_q, mean_p, cov_p = widen(mean_q, cov_q, mean_p, cov_p)
    root_q, root_p = jnp.linalg.cholesky(cov_q), jnp.linalg.cholesky(cov_p)
    whitened = _solve(root_p, root_q)
    shift = _solve(root_p, (mean_p - mean_q)[:, None])
    log_det = jnp.sum(jnp.log(jnp.diag(root_p)) - jnp.log(jnp.diag(root_q)))
    spread = jnp.sum(jnp.square(whitened)) - mean_q.shape[0]
    return log_det + 0.5 * (spread + jnp.sum(jnp.square(shift)))


def reparameterize(mean: Array, log_var: Array, eps: Array) -> Array:
    r"""A draw from a diagonal Gaussian as a function of standard noise.

        x = mean + sqrt(var) * eps,    eps ~ N(0, I)

    Lecture 02 (VAE), "Gaussian VAE"; Kingma & Welling 2013, section 2.4.

    Args: mean, eps: [...].  log_var: [...] or [] if shared by all.
    Returns: [...], in the unit of mean.
    """
    chex.assert_equal_shape([mean, eps])
    mean, log_var, eps = widen(mean, log_var, eps)
    return mean + jnp.exp(0.5 * log_var) * eps


def log_prob_full(x: Array, mean: Array, cov: Array) -> Array:
    r"""Log density of a Gaussian with a full covariance, by a Cholesky factor.

        log N(x; m, S) = -1/2 [ D log 2 pi + log |S| + (x - m)^T S^-1 (x - m) ]

    Bishop 2006, eq. 2.43.

    Args: x, mean: [D].  cov: [D, D], symmetric positive definite.
    Returns: [] nats.
    """
    chex.assert_rank([x, mean, cov], [1, 1, 2])
    x, mean, cov = widen(x, mean, cov)
    root = jnp.linalg.cholesky(cov)
    whitened = _solve(root, (x - mean)[:, None])
    log_det = 2 * jnp.sum(jnp.log(jnp.diag(root)))
    constant = x.shape[0] * jnp.log(2 * jnp.pi)
    return -0.5 * (constant + log_det + jnp.sum(jnp.square(whitened)))


def _same_or_shared(mean: Array, *log_vars: Array) -> None:
    for log_var in log_vars:
        if log_var.ndim:
            chex.assert_equal_shape([mean, log_var])


def _solve(root: Array, columns: Array) -> Array:
    # `jax.scipy.linalg` has this too, and takes a third of our import time to load.
    return jax.lax.linalg.triangular_solve(root, columns, left_side=True, lower=True)
