"""Small classifiers of images: for features to compare samples by, and for guidance."""

import flax.linen as nn
import jax.numpy as jnp

from diffjax.nets import layers
from diffjax.nets.conv import large_enough, pool
from diffjax.nets.layers import Computed
from diffjax.nets.mlp import Condition
from diffjax.types import Array


class Classifier(Computed):
    """Logits of a class; `method="features"` gives what they are made of.

    num_classes: classes.  widths: channels, each a halving.  groups: of the
    normalisations.  dropout: share of the units of each block.  remat: recompute them.
    """

    num_classes: int
    widths: tuple[int, ...] = (32, 64, 128)
    groups: int = 8
    dropout: float = 0.0
    remat: bool = False

    def setup(self) -> None:
        """Both methods share the trunk."""
        self.trunk = Trunk(
            widths=self.widths,
            groups=self.groups,
            dropout=self.dropout,
            remat=self.remat,
            **self.numerics,
        )
        self.head = nn.Dense(self.num_classes, **self.numerics)

    def __call__(self, x: Array, *, rng: Array | None = None) -> Array:
        """x [B, H, W, C] -> logits [B, num_classes]."""
        return self.head(self.features(x, rng=rng))

    def features(self, x: Array, *, rng: Array | None = None) -> Array:
        """x [B, H, W, C] -> [B, widths[-1]], for a Frechet distance."""
        return self.trunk(x, rng=rng)


class TimedClassifier(Computed):
    """Logits of a class from a noisy image: what classifier guidance follows.

    Dhariwal & Nichol 2021 (arXiv:2105.05233), section 4.

    told: width of what the blocks are told of t.  time_scale: as for `mlp.Condition`.
    Others as for `Classifier`.
    """

    num_classes: int
    widths: tuple[int, ...] = (32, 64, 128)
    groups: int = 8
    told: int = 128
    time_scale: float = 1.0
    dropout: float = 0.0
    remat: bool = False

    @nn.compact
    def __call__(self, x: Array, t: Array, *, rng: Array | None = None) -> Array:
        """x [B, H, W, C], t [B] -> logits [B, num_classes]."""
        told = Condition(
            width=self.told,
            time_scale=self.time_scale,
            name="condition",
            **self.numerics,
        )(t)
        h = Trunk(
            widths=self.widths,
            groups=self.groups,
            dropout=self.dropout,
            remat=self.remat,
            name="trunk",
            **self.numerics,
        )(x, told, rng=rng)
        return nn.Dense(self.num_classes, name="head", **self.numerics)(h)


class Trunk(Computed):
    """Residual blocks, each ending in a halving, then the mean over places.

    widths, groups, dropout, remat: as for `Classifier`.
    """

    widths: tuple[int, ...]
    groups: int
    dropout: float = 0.0
    remat: bool = False

    @nn.compact
    def __call__(
        self, x: Array, told: Array | None = None, *, rng: Array | None = None
    ) -> Array:
        """x [B, H, W, C], told [B, D] -> [B, widths[-1]]."""
        large_enough(x.shape[1:3])
        block = nn.remat(DownBlock) if self.remat else DownBlock
        h = nn.Conv(self.widths[0], (3, 3), name="in", **self.numerics)(x)
        for i, width in enumerate(self.widths):
            h = block(
                width=width,
                groups=self.groups,
                dropout=self.dropout,
                name=f"block_{i}",
                **self.numerics,
            )(h, told, rng)
        h = nn.silu(layers.group_norm(self, self.groups, 1e-6, "norm")(h))
        return jnp.mean(h, axis=(1, 2))


class DownBlock(Computed):
    """A residual block, its input added, then the mean of every two by two places.

    width: channels.  groups: of the normalisations.  dropout: share of the units.
    """

    width: int
    groups: int
    dropout: float = 0.0

    @nn.compact
    def __call__(
        self, h: Array, told: Array | None = None, rng: Array | None = None
    ) -> Array:
        """h [B, H, W, C], told [B, D] -> [B, ceil(H / 2), ceil(W / 2), width]."""
        h = nn.Conv(self.width, (1, 1), name="shortcut", **self.numerics)(h)
        y = nn.silu(layers.group_norm(self, self.groups, 1e-6, "norm_1")(h))
        y = nn.Conv(self.width, (3, 3), name="conv_1", **self.numerics)(y)
        y = layers.group_norm(self, self.groups, 1e-6, "norm_2")(y)
        if told is not None:
            modulation = nn.Dense(2 * self.width, name="modulation", **self.numerics)
            scale, shift = jnp.split(modulation(nn.silu(told)), 2, axis=-1)
            y = layers.scale_shift(y, scale, shift)
        y = layers.Dropout(self.dropout, name="dropout")(nn.silu(y), rng)
        y = nn.Conv(self.width, (3, 3), name="conv_2", **self.numerics)(y)
        return pool(h + y, 2)
