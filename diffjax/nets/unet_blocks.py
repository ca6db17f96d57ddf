"""What the U-Net is made of: residual blocks, attention, and the blocks of a level."""

from collections.abc import Callable

import flax.linen as nn
import jax.numpy as jnp

from diffjax.nets.layers import (
    Attend,
    Attention,
    Computed,
    Dropout,
    group_norm,
    per_channel,
    scale_shift,
    zero_conv,
    zero_dense,
)
from diffjax.types import Array

Make = Callable[..., nn.Module]
Condition = Callable[[nn.Module, Array, Callable[[int], Array]], Array]
"""(norm, h [B, H, W, C], project: width -> [B, width]) -> [B, H, W, C]."""


def additive(norm: nn.Module, h: Array, project: Callable[[int], Array]) -> Array:
    r"""Time enters a block by addition, before the second norm.

        norm(h + W emb)

    Ho et al. 2020 (arXiv:2006.11239), published code.

    Args: norm: module.  h: [B, H, W, C].  project: the embedding, to a given width.
    Returns: [B, H, W, C] (no unit).
    """
    return norm(h + per_channel(project(h.shape[-1]), h))


def film(norm: nn.Module, h: Array, project: Callable[[int], Array]) -> Array:
    r"""Time enters a block as scale and shift, after the second norm.

        norm(h) (1 + W_1 emb) + W_2 emb

    Nichol & Dhariwal 2021 (arXiv:2102.09672), section 3.2 ("scale-shift norm").

    Args: norm, h, project: as for `additive`.
    Returns: [B, H, W, C] (no unit).
    """
    scale, shift = jnp.split(project(2 * h.shape[-1]), 2, axis=-1)
    return scale_shift(norm(h), scale, shift)


class ResnetBlock(Computed):
    """Two convolutions around the conditioning, beside a shortcut."""

    width: int
    condition: Condition
    groups: int
    eps: float
    dropout: float

    @nn.compact
    def __call__(self, x: Array, emb: Array, rng: Array | None) -> Array:
        """x [B, H, W, C], emb [B, E] -> [B, H, W, width]."""

        def project(width: int) -> Array:
            return nn.Dense(width, name="time_emb_proj", **self.numerics)(nn.silu(emb))

        h = nn.silu(group_norm(self, self.groups, self.eps, "norm1")(x))
        h = nn.Conv(self.width, (3, 3), name="conv1", **self.numerics)(h)
        norm = group_norm(self, self.groups, self.eps, "norm2")
        h = nn.silu(self.condition(norm, h, project))
        h = Dropout(self.dropout, name="dropout")(h, rng)
        h = zero_conv(self, self.width, "conv2")(h)
        if x.shape[-1] != self.width:
            x = nn.Conv(self.width, (1, 1), name="conv_shortcut", **self.numerics)(x)
        return x + h


class AttentionBlock(Computed):
    """Attention among all pixels, beside a shortcut; groups = 0 leaves out the norm."""

    heads: int
    head_dim: int | None
    groups: int
    eps: float
    attend: Attend

    @nn.compact
    def __call__(self, x: Array) -> Array:
        """x [B, H, W, C] -> [B, H, W, C]."""
        width = x.shape[-1]
        heads = self.heads if self.head_dim is None else max(width // self.head_dim, 1)
        if heads * (self.head_dim or width // heads) != width:
            raise ValueError(
                f"expected a width that {self.head_dim or self.heads} divides, got "
                f"{width}; see heads and head_dim"
            )
        h = x
        if self.groups:
            h = group_norm(self, self.groups, self.eps, "group_norm")(h)
        tokens = Attention(
            heads=heads,
            attend=self.attend,
            project=zero_dense,
            name="tokens",
            **self.numerics,
        )
        return x + tokens(h.reshape(len(h), -1, width)).reshape(x.shape)


class Resample(Computed):
    """The convolution that halves an image, or smooths a doubled one."""

    width: int
    strides: int
    padding: tuple[int, int]

    @nn.compact
    def __call__(self, x: Array) -> Array:
        """x [B, H, W, C] -> [B, H / strides, W / strides, width]."""
        return nn.Conv(
            self.width,
            (3, 3),
            strides=self.strides,
            padding=(self.padding, self.padding),
            name="conv",
            **self.numerics,
        )(x)


class DownBlock(nn.Module):
    """Blocks of one resolution, then half of it."""

    layers: int
    resnet: Make
    attention: Make | None
    halve: Make | None

    @nn.compact
    def __call__(self, h: Array, emb: Array, rng: Array | None) -> list[Array]:
        """h [B, H, W, C] -> all that the way up will need; the last one goes on."""
        kept = []
        for j in range(self.layers):
            h = self.resnet(name=f"resnets_{j}")(h, emb, rng)
            if self.attention is not None:
                h = self.attention(name=f"attentions_{j}")(h)
            kept.append(h)
        if self.halve is not None:
            kept.append(self.halve(name="downsamplers_0")(h))
        return kept


class MidBlock(nn.Module):
    """Two blocks of the coarsest resolution around attention."""

    resnet: Make
    attention: Make | None

    @nn.compact
    def __call__(self, h: Array, emb: Array, rng: Array | None) -> Array:
        """h [B, H, W, C] -> [B, H, W, C]."""
        h = self.resnet(name="resnets_0")(h, emb, rng)
        if self.attention is not None:
            h = self.attention(name="attentions_0")(h)
        return self.resnet(name="resnets_1")(h, emb, rng)


class UpBlock(nn.Module):
    """Blocks of one resolution, each shown what the way down kept, then twice of it."""

    resnet: Make
    attention: Make | None
    smooth: Make | None

    @nn.compact
    def __call__(
        self, h: Array, kept: list[Array], emb: Array, rng: Array | None
    ) -> Array:
        """h [B, H, W, C], kept: last one first -> [B, H or 2 H, W or 2 W, width]."""
        for j, skip in enumerate(reversed(kept)):
            h = jnp.concatenate([h, skip], axis=-1)
            h = self.resnet(name=f"resnets_{j}")(h, emb, rng)
            if self.attention is not None:
                h = self.attention(name=f"attentions_{j}")(h)
        if self.smooth is not None:
            doubled = jnp.repeat(jnp.repeat(h, 2, axis=1), 2, axis=2)
            h = self.smooth(name="upsamplers_0")(doubled)
        return h
