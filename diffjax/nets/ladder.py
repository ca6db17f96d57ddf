"""The parts of a very deep top-down HVAE of images (VDVAE, NVAE).

    parts = ladder.top_down((32, 32), (100,), LEVELS)
    hvae.ladder_objective(hvae.LadderNets(*parts), likelihood=...)

Child 2021 (VDVAE, arXiv:2011.10650), figure 3. The state h of a layer is an image x of
`width` channels, with what the prior block says of it: mean and log variance of the
latent, and what it adds to x. So one block serves the prior and the merge, as in the
published code. At the top both are 0: the first latent is N(0, I), which loses nothing,
since the layers around it are affine.
"""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import flax.linen as nn
import jax.numpy as jnp

from diffjax.nets.conv import pool, unpool
from diffjax.nets.layers import Computed
from diffjax.types import Array

LIMIT = 20.0
"""Of |log variance|, approached smoothly: published codes have none, and overflow."""


class Level(NamedTuple):
    """The blocks that work at one size of the image.

    enc: blocks of the encoder; the last one ends in the pooling.
    dec: layers, a latent each.
    pool: by how much the image shrinks above this level; 1 at the top.
    """

    enc: int
    dec: int
    pool: int


class Parts(NamedTuple):
    """The networks, in the order of `hvae.LadderNets`; layers from the data upwards.

    features: x -> activations, one image a level.
    encode: (h, features) -> (mean, log_var).
    prior: h -> (mean, log_var).
    merge: (h, z) -> h of the layer below.
    read: h of the data -> what the likelihood reads.
    width: shape of h at the top.
    """

    features: nn.Module
    encode: tuple[nn.Module, ...]
    prior: tuple[nn.Module, ...]
    merge: tuple[nn.Module, ...]
    read: nn.Module
    width: tuple[int, ...]


