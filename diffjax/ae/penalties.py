"""What keeps a code from copying: sparsity, and a small Jacobian."""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from diffjax.types import Array


def k_sparse(code: Array, *, k: int, alpha: float = 1.0) -> Array:
    r"""The k largest entries of a code, the others 0; exactly k, whatever the ties.

        code_i if i in top-k(code), else 0

    Makhzani & Frey 2013 (arXiv:1312.5663). A gradient passes through the
    kept entries only.

    Args: code: [...], d entries.  k: how many to keep in training.  alpha: at test time
        alpha k are kept, alpha >= 1, rounded.
    Returns: [...] in the unit of the code.
    """
    if not 1 <= k <= code.size:
        raise ValueError(f"expected 1 <= k <= {code.size}, the latent, got k = {k}")
    kept = round(alpha * k)
    if alpha < 1 or kept > code.size:
        raise ValueError(
            f"expected alpha >= 1 and alpha k <= {code.size}, the latent, got "
            f"alpha = {alpha}, k = {k}"
        )
    flat = code.reshape(-1)
    _, index = jax.lax.top_k(flat, kept)  # of equals, the first
    support = jnp.zeros(flat.shape, bool).at[index].set(True)
    return jnp.where(support, flat, 0).reshape(code.shape)


def kl_sparsity(logits: Array, *, rho: float, axis_name: str | None = None) -> Array:
    r"""How far units are from being on a share rho of the time.

        sum_j KL( Bernoulli(rho) || Bernoulli(rho_hat_j) ),
        rho_hat_j = 1/B sum_i sigmoid(a_ij)

    Ng 2011 (CS294A lecture notes, "Sparse autoencoder"). The mean is
    over the whole batch, on all devices, before the divergence, which is not linear; it
    is taken in log space, so that a silent unit costs much but not infinitely much.

    Args: logits: [B, ...], a unit's activity before its sigmoid.  rho: in (0, 1).
        axis_name: of the devices among which the batch is split.
    Returns: [] nats.
    """
    if not 0 < rho < 1:
        raise ValueError(f"expected rho in (0, 1), got {rho}; it is a share, like 0.05")
    log_on = _log_mean(jax.nn.log_sigmoid(logits), axis_name)
    log_off = _log_mean(jax.nn.log_sigmoid(-logits), axis_name)
    on, off = jnp.log(rho) - log_on, jnp.log1p(-rho) - log_off
    return jnp.sum(rho * on + (1 - rho) * off)


def jacobian_norm(f: Callable[[Array], Array], x: Array) -> Array:
    r"""The squared Frobenius norm of a Jacobian, exactly, by min(d, D) products.

        ||df/dx||_F^2 = sum_i ||J e_i||^2 = sum_j ||J^T e_j||^2

    Rifai et al. 2011 (Contractive Auto-Encoders), eq. 1. Columns if x is the smaller
    side, else rows.

    Args: f: [...] -> [...], D to d entries.  x: [...].
    Returns: [] (unit of f per unit of x, squared).
    """
    output = jax.eval_shape(f, x)
    if x.size <= output.size:
        _, push = jax.linearize(f, x)
        products = jax.vmap(push)(_basis(x))
    else:
        _, pull = jax.vjp(f, x)
        (products,) = jax.vmap(pull)(_basis(output))
    return jnp.sum(jnp.square(products))


def hutchinson_norm(probes: Array, f: Callable[[Array], Array], x: Array) -> Array:
    r"""An unbiased estimate of `jacobian_norm` at the cost of P products.

        ||df/dx||_F^2 = E ||J u||^2 ~ 1/P sum_p ||J u_p||^2,    E[u u^T] = I

    Hutchinson 1989. Forward products, so that training differentiates them backwards.

    Args: probes: [P, ...], Rademacher (least variance) or Gaussian noise like x.
        f: [...] -> [...].  x: [...].
    Returns: [] (unit of f per unit of x, squared).
    """
    _, push = jax.linearize(f, x)
    return jnp.sum(jnp.square(jax.vmap(push)(probes))) / probes.shape[0]


def _log_mean(log_values: Array, axis_name: str | None) -> Array:
    """log 1/N sum exp over the batch, on every device."""
    if axis_name is None:
        num = log_values.shape[0]
        return jax.nn.logsumexp(log_values, axis=0) - jnp.log(num)
    top = jax.lax.stop_gradient(jnp.max(log_values, axis=0))
    top = jax.lax.pmax(top, axis_name)
    mean = jax.lax.pmean(jnp.mean(jnp.exp(log_values - top[None]), axis=0), axis_name)
    return top + jnp.log(mean)


def _basis(like: Array | jax.ShapeDtypeStruct) -> Array:
    return jnp.eye(like.size, dtype=like.dtype).reshape(like.size, *like.shape)
