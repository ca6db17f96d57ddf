"""A convolutional encoder and decoder of images: the pair of AE, VAE and VQ-VAE.

Each of `widths` halves the image, rounding up, with a 4x4 convolution of stride 2;
residual blocks follow at the smallest size. The decoder mirrors this and crops back to
the size it is told, so that any size from 8 on will do, odd ones too. van den Oord et
al. 2017 (VQ-VAE, arXiv:1711.00937), section 4.1.
"""

import math

import flax.linen as nn
import jax
import jax.numpy as jnp

from diffjax.nets import layers
from diffjax.nets.layers import Computed
from diffjax.types import Array

SMALLEST = 8
"""Height and width that convolutions of stride 2 still make sense for."""


class Encoder(Computed):
    """Images to a smaller image of vectors.

    channels: of the output; twice those of the latent for a VAE, mean and log variance
    (`vae.halves` splits them).  widths: one halving each.  blocks: residual ones at the
    smallest size.  dropout: share of their units.  remat: recompute them.
    """

    channels: int
    widths: tuple[int, ...] = (128, 256)
    blocks: int = 2
    dropout: float = 0.0
    remat: bool = False

    @nn.compact
    def __call__(self, x: Array, *, rng: Array | None = None) -> Array:
        """x [B, H, W, C] -> [B, h, w, channels], h = ceil(H / 2^len(widths))."""
        if x.ndim != 4:
            raise ValueError(
                f"expected images [B, H, W, C], got {x.shape}; add the axis of channels"
            )
        large_enough(x.shape[1:3])
        block = nn.remat(ResidualBlock) if self.remat else ResidualBlock
        h = x
        for i, width in enumerate(self.widths):
            h = nn.Conv(width, (4, 4), 2, name=f"down_{i}", **self.numerics)(h)
            h = h if i == len(self.widths) - 1 else nn.relu(h)
        for i in range(self.blocks):
            h = block(dropout=self.dropout, name=f"block_{i}", **self.numerics)(h, rng)
        return nn.Conv(self.channels, (1, 1), name="out", **self.numerics)(nn.relu(h))


