"""The networks of variational diffusion: a U-Net at one size, and a monotone gamma."""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from diffjax.nets import embeddings, layers
from diffjax.nets.layers import Attend, Computed
from diffjax.nets.mlp import Condition
from diffjax.types import Array, example_keys


class FlatUNet(Computed):
    """A U-Net that never changes the size of the image, so any size will do.

    Kingma et al. 2021 (VDM, arXiv:2107.00630), appendix B. The image goes in with its
    Fourier features and is added to the output, which starts as x itself: noise is
    most of what it sees. Residual blocks are alike and visited by two scans, down and
    up, with a skip from each to its counterpart.

    depth: residual blocks on the way down; one more goes up.  width: channels.
    groups: of the normalisations.  first, last: exponents of the Fourier features.
    heads: of the attention in the middle.  num_classes, time_scale: as for
    `mlp.Condition`; t in [0, 1] is expected, or gamma scaled to it.  dropout: share of
    the units of each block.  attend: of `layers`.  remat: recompute each block.
    """

    depth: int = 32
    width: int = 128
    groups: int = 32
    first: int = 6
    last: int = 7
    heads: int = 1
    num_classes: int = 0
    time_scale: float = 1000.0
    dropout: float = 0.0
    attend: Attend = layers.attend
    remat: bool = False

    @nn.compact
    def __call__(
        self,
        x: Array,
        t: Array,
        label: Array | None = None,
        *,
        rng: Array | None = None,
    ) -> Array:
        """x [B, H, W, C], t [B], label [B] -> [B, H, W, C], as eps."""
        keys = None if rng is None else example_keys(rng, len(x))
        told = Condition(
            width=4 * self.width,
            features=self.width,
            num_classes=self.num_classes,
            time_scale=self.time_scale,
            name="condition",
            **self.numerics,
        )(t, label)
        wide = x.astype(jnp.promote_types(x.dtype, jnp.float32))  # angles of many turns
        waves = embeddings.fourier(wide, first=self.first, last=self.last)
        start = nn.Conv(self.width, (3, 3), name="in", **self.numerics)(
            jnp.concatenate([x, waves], axis=-1)
        )
        number = jnp.arange(self.depth + 1)
        h, skips = self._blocks("down", self.depth)(
            start, told, keys, number[:-1], None
        )
        h, _ = self._block("middle_1")(h, told, keys)
        h = self._attention(h)
        h, _ = self._block("middle_2")(h, told, keys)
        skips = jnp.concatenate([start[None], skips])[::-1]
        h, _ = self._blocks("up", self.depth + 1)(h, told, keys, number, skips)
        h = nn.silu(layers.group_norm(self, self.groups, 1e-6, "norm")(h))
        return layers.zero_conv(self, x.shape[-1], "out")(h).astype(x.dtype) + x

    def _block(self, name: str) -> Any:
        block = nn.remat(FlatBlock) if self.remat else FlatBlock
        return block(
            groups=self.groups, dropout=self.dropout, name=name, **self.numerics
        )

    def _blocks(self, name: str, num: int) -> Any:
        block: Any = nn.remat(FlatBlock, prevent_cse=False) if self.remat else FlatBlock
        scanned = nn.scan(
            block,
            variable_axes={"params": 0},
            split_rngs={"params": True},
            in_axes=(nn.broadcast, nn.broadcast, 0, 0),
            length=num,
        )
        fields = {"groups": self.groups, "dropout": self.dropout, **self.numerics}
        return scanned(name=name, **fields)

    def _attention(self, h: Array) -> Array:
        tokens = layers.group_norm(self, self.groups, 1e-6, "attention_norm")(h)
        attention = layers.Attention(
            heads=self.heads, attend=self.attend, name="attention", **self.numerics
        )
        return h + attention(tokens.reshape(len(h), -1, self.width)).reshape(h.shape)


class FlatBlock(Computed):
    """h + conv(silu(norm(conv(silu(norm(h))) + W told))), the last conv 0 at the start.

    groups: of the normalisations.  dropout: share of the units.
    """

    groups: int
    dropout: float = 0.0

    @nn.compact
    def __call__(
        self,
        h: Array,
        told: Array,
        keys: Array | None = None,
        number: Array | int = 0,
        skip: Array | None = None,
    ) -> tuple[Array, Array | None]:
        """h [B, H, W, C], number [] among its like, skip as h -> h, and its skip."""
        if keys is not None:
            keys = jax.vmap(jax.random.fold_in, (0, None))(keys, number)
        width = h.shape[-1]
        x = h if skip is None else jnp.concatenate([h, skip], axis=-1)
        y = nn.silu(layers.group_norm(self, self.groups, 1e-6, "norm_1")(x))
        y = nn.Conv(width, (3, 3), name="conv_1", **self.numerics)(y)
        zeros = nn.initializers.zeros
        y = y + layers.per_channel(
            nn.Dense(
                width, use_bias=False, kernel_init=zeros, name="told", **self.numerics
            )(nn.silu(told)),
            y,
        )
        y = nn.silu(layers.group_norm(self, self.groups, 1e-6, "norm_2")(y))
        y = layers.Dropout(self.dropout, name="dropout")(y, keys)
        y = layers.zero_conv(self, width, "conv_2")(y)
        if skip is None:
            return h + y, h + y
        return nn.Dense(width, name="shortcut", **self.numerics)(x) + y, None


class Gamma(Computed):
    """A learned noise schedule, increasing whatever its weights.

    gamma(t) = |a| t + b + 1/W sum_i |c_i| (2 sigmoid(|d_i| (2 t - 1) + e_i) - 1)

    Kingma et al. 2021, appendix H and published code: a line from gamma_min to
    gamma_max at the start, but for small weights c and d. Always in float32: it is
    exponentiated.

    gamma_min, gamma_max: -log SNR at t = 0 and 1, at the start.  width: W.
    """

    gamma_min: float = -13.3
    gamma_max: float = 5.0
    width: int = 1024

    @nn.compact
    def __call__(self, t: Array) -> Array:
        """t [...] in [0, 1] -> gamma [...] (nats)."""
        constant, normal = nn.initializers.constant, nn.initializers.normal(0.01)
        span = constant(self.gamma_max - self.gamma_min)
        slope = jnp.abs(self.param("slope", span, ()))
        offset = self.param("offset", constant(self.gamma_min), ())
        inner = jnp.abs(self.param("inner", normal, (self.width,)))
        inner_offset = self.param("inner_offset", constant(0.0), (self.width,))
        outer = jnp.abs(self.param("outer", normal, (self.width,)))
        angles = jnp.multiply.outer(2 * t - 1, inner)  # [..., W]
        unit = (1,) * t.ndim + (self.width,)
        bend = 2 * nn.sigmoid(angles + inner_offset.reshape(unit)) - 1
        return slope * t + offset + jnp.mean(outer.reshape(unit) * bend, axis=-1)
