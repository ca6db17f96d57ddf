"""The diffusion transformer: an image as a sequence of patches (Peebles & Xie 2023)."""

import flax.linen as nn
import jax.numpy as jnp

from diffjax.nets import embeddings, layers
from diffjax.nets.layers import Attend, Computed
from diffjax.nets.mlp import Condition
from diffjax.nets.stack import Modulated, Stack
from diffjax.types import Array


class DiT(Computed):
    """Images to images of the same size, through a transformer of their patches.

    Peebles & Xie 2023 (DiT, arXiv:2212.09748) with adaLN-zero: the output is 0 at the
    start. Any size that the patch divides, square or not.

    channels: of the output, those of x if None; twice as many for a learned variance.
    patch: its side.  width, depth, heads: of the layers.  features: of t.  num_classes,
    time_scale: as for `mlp.Condition`.  dropout: share of each layer's additions.
    attend: of `layers`.  remat: recompute each layer.
    """

    channels: int | None = None
    patch: int = 2
    width: int = 384
    depth: int = 12
    heads: int = 6
    features: int = 256
    num_classes: int = 0
    time_scale: float = 1.0
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
        """x [B, H, W, C], t [B], label [B] -> [B, H, W, channels]."""
        patches = patchify(x, self.patch)
        rows, columns = x.shape[1] // self.patch, x.shape[2] // self.patch
        told = Condition(
            width=self.width,
            features=self.features,
            num_classes=self.num_classes,
            time_scale=self.time_scale,
            name="condition",
            **self.numerics,
        )(t, label)
        h = nn.Dense(self.width, name="embed", **self.numerics)(patches)
        h = h + positions(rows, columns, self.width).astype(h.dtype)[None]
        h = Stack(
            depth=self.depth,
            heads=self.heads,
            dropout=self.dropout,
            attend=self.attend,
            remat=self.remat,
            name="stack",
            **self.numerics,
        )(h, told, None, rng)
        h = Modulated(name="final", **self.numerics)(h, told)
        channels = x.shape[-1] if self.channels is None else self.channels
        h = layers.zero_dense(self, self.patch**2 * channels, "head")(h)
        return unpatchify(h, self.patch, rows).astype(x.dtype)


def patchify(x: Array, patch: int) -> Array:
    r"""An image as the sequence of its patches, in raster order.

        tokens_{r W / p + c} = x[r p : (r + 1) p, c p : (c + 1) p] flattened

    Dosovitskiy et al. 2021 (ViT, arXiv:2010.11929), section 3.1.

    Args: x: [B, H, W, C].  patch: p, the side of a patch.
    Returns: [B, H W / p^2, p^2 C] (unit of x).
    """
    if x.ndim != 4 or x.shape[1] % patch or x.shape[2] % patch:
        raise ValueError(
            f"expected images [B, H, W, C] with H and W divisible by the patch, {patch}"
            f", got {x.shape}; pad them, or choose another patch"
        )
    num, height, width, channels = x.shape
    rows, columns = height // patch, width // patch
    cut = x.reshape(num, rows, patch, columns, patch, channels)
    return cut.transpose(0, 1, 3, 2, 4, 5).reshape(num, rows * columns, -1)


def unpatchify(tokens: Array, patch: int, rows: int) -> Array:
    r"""The image of a sequence of patches: the inverse of `patchify`.

        unpatchify(patchify(x, p), p, H / p) = x

    Args: tokens: [B, N, p^2 C].  patch: p.  rows: of patches, a divisor of N.
    Returns: [B, rows p, N / rows p, C] (unit of the tokens).
    """
    num, columns = len(tokens), tokens.shape[1] // rows
    cut = tokens.reshape(num, rows, columns, patch, patch, -1)
    joined = cut.transpose(0, 1, 3, 2, 4, 5)
    return joined.reshape(num, rows * patch, columns * patch, -1)


def positions(rows: int, columns: int, width: int) -> Array:
    r"""Fixed features of where each patch is, half of the row and half of the column.

        [sin(w_k r), cos(w_k r), sin(w_k c), cos(w_k c)],    w_k = 1e4^(-4 k / width)

    Peebles & Xie 2023, published code.

    Args: rows, columns: of patches.  width: of the features, divisible by 4.
    Returns: [rows columns, width] (no unit).
    """
    if width % 4:
        raise ValueError(f"expected a width divisible by 4, got {width}")
    of_row, of_column = (
        embeddings.sin_cos(jnp.arange(n), width // 2) for n in (rows, columns)
    )
    return jnp.concatenate(
        [jnp.repeat(of_row, columns, axis=0), jnp.tile(of_column, (rows, 1))], axis=-1
    )