def top_down(
    size: tuple[int, int],
    shape: tuple[int, ...],
    levels: Sequence[Level],
    *,
    width: int = 384,
    latent: int = 16,
    bottleneck: float = 0.25,
    remat: bool = False,
    dtype: Any = None,
    param_dtype: Any = jnp.float32,
    precision: Any = None,
) -> Parts:
    r"""All networks of a top-down HVAE.

        h_{i-1} = prior_{i-1}( block(x + added + W z_i) ),    L = sum of levels' dec

    Child 2021 (VDVAE, arXiv:2011.10650), section 3.

    Args: size: (H, W) of the images.  shape: what the decoder says of each pixel: (C,)
        or, for a likelihood, (100,).  levels: from the data upwards.  width: channels.
        latent: channels of each z.  bottleneck: share of the channels inside a block.
        remat: recompute the blocks.  dtype, param_dtype, precision: of the networks.
    Returns: Parts.
    """
    _consistent(levels)
    sizes = [size]
    for level in levels[:-1]:
        height, across = sizes[-1]
        sizes.append((-(-height // level.pool), -(-across // level.pool)))
    common: dict[str, Any] = {
        "width": width,
        "latent": latent,
        "inner": max(1, int(bottleneck * width)),
        "remat": remat,
        "dtype": dtype,
        "param_dtype": param_dtype,
        "precision": precision,
    }
    places = [k for k, level in enumerate(levels) for _ in range(level.dec)]
    below = [None, *places[:-1]]
    merge = tuple(
        Merge(
            below=None if k is None else sizes[k],
            rate=1 if k in (None, place) else levels[k].pool,
            share=1 / len(places),
            **common,
        )
        for place, k in zip(places, below, strict=True)
    )
    return Parts(
        features=Features(levels=tuple(levels), **common),
        encode=tuple(Posterior(level=k, **common) for k in places),
        prior=tuple(Prior(**common) for _ in places),
        merge=merge,
        read=Read(shape=shape, **common),
        width=(*sizes[-1], 2 * width + 2 * latent),
    )


class Part(Computed, kw_only=True):
    """What all parts know.

    width: channels of x.  latent: of z.  inner: of a block's middle.  remat: recompute
    the blocks.
    """

    width: int
    latent: int
    inner: int
    remat: bool = False

    def block(self, out: int, name: str, *, share: float = 1.0) -> "Block":
        """A block to `out` channels, the variance of its last weights times `share`."""
        kind = nn.remat(Block) if self.remat else Block
        return kind(inner=self.inner, out=out, share=share, name=name, **self.numerics)


class Features(Part):
    """The encoder from the data upwards, what it saw at each level kept.

    levels: from the data upwards.
    """

    levels: tuple[Level, ...]

    @nn.compact
    def __call__(self, x: Array) -> tuple[Array, ...]:
        """x [B, H, W, C] -> one [B, h, w, width] a level."""
        share = 1 / sum(level.enc for level in self.levels)
        x = nn.Conv(self.width, (3, 3), name="in", **self.numerics)(x)
        seen = []
        for k, level in enumerate(self.levels):
            for j in range(level.enc):
                if j == level.enc - 1 and level.pool > 1:
                    seen.append(x)
                x = x + self.block(self.width, f"block_{k}_{j}", share=share)(x)
            x = pool(x, level.pool) if level.pool > 1 else x
        return (*seen, x)


class Posterior(Part):
    """What the encoder says of a latent, given the layers above and the data.

    level: whose activations it reads.
    """

    level: int

    @nn.compact
    def __call__(self, h: Array, features: tuple[Array, ...]) -> tuple[Array, Array]:
        """h [B, h, w, D], all features -> mean, log_var [B, h, w, latent]."""
        seen = features[self.level]
        x = jnp.concatenate([h[..., : self.width].astype(seen.dtype), seen], axis=-1)
        return moments(self.block(2 * self.latent, "block")(x))


class Prior(Part):
    """What the layers above say of a latent: a part of h, with no weights."""

    @nn.compact
    def __call__(self, h: Array) -> tuple[Array, Array]:
        """h [B, h, w, D] -> mean, log_var [B, h, w, latent]."""
        return moments(h[..., self.width : self.width + 2 * self.latent])


class Merge(Part):
    """A latent goes into the image, which grows if the layer below is larger.

    below: (H, W) of the layer below, None for the lowest layer.  rate: by how much it
    is larger.  share: 1 / L, for the variance of the weights that add to x.
    """

    below: tuple[int, int] | None
    rate: int
    share: float

    @nn.compact
    def __call__(self, h: Array, z: Array) -> Array:
        """h [B, h, w, D], z [B, h, w, latent] -> h of the layer below, or its x."""
        x = h[..., : self.width] + h[..., self.width + 2 * self.latent :]
        x = x + nn.Conv(
            self.width,
            (1, 1),
            kernel_init=_scaled(self.share),
            name="z",
            **self.numerics,
        )(z)
        x = x + self.block(self.width, "block", share=self.share)(x)
        if self.below is None:
            return x
        if self.rate > 1:
            x = unpool(x, self.rate, self.below)
            bias = self.param(
                "bias", nn.initializers.zeros, (*x.shape[1:],), self.param_dtype
            )
            x = x + bias.astype(x.dtype)[None]
        says = self.block(2 * self.latent + self.width, "prior", share=0.0)(x)
        return jnp.concatenate([x, says], axis=-1)


class Read(Part):
    """What the decoder says of every pixel.

    shape: of it.
    """

    shape: tuple[int, ...]

    @nn.compact
    def __call__(self, h: Array) -> Array:
        """h [B, H, W, width] -> [B, H, W, *shape]."""
        ones, zeros = nn.initializers.ones, nn.initializers.zeros
        gain = self.param("gain", ones, (self.width,), self.param_dtype)
        bias = self.param("bias", zeros, (self.width,), self.param_dtype)
        unit = (1,) * (h.ndim - 1) + (self.width,)
        h = h * gain.astype(h.dtype).reshape(unit) + bias.astype(h.dtype).reshape(unit)
        out = nn.Conv(math.prod(self.shape), (1, 1), name="out", **self.numerics)(h)
        return out.reshape(*h.shape[:-1], *self.shape)


class Block(Computed):
    """1x1, 3x3, 3x3 and 1x1 convolutions through a narrow middle, GELU before each.

    Where a side is of one or two places, 1x1 takes the place of 3x3.

    inner: channels of the middle.  out: of the output.  share: of the usual variance
    of the last weights; 0 starts as 0, 1 / n keeps n residual blocks from growing.
    """

    inner: int
    out: int
    share: float = 1.0

    @nn.compact
    def __call__(self, x: Array) -> Array:
        """x [B, H, W, C] -> [B, H, W, out]."""
        side = 3 if max(x.shape[1:3]) > 2 else 1
        for name, size in (("conv_1", 1), ("conv_2", side), ("conv_3", side)):
            x = nn.Conv(self.inner, (size, size), name=name, **self.numerics)(
                nn.gelu(x, approximate=False)
            )
        last = nn.Conv(
            self.out,
            (1, 1),
            kernel_init=_scaled(self.share),
            name="conv_4",
            **self.numerics,
        )
        return last(nn.gelu(x, approximate=False))


def moments(said: Array) -> tuple[Array, Array]:
    r"""The two halves of the last axis, the log variance kept from overflowing.

        mean, 20 tanh(raw / 20)

    Args: said: [..., 2 d].
    Returns: mean [..., d], log_var [..., d] (latent units; nats).
    """
    mean, raw = jnp.split(said, 2, axis=-1)
    return mean, LIMIT * jnp.tanh(raw / LIMIT)


def _scaled(share: float) -> nn.initializers.Initializer:
    if share == 0:
        return nn.initializers.zeros
    return nn.initializers.variance_scaling(share, "fan_in", "truncated_normal")


def _consistent(levels: Sequence[Level]) -> None:
    if not levels:
        raise ValueError("expected a level or more, got none; one is a deep VAE")
    for k, (enc, dec, rate) in enumerate(levels, 1):
        top = k == len(levels)
        if enc < 1 or dec < 1 or (rate != 1 if top else rate < 2):
            raise ValueError(
                "expected enc, dec >= 1 and pool >= 2 at every level, 1 at the top, "
                f"got {(enc, dec, rate)} at level {k} of {len(levels)}"
            )