class Decoder(Computed):
    """A smaller image of vectors back to an image, or to what a likelihood reads.

    shape: of one output, (H, W, ...): (32, 32, 3) for means, (32, 32, 3, 256) for
    logits of levels.  widths, blocks, dropout, remat: as for the encoder, from the
    image inwards.
    """

    shape: tuple[int, ...]
    widths: tuple[int, ...] = (128, 256)
    blocks: int = 2
    dropout: float = 0.0
    remat: bool = False

    @nn.compact
    def __call__(self, z: Array, *, rng: Array | None = None) -> Array:
        """z [B, h, w, D] -> [B, *shape]."""
        sizes = self._sizes(z)
        channels = (math.prod(self.shape[2:]), *self.widths)
        block = nn.remat(ResidualBlock) if self.remat else ResidualBlock
        h = nn.Conv(channels[-1], (3, 3), name="in", **self.numerics)(z)
        for i in range(self.blocks):
            h = block(dropout=self.dropout, name=f"block_{i}", **self.numerics)(h, rng)
        for i in reversed(range(len(self.widths))):
            up = Doubling(width=channels[i], name=f"up_{i}", **self.numerics)
            height, width = sizes[i]
            h = up(nn.relu(h))[:, :height, :width]
        return h.reshape(len(z), *self.shape)

    def _sizes(self, z: Array) -> list[tuple[int, int]]:
        """Of the image, and after each halving."""
        large_enough(self.shape[:2])
        sizes = [(self.shape[0], self.shape[1])]
        for _ in self.widths:
            sizes.append((-(-sizes[-1][0] // 2), -(-sizes[-1][1] // 2)))
        if z.ndim != 4 or z.shape[1:3] != sizes[-1]:
            raise ValueError(
                f"expected z [B, {sizes[-1][0]}, {sizes[-1][1]}, D], that is "
                f"{self.shape[:2]} halved {len(self.widths)} times, got {z.shape}; "
                "give the decoder the encoder's widths and the image's shape"
            )
        return sizes


class Doubling(Computed):
    """`nn.ConvTranspose` with a 4x4 kernel and stride 2: an image twice as large.

    y_{2r + a, 2c + b} = sum_{i, j} x_{r + i - 1, c + j - 1} W_{2i - a, 2j - b}

    where W is 0 outside its 4 rows and columns: each of the four places (a, b) that a
    pixel becomes is a channel of one 3x3 convolution. More than half of its kernel are
    zeros, and yet on a CPU its gradient takes a third of the time of XLA's own form.

    width: channels of the output.
    """

    width: int

    @nn.compact
    def __call__(self, x: Array) -> Array:
        """x [B, H, W, C] -> [B, 2 H, 2 W, width]."""
        B, H, W, C = x.shape
        init, zeros = nn.initializers.lecun_normal(), nn.initializers.zeros
        shape = (4, 4, C, self.width)
        kernel = self.param("kernel", init, shape, self.param_dtype)
        bias = self.param("bias", zeros, (self.width,), self.param_dtype)
        x, kernel, bias = nn.dtypes.promote_dtype(x, kernel, bias, dtype=self.dtype)
        taps = jnp.pad(kernel, ((1, 1), (1, 1), (0, 0), (0, 0)))
        taps = taps.reshape(3, 2, 3, 2, C, self.width)[:, ::-1, :, ::-1]
        y = jax.lax.conv_general_dilated(
            x,
            taps.transpose(0, 2, 4, 1, 3, 5).reshape(3, 3, C, 4 * self.width),
            (1, 1),
            "SAME",
            dimension_numbers=("NHWC", "HWIO", "NHWC"),
            precision=self.precision,
        )
        y = y.reshape(B, H, W, 2, 2, self.width).transpose(0, 1, 3, 2, 4, 5)
        return y.reshape(B, 2 * H, 2 * W, self.width) + bias[None, None, None]


class ResidualBlock(Computed):
    """h + W_1x1 relu(W_3x3 relu(h)).

    dropout: share of the units between the two.
    """

    dropout: float = 0.0

    @nn.compact
    def __call__(self, h: Array, rng: Array | None = None) -> Array:
        """h [B, H, W, C] -> [B, H, W, C]."""
        width = h.shape[-1]
        y = nn.Conv(width, (3, 3), name="conv_1", **self.numerics)(nn.relu(h))
        y = layers.Dropout(self.dropout, name="dropout")(nn.relu(y), rng)
        return h + nn.Conv(width, (1, 1), name="conv_2", **self.numerics)(y)


def large_enough(size: tuple[int, ...]) -> None:
    r"""Raise unless an image can be halved a few times.

        min(H, W) >= 8

    Args: size: (H, W).
    Returns: nothing (no unit).
    """
    if min(size) < SMALLEST:
        raise ValueError(
            f"expected height and width >= {SMALLEST}, got {tuple(size)}; pad the "
            "images, or use mlp.MLP"
        )


def pool(x: Array, rate: int) -> Array:
    r"""The mean of every `rate` by `rate` places, of fewer at the far edges.

        y_{r, c} = mean x[r k : (r + 1) k, c k : (c + 1) k],    k = rate

    Args: x: [B, H, W, C].  rate: k.
    Returns: [B, ceil(H / k), ceil(W / k), C] (unit of x).
    """
    window, far = (rate, rate), ((0, -x.shape[1] % rate), (0, -x.shape[2] % rate))
    return nn.avg_pool(x, window, window, far, count_include_pad=False)


def unpool(x: Array, rate: int, size: tuple[int, int]) -> Array:
    r"""Every place repeated, and cropped: the way back from `pool`.

        y_{r, c} = x_{floor(r / k), floor(c / k)},    k = rate

    Args: x: [B, h, w, C].  rate: k.  size: (H, W), at most (k h, k w).
    Returns: [B, H, W, C] (unit of x).
    """
    x = jnp.repeat(jnp.repeat(x, rate, axis=1), rate, axis=2)
    return x[:, : size[0], : size[1]]
