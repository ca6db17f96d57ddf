"""The U-Net of DDPM and its descendants, layer for layer as in published weights.

Levels run from the finest to the coarsest. Modules are named after the keys of public
checkpoints (`down_blocks_0/resnets_1/conv1`), so that `interop` need not know the
network. Sizes: height and width are multiples of 2^(levels - 1), at least 8 x 8 for
four levels; they need not be equal or fixed.
"""

import functools
from collections.abc import Callable

import flax.linen as nn

from diffjax.nets import embeddings
from diffjax.nets.layers import (
    Attend,
    Computed,
    attend,
    expect_label,
    group_norm,
    zero_conv,
)
from diffjax.nets.unet_blocks import (
    AttentionBlock,
    Condition,
    DownBlock,
    Make,
    MidBlock,
    Resample,
    ResnetBlock,
    UpBlock,
    additive,
    film,
)
from diffjax.types import Array

__all__ = ["UNet", "additive", "film"]


class UNet(Computed):
    """The network of DDPM: (x [B, H, W, C], t [B]) -> [B, H, W, out_channels].

    widths: channels of each level, finest first.  attention: for each level, whether
        its blocks attend; up_attention: the same on the way up, if it differs.
    layers: blocks of a level on the way down; there is one more on the way up.
    time_features: (t, width, *, freq_shift) -> [B, width], with freq_shift.
    time_scale: t is multiplied by it, 1000 / T for networks used to T = 1000.
    time_width: of the conditioning, four times the first width if None.
    condition: `additive` or `film`.  num_classes: 0, or of labels (with the "no class"
        of classifier-free guidance, if any); a label is then required.
    heads: of every attention; or as many as fit, each of head_dim.
    groups, eps: of every norm.  mid_groups: of the middle attention's, if it differs; 0
        for none.  mid_attention: whether there is any.
    down_padding: of the halving, before and after: (0, 1) in DDPM, (1, 1) later.
    dropout: its rate.  attend: `layers.attend` or `flash_attend`.  remat: of blocks.
    """

    out_channels: int
    widths: tuple[int, ...]
    attention: tuple[bool, ...]
    up_attention: tuple[bool, ...] | None = None
    layers: int = 2
    time_features: Callable[..., Array] = embeddings.sin_cos
    freq_shift: float = 1.0
    time_scale: float = 1.0
    time_width: int | None = None
    condition: Condition = additive
    num_classes: int = 0
    heads: int = 1
    head_dim: int | None = None
    groups: int = 32
    eps: float = 1e-6
    mid_groups: int | None = None
    mid_attention: bool = True
    down_padding: tuple[int, int] = (0, 1)
    dropout: float = 0.0
    attend: Attend = attend
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
        """x [B, H, W, C], t [B], label [B] -> [B, H, W, out_channels], of x's dtype."""
        self._check(x, t)
        last = len(self.widths) - 1
        emb = self._embedding(t, label)
        h = nn.Conv(self.widths[0], (3, 3), name="conv_in", **self.numerics)(x)
        kept = [h]
        for i, width in enumerate(self.widths):
            kept += DownBlock(
                self.layers,
                self._resnet(width),
                self._attention(self.attention[i]),
                self._resample(width, 2, self.down_padding) if i < last else None,
                name=f"down_blocks_{i}",
            )(kept[-1], emb, rng)
        h = MidBlock(
            self._resnet(self.widths[-1]),
            self._attention(self.mid_attention, self.mid_groups),
            name="mid_block",
        )(kept[-1], emb, rng)
        for i, width in enumerate(reversed(self.widths)):
            h = UpBlock(
                self._resnet(width),
                self._attention((self.up_attention or self.attention)[last - i]),
                self._resample(width, 1, (1, 1)) if i < last else None,
                name=f"up_blocks_{i}",
            )(h, kept[-self.layers - 1 :], emb, rng)
            del kept[-self.layers - 1 :]
        h = nn.silu(group_norm(self, self.groups, self.eps, "conv_norm_out")(h))
        return zero_conv(self, self.out_channels, "conv_out")(h).astype(x.dtype)

    def _embedding(self, t: Array, label: Array | None) -> Array:
        told = self.time_scale * t
        features = self.time_features(told, self.widths[0], freq_shift=self.freq_shift)
        width = self.time_width or 4 * self.widths[0]
        mlp = embeddings.TimeMLP(width=width, name="time_embedding", **self.numerics)
        emb = mlp(features)
        expect_label(label, len(t), self.num_classes)
        if label is None:
            return emb
        table = embeddings.Learned(
            num=self.num_classes, width=width, name="class_embedding", **self.numerics
        )
        return emb + table(label)

    def _resnet(self, width: int) -> Make:
        return functools.partial(
            nn.remat(ResnetBlock) if self.remat else ResnetBlock,
            width=width,
            condition=self.condition,
            groups=self.groups,
            eps=self.eps,
            dropout=self.dropout,
            **self.numerics,
        )

    def _attention(self, wanted: bool, groups: int | None = None) -> Make | None:
        make = functools.partial(
            nn.remat(AttentionBlock) if self.remat else AttentionBlock,
            heads=self.heads,
            head_dim=self.head_dim,
            groups=self.groups if groups is None else groups,
            eps=self.eps,
            attend=self.attend,
            **self.numerics,
        )
        return make if wanted else None

    def _resample(self, width: int, strides: int, padding: tuple[int, int]) -> Make:
        return functools.partial(
            Resample, width=width, strides=strides, padding=padding, **self.numerics
        )

    def _check(self, x: Array, t: Array) -> None:
        levels = len(self.widths)
        for name in ("attention", "up_attention"):
            flags = getattr(self, name)
            if flags is not None and len(flags) != levels:
                raise ValueError(
                    f"expected {name} to say yes or no for each of {levels} levels, "
                    f"got {flags}"
                )
        if any(width % self.groups for width in self.widths):
            raise ValueError(
                f"expected widths that {self.groups} groups divide, got {self.widths}"
            )
        if x.ndim != 4 or t.shape != x.shape[:1]:
            raise ValueError(
                f"expected x [B, H, W, C] and t [B], got {x.shape} and {t.shape}"
            )
        multiple = 2 ** (levels - 1)
        if any(side % multiple or side == 0 for side in x.shape[1:3]):
            raise ValueError(
                f"expected height and width to be multiples of {multiple} for {levels} "
                f"levels, got {x.shape[1:3]}; pad the images, or take fewer levels"
            )
