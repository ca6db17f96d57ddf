"""The layers of a transformer, alike and visited by one scan.

Their parameters are stacked, and compiling takes as long for one layer as for many.
Every layer is told of t and the label by its modulation, which is 0 at the start
(adaLN-zero): Peebles & Xie 2023 (DiT, arXiv:2212.09748), section 3.2.
"""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from diffjax.nets import layers
from diffjax.nets.layers import Attend, Computed
from diffjax.nets.mlp import plain_norm
from diffjax.types import Array, example_keys


class Stack(Computed):
    """`depth` layers by one scan, each with parameters of its own, stacked.

    depth: layers.  heads: of the attention.  hidden: units of the MLP, 4 times the
    width if None.  dropout: share of each layer's additions.  attend: of `layers`.
    remat: keep only what passes between layers, and recompute the rest.
    """

    depth: int
    heads: int
    hidden: int | None = None
    dropout: float = 0.0
    attend: Attend = layers.attend
    remat: bool = False

    @nn.compact
    def __call__(
        self,
        h: Array,
        told: Array,
        mask: Array | None = None,
        rng: Array | None = None,
    ) -> Array:
        """h [B, N, D], told [B, C], mask [B, 1, 1, N] -> [B, N, D]."""
        keys = None if rng is None else example_keys(rng, len(h))
        layer: Any = nn.remat(Layer, prevent_cse=False) if self.remat else Layer
        scanned = nn.scan(
            layer,
            variable_axes={"params": 0},
            split_rngs={"params": True},
            in_axes=(0, nn.broadcast, nn.broadcast, nn.broadcast),
            length=self.depth,
        )(
            heads=self.heads,
            hidden=self.hidden,
            dropout=self.dropout,
            attend=self.attend,
            name="layers",
            **self.numerics,
        )
        h = h.astype(jnp.result_type(h, told))  # a scan's carry keeps its dtype
        return scanned(h, jnp.arange(self.depth), told, mask, keys)[0]


class Layer(Computed):
    """Attention, then an MLP, each modulated by what the layer is told, and gated.

    h <- h + gate f(norm(h) (1 + scale) + shift), where shift, scale and gate are 0 at
    the start, and the layer the identity.

    heads, hidden, dropout, attend: as for `Stack`.
    """

    heads: int
    hidden: int | None = None
    dropout: float = 0.0
    attend: Attend = layers.attend

    @nn.compact
    def __call__(
        self,
        h: Array,
        index: Array,
        told: Array,
        mask: Array | None = None,
        keys: Array | None = None,
    ) -> tuple[Array, None]:
        """h [B, N, D], index [] of the layer -> h, and nothing to stack."""
        width = h.shape[-1]
        if keys is not None:
            keys = jax.vmap(jax.random.fold_in, (0, None))(keys, index)
        modulation = layers.zero_dense(self, 6 * width, "modulation")(nn.silu(told))
        shift_1, scale_1, gate_1, shift_2, scale_2, gate_2 = jnp.split(
            modulation, 6, axis=-1
        )
        y = layers.scale_shift(plain_norm(self, "norm_1")(h), scale_1, shift_1)
        y = layers.Attention(
            heads=self.heads, attend=self.attend, name="attention", **self.numerics
        )(y, mask)
        y = layers.Dropout(self.dropout, name="dropout_1")(y, keys)
        h = h + layers.per_channel(gate_1, y) * y
        y = layers.scale_shift(plain_norm(self, "norm_2")(h), scale_2, shift_2)
        y = nn.Dense(self.hidden or 4 * width, name="mlp_1", **self.numerics)(y)
        y = nn.Dense(width, name="mlp_2", **self.numerics)(nn.gelu(y))
        y = layers.Dropout(self.dropout, name="dropout_2")(y, keys)
        return h + layers.per_channel(gate_2, y) * y, None


class Modulated(Computed):
    """The last normalisation: norm(h) (1 + scale) + shift, both 0 at the start."""

    @nn.compact
    def __call__(self, h: Array, told: Array) -> Array:
        """h [B, N, D], told [B, C] -> [B, N, D]."""
        modulation = layers.zero_dense(self, 2 * h.shape[-1], "modulation")
        shift, scale = jnp.split(modulation(nn.silu(told)), 2, axis=-1)
        return layers.scale_shift(plain_norm(self, "norm")(h), scale, shift)
