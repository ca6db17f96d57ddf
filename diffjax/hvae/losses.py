"""What training does to the terms of a bound: a loss is a function of a `Bound`.

The bound itself never changes, whatever weight a loss gives to its terms.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from diffjax.core import checks
from diffjax.core.annealing import batch_mean
from diffjax.core.annealing import warm_up as warm_up
from diffjax.core.bounds import Bound
from diffjax.types import Array, Batch

Weigh = Callable[[Bound, Batch], Array]
"""(Bound of [B], [B, L - 1], [B], batch) -> [] loss. The batch is there for what
changes in training, such as batch["step"]."""


def layer_kls(bound: Bound) -> Array:
    r"""What every latent layer costs, the top one last.

        KL_1, ..., KL_L

    Args: bound: Bound of [...], [..., L - 1], [...].
    Returns: [..., L] nats.
    """
    return jnp.concatenate([bound.divergences, bound.prior[..., None]], axis=-1)


def kl_report(bound: Bound, *, axis_name: str | None = None) -> Array:
    r"""The mean cost of each layer over the batch, on all devices: 0 is a dead layer.

        E_x KL_i,    i = 1..L

    Args: bound: Bound of [B], [B, L - 1], [B].  axis_name: of the devices among which
        the batch is split.
    Returns: [L] nats.
    """
    return batch_mean(layer_kls(bound), axis_name=axis_name)


def collapsed(
    bound: Bound, *, threshold: float = 0.01, axis_name: str | None = None
) -> Array:
    r"""Which layers carry nothing.

        E_x KL_i <= threshold

    Args: bound: Bound of [B], [B, L - 1], [B].  threshold: nats.  axis_name: as for
        `kl_report`.
    Returns: bool [L] (no unit).
    """
    return kl_report(bound, axis_name=axis_name) <= threshold


def annealed(bound: Bound, *, beta: Array | float = 1.0) -> Array:
    r"""The negative bound, its rate weighted.

        E_x [ distortion + beta sum_i KL_i ]

    beta = 1 is -elbo; `warm_up` makes the beta of KL annealing (Bowman et al. 2016,
    arXiv:1511.06349), a constant one that of the beta-VAE.

    Args: bound: Bound of [B], [B, L - 1], [B].  beta: [].
    Returns: [] nats.
    """
    return jnp.mean(bound.distortion + beta * bound.rate)


def free_bits(
    bound: Bound,
    *,
    lam: float,
    beta: Array | float = 1.0,
    axis_name: str | None = None,
) -> Array:
    r"""The negative bound, where a layer pays nothing for its first lam nats.

        E_x distortion + beta sum_i max( lam, E_x KL_i )

    Kingma et al. 2016 (IAF, arXiv:1606.04934): the maximum is outside the
    mean over the batch, which is over all devices.

    Args: bound: Bound of [B], [B, L - 1], [B].  lam: nats, >= 0.  beta: [].  axis_name:
        of the devices among which the batch is split.
    Returns: [] nats.
    """
    if checks.is_concrete(lam) and lam < 0:
        raise ValueError(f"expected lam >= 0 nats of free bits a layer, got {lam}")
    kls = kl_report(bound, axis_name=axis_name)
    return jnp.mean(bound.distortion) + beta * jnp.sum(jnp.maximum(lam, kls))


def balanced(
    bound: Bound,
    *,
    beta: Array | float,
    sizes: Array | None = None,
    floor: float = 0.01,
    axis_name: str | None = None,
) -> Array:
    r"""The negative bound during warm-up, the layers with large KLs held back most.

        E_x distortion + beta sum_i gamma_i E_x KL_i,    beta < 1,
        gamma_i proportional to (E_x |KL_i| + floor) / size_i,    their mean 1

    and gamma_i = 1 from beta = 1 on. No gradient passes through gamma. Vahdat & Kautz
    2020 (NVAE, arXiv:2007.03898), appendix A, with the floor of the published code.

    Args: bound: Bound of [B], [B, L - 1], [B].  beta: [].  sizes: [L], > 0, by default
        all alike.  floor: nats, so that a dead layer is not free.  axis_name: of the
        devices among which the batch is split.
    Returns: [] nats.
    """
    kls = layer_kls(bound)
    L = kls.shape[-1]
    sizes = jnp.ones(L) if sizes is None else jnp.asarray(sizes)
    if sizes.shape != (L,):
        raise ValueError(f"expected sizes [{L}], one a layer, got {sizes.shape}")
    gamma = (batch_mean(jnp.abs(kls), axis_name=axis_name) + floor) / sizes
    gamma = jnp.where(beta < 1, gamma / jnp.mean(gamma), 1)
    gamma = jax.lax.stop_gradient(gamma)
    return jnp.mean(bound.distortion) + beta * (gamma @ jnp.mean(kls, axis=0))
