"""Inception v3 as Frechet distances of images use it, at inference only.

    net.apply({"params": tree, "batch_stats": tree}, x [B, 299, 299, 3]) -> [B, 2048]

Szegedy et al. 2016 (arXiv:1512.00567), in the variant of TensorFlow's graph of
2015-12-05, by which Heusel et al. 2017 (arXiv:1706.08500) measure: average pools leave
the padding out, and the last block pools by the maximum. Modules have the names of the
keys of pytorch-fid's port. Nothing here is trained: batch norms use the statistics that
they are given, and there is no dropout and no `remat`.
"""

from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax.numpy as jnp

from diffjax.nets.layers import Computed
from diffjax.types import Array

SMALLEST = 75
"""Height and width that leave one place to the last blocks."""


class InceptionV3(Computed):
    """Images to the features that the graph's classifier reads."""

    @nn.compact
    def __call__(self, x: Array) -> Array:
        """x [B, H, W, 3] in [-1, 1] -> [B, 2048]."""
        if x.ndim != 4 or x.shape[-1] != 3 or min(x.shape[1:3]) < SMALLEST:
            raise ValueError(
                f"expected images [B, H, W, 3] of {SMALLEST} x {SMALLEST} or more, got "
                f"{list(x.shape)}; interop.inception.prepare makes them 299 x 299"
            )
        own = self.numerics
        h = Cell(32, (3, 3), 2, "VALID", name="Conv2d_1a_3x3", **own)(x)
        h = Cell(32, (3, 3), 1, "VALID", name="Conv2d_2a_3x3", **own)(h)
        h = Cell(64, (3, 3), name="Conv2d_2b_3x3", **own)(h)
        h = Cell(80, (1, 1), name="Conv2d_3b_1x1", **own)(halved(h))
        h = Cell(192, (3, 3), 1, "VALID", name="Conv2d_4a_3x3", **own)(h)
        h = halved(h)
        for name, width in {"5b": 32, "5c": 64, "5d": 64}.items():
            h = BlockA(width, name=f"Mixed_{name}", **own)(h)
        h = BlockB(name="Mixed_6a", **own)(h)
        for name, width in {"6b": 128, "6c": 160, "6d": 160, "6e": 192}.items():
            h = BlockC(width, name=f"Mixed_{name}", **own)(h)
        h = BlockD(name="Mixed_7a", **own)(h)
        h = BlockE(average, name="Mixed_7b", **own)(h)
        h = BlockE(maximum, name="Mixed_7c", **own)(h)
        return jnp.mean(h, axis=(1, 2))


class Cell(Computed):
    """A convolution without bias, a batch norm with given statistics, and a ReLU.

    relu(scale (W * x - mean) / sqrt(var + 0.001) + bias)

    width: channels.  size: of the kernel.  stride, padding: as for `nn.Conv`.
    """

    width: int
    size: tuple[int, int]
    stride: int = 1
    padding: str = "SAME"

    @nn.compact
    def __call__(self, x: Array) -> Array:
        """x [B, H, W, C] -> [B, h, w, width]."""
        h = nn.Conv(
            self.width,
            self.size,
            self.stride,
            padding=self.padding,
            use_bias=False,
            name="conv",
            **self.numerics,
        )(x)
        norm = nn.BatchNorm(
            use_running_average=True, epsilon=1e-3, name="bn", **self.dtypes
        )
        return nn.relu(norm(h))


class BlockA(Computed):
    """Of 1 x 1, 5 x 5, twice 3 x 3, and the mean: nearly figure 5.

    width: channels of the pooled branch.
    """

    width: int

    @nn.compact
    def __call__(self, x: Array) -> Array:
        """x [B, H, W, C] -> [B, H, W, 224 + width]."""
        parts = [
            Cell(64, (1, 1), name="branch1x1", **self.numerics)(x),
            chain(self, x, "branch5x5", (48, (1, 1)), (64, (5, 5))),
            chain(self, x, "branch3x3dbl", (64, (1, 1)), (96, (3, 3)), (96, (3, 3))),
            Cell(self.width, (1, 1), name="branch_pool", **self.numerics)(average(x)),
        ]
        return jnp.concatenate(parts, axis=-1)


class BlockB(Computed):
    """Every second place, by 3 x 3, twice 3 x 3, and the maximum: figure 10."""

    @nn.compact
    def __call__(self, x: Array) -> Array:
        """x [B, H, W, C] -> [B, (H - 1) // 2, (W - 1) // 2, 480 + C]."""
        last = ((3, 3), 2, "VALID")
        parts = [
            Cell(384, *last, name="branch3x3", **self.numerics)(x),
            chain(self, x, "branch3x3dbl", (64, (1, 1)), (96, (3, 3)), (96, *last)),
            halved(x),
        ]
        return jnp.concatenate(parts, axis=-1)


