"""The parts of a small top-down HVAE of vectors: a dense network for each.

    parts = dense_ladder.top_down((64, 2), (16, 8, 4), width=96)
    hvae.ladder_objective(hvae.LadderNets(*parts), likelihood=...)

The state h of a layer is a vector, 0 at the top, to which every latent adds; so all
that a latent says reaches the data. Sonderby et al. 2016 (ladder VAE,
arXiv:1602.02282), with the additions of Child 2021 (VDVAE, arXiv:2011.10650). The parts
are too small for `remat`, which they lack.
"""

from collections.abc import Sequence

import flax.linen as nn
import jax.numpy as jnp

from diffjax.nets.ladder import Parts, moments
from diffjax.nets.layers import Computed
from diffjax.nets.mlp import MLP
from diffjax.types import Array


def top_down(
    shape: tuple[int, ...], latents: Sequence[int], *, width: int = 96
) -> Parts:
    r"""All networks of a top-down HVAE of vectors.

        h_{i-1} = h_i + f_i(z_i),    L = len(latents)

    Sonderby et al. 2016, figure 1d.

    Args: shape: of what the decoder says of an example.  latents: of each layer, from
        the data upwards.  width: of h, and of all that is hidden.
    Returns: Parts.
    """
    if not latents or min(latents) < 1:
        raise ValueError(
            f"expected a latent of 1 or more in every layer, got {tuple(latents)}; "
            "(8,) is a VAE"
        )
    return Parts(
        features=MLP(shape=(width,), widths=(width,)),
        encode=tuple(Posterior(latent=latent) for latent in latents),
        prior=tuple(Prior(latent=latent) for latent in latents),
        merge=tuple(Merge() for _ in latents),
        read=Read(shape=shape),
        width=(width,),
    )


class Posterior(Computed):
    """What the encoder says of a latent, given the layers above and the data.

    latent: length of z.
    """

    latent: int

    @nn.compact
    def __call__(self, h: Array, features: Array) -> tuple[Array, Array]:
        """h [B, width], features [B, width] -> mean, log_var [B, latent]."""
        seen = nn.gelu(jnp.concatenate([h.astype(features.dtype), features], axis=-1))
        return moments(nn.Dense(2 * self.latent, name="out", **self.numerics)(seen))


class Prior(Computed):
    """What the layers above say of a latent; at the start N(0, I) in every layer.

    latent: length of z.
    """

    latent: int

    @nn.compact
    def __call__(self, h: Array) -> tuple[Array, Array]:
        """h [B, width] -> mean, log_var [B, latent]."""
        zeros = nn.initializers.zeros
        out = nn.Dense(2 * self.latent, kernel_init=zeros, name="out", **self.numerics)
        return moments(out(nn.gelu(h)))


class Merge(Computed):
    """What a latent adds to h."""

    @nn.compact
    def __call__(self, h: Array, z: Array) -> Array:
        """h [B, width], z [B, latent] -> h of the layer below [B, width]."""
        width = h.shape[-1]
        added = MLP(shape=(width,), widths=(width,), name="added", **self.numerics)
        return h + added(z)


class Read(Computed):
    """What the decoder says of the data.

    shape: of it.
    """

    shape: tuple[int, ...]

    @nn.compact
    def __call__(self, h: Array) -> Array:
        """h [B, width] -> [B, *shape]."""
        out = MLP(shape=self.shape, widths=(h.shape[-1],), name="out", **self.numerics)
        return out(nn.gelu(h))