class BlockC(Computed):
    """Of 1 x 1, 7 x 7, twice 7 x 7, each in two passes, and the mean: figure 6.

    width: channels inside the branches of 7 x 7.
    """

    width: int

    @nn.compact
    def __call__(self, x: Array) -> Array:
        """x [B, H, W, C] -> [B, H, W, 768]."""
        first, across, down = ((self.width, s) for s in ((1, 1), (1, 7), (7, 1)))
        twice = (first, down, across, down, (192, (1, 7)))
        parts = [
            Cell(192, (1, 1), name="branch1x1", **self.numerics)(x),
            chain(self, x, "branch7x7", first, across, (192, (7, 1))),
            chain(self, x, "branch7x7dbl", *twice),
            Cell(192, (1, 1), name="branch_pool", **self.numerics)(average(x)),
        ]
        return jnp.concatenate(parts, axis=-1)


class BlockD(Computed):
    """Every second place, by 3 x 3, 7 x 7 and 3 x 3, and the maximum."""

    @nn.compact
    def __call__(self, x: Array) -> Array:
        """x [B, H, W, C] -> [B, (H - 1) // 2, (W - 1) // 2, 512 + C]."""
        last = ((3, 3), 2, "VALID")
        passes = [(192, size) for size in ((1, 1), (1, 7), (7, 1))]
        parts = [
            chain(self, x, "branch3x3", (192, (1, 1)), (320, *last)),
            chain(self, x, "branch7x7x3", *passes, (192, *last)),
            halved(x),
        ]
        return jnp.concatenate(parts, axis=-1)


class BlockE(Computed):
    """Of 1 x 1, 3 x 3 and twice 3 x 3 spread out, and a pool: figure 7.

    pool: `average`, or `maximum` in the last block of this variant.
    """

    pool: Callable[[Array], Array]

    @nn.compact
    def __call__(self, x: Array) -> Array:
        """x [B, H, W, C] -> [B, H, W, 2048]."""
        once = chain(self, x, "branch3x3", (384, (1, 1)))
        twice = chain(self, x, "branch3x3dbl", (448, (1, 1)), (384, (3, 3)))
        sides = {"a": (1, 3), "b": (3, 1)}
        parts = [
            Cell(320, (1, 1), name="branch1x1", **self.numerics)(x),
            *(
                Cell(384, size, name=f"{name}{side}", **self.numerics)(h)
                for name, h in {"branch3x3_2": once, "branch3x3dbl_3": twice}.items()
                for side, size in sides.items()
            ),
            Cell(192, (1, 1), name="branch_pool", **self.numerics)(self.pool(x)),
        ]
        return jnp.concatenate(parts, axis=-1)


def chain(layer: Computed, x: Array, name: str, *cells: tuple[Any, ...]) -> Array:
    r"""Cells one after the other, numbered from 1.

        cell_n(... cell_1(x))

    Args: layer: whose numerics to use.  x: [B, H, W, C].  name: of the parameters.
        cells: width, size, and stride and padding where they are not `Cell`'s own.
    Returns: [B, h, w, width of the last] (no unit).
    """
    for i, cell in enumerate(cells, 1):
        x = Cell(*cell, name=f"{name}_{i}", **layer.numerics)(x)
    return x


def average(x: Array) -> Array:
    r"""The mean of the 3 x 3 places around each, of fewer at the edges.

        y_p = mean { x_q : |p - q| <= 1, q in the image }

    TensorFlow's rule: the padding is not counted.

    Args: x: [B, H, W, C].
    Returns: [B, H, W, C] (unit of x).
    """
    return nn.avg_pool(x, (3, 3), (1, 1), "SAME", count_include_pad=False)


def maximum(x: Array) -> Array:
    r"""The maximum of the 3 x 3 places around each, of fewer at the edges.

        y_p = max { x_q : |p - q| <= 1, q in the image }

    Args: x: [B, H, W, C].
    Returns: [B, H, W, C] (unit of x).
    """
    return nn.max_pool(x, (3, 3), (1, 1), "SAME")


def halved(x: Array) -> Array:
    r"""The maximum of 3 x 3 places, at every second place and within the image.

        y_p = max { x_q : 0 <= q - 2 p <= 2 }

    Args: x: [B, H, W, C].
    Returns: [B, (H - 1) // 2, (W - 1) // 2, C] (unit of x).
    """
    return nn.max_pool(x, (3, 3), (2, 2), "VALID")
