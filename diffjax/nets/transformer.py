"""Transformers of categories: for text, pixels or codes, in any order or left to right.

Tokens of any shape are read in the order of their axes (raster scan), positions are
rotary, and every layer is told of t and the label.
"""

import flax.linen as nn
import jax.numpy as jnp
import numpy as np

from diffjax.nets import layers
from diffjax.nets.layers import Attend, Computed
from diffjax.nets.mlp import Condition, Label
from diffjax.nets.stack import Modulated, Stack
from diffjax.types import Array


class Transformer(Computed):
    """Logits of every token from all the others: D3PM's network for text.

    Austin et al. 2021 (arXiv:2107.03006), appendix B.2, with the modulation and the
    rotary positions that later work on text8 has.

    K: categories.  width, depth, heads: of the layers.  hidden: units of each layer's
    MLP, 4 width if None.  told: width of what the layers are told.  num_classes,
    time_scale: as for `mlp.Condition`.  dropout: share of each layer's additions.
    tied: the head is the transposed embedding.  attend: of `layers`.  remat: recompute
    each layer.
    """

    K: int
    width: int = 256
    depth: int = 4
    heads: int = 4
    hidden: int | None = None
    told: int = 128
    num_classes: int = 0
    time_scale: float = 1.0
    dropout: float = 0.0
    tied: bool = False
    attend: Attend = layers.attend
    remat: bool = False

    @nn.compact
    def __call__(
        self,
        x: Array,
        t: Array,
        label: Array | None = None,
        length_mask: Array | None = None,
        *,
        rng: Array | None = None,
    ) -> Array:
        """x [B, ...], t [B], label [B], length_mask [B, ...] -> logits [B, ..., K].

        length_mask is False at padding, at which no token looks.
        """
        tokens, mask = _tokens(x), _keys_mask(x, length_mask)
        told = Condition(
            width=self.told,
            num_classes=self.num_classes,
            time_scale=self.time_scale,
            name="condition",
            **self.numerics,
        )(t, label)
        embed = nn.Embed(self.K, self.width, name="embed", **self.dtypes)
        h = Stack(
            depth=self.depth,
            heads=self.heads,
            hidden=self.hidden,
            dropout=self.dropout,
            attend=rotary_attend(self.attend),
            remat=self.remat,
            name="stack",
            **self.numerics,
        )(embed(tokens), told, mask, rng)
        h = Modulated(name="final", **self.numerics)(h, told)
        head = embed.attend if self.tied else layers.zero_dense(self, self.K, "head")
        return head(h).reshape(*x.shape, self.K)


class CausalTransformer(Computed):
    """Logits of every token from those before it: the prior over codes.

    `vq.prior.autoregressive(lambda c: net.apply(params, c[None])[0])` makes it one.
    A start token takes the place before the first.

    num_classes: 0, or of labels that the codes may be drawn for.  Others as for
    `Transformer`.
    """

    K: int
    width: int = 256
    depth: int = 4
    heads: int = 4
    hidden: int | None = None
    told: int = 128
    num_classes: int = 0
    dropout: float = 0.0
    attend: Attend = layers.attend
    remat: bool = False

    @nn.compact
    def __call__(
        self, x: Array, label: Array | None = None, *, rng: Array | None = None
    ) -> Array:
        """x [B, ...] integer, label [B] -> logits [B, ..., K]."""
        tokens = _tokens(x)
        shifted = jnp.pad(tokens[:, :-1], ((0, 0), (1, 0)), constant_values=self.K)
        told = Label(
            width=self.told, num_classes=self.num_classes, name="label", **self.numerics
        )(len(x), label)
        h = nn.Embed(self.K + 1, self.width, name="embed", **self.dtypes)(shifted)
        h = Stack(
            depth=self.depth,
            heads=self.heads,
            hidden=self.hidden,
            dropout=self.dropout,
            attend=rotary_attend(causal(self.attend)),
            remat=self.remat,
            name="stack",
            **self.numerics,
        )(h, told, None, rng)
        h = Modulated(name="final", **self.numerics)(h, told)
        logits = layers.zero_dense(self, self.K, "head")(h)
        return logits.reshape(*x.shape, self.K)


def rotary(x: Array, *, max_period: float = 1e4) -> Array:
    r"""Pairs of features turned by an angle that grows with the position.

        (a + i b)_{n, k} e^{i n w_k},    w_k = max_period^(-2 k / D), k = 0..D/2 - 1

    so that products of queries and keys know of positions by their difference alone.
    Su et al. 2021 (RoFormer, arXiv:2104.09864), section 3.2; a is the first half of the
    features and b the second.

    Args: x: [..., N, heads, D], queries or keys.  max_period: the longest, over 2 pi.
    Returns: [..., N, heads, D] (unit of x).
    """
    num, size = x.shape[-3], x.shape[-1]
    if size % 2:
        raise ValueError(
            f"expected an even number of features a head, got {size}; choose width and "
            "heads so that width / heads is even"
        )
    frequencies = max_period ** (-2 * np.arange(size // 2) / size)
    angles = np.outer(np.arange(num), frequencies)[:, None]  # [N, 1, D / 2]
    angles = angles.reshape((1,) * (x.ndim - 3) + angles.shape)
    wide = jnp.promote_types(x.dtype, jnp.float32)  # bfloat16 cannot tell n from n + 1
    cos, sin = jnp.asarray(np.cos(angles), wide), jnp.asarray(np.sin(angles), wide)
    a, b = jnp.split(x.astype(wide), 2, axis=-1)
    turned = jnp.concatenate([a * cos - b * sin, a * sin + b * cos], axis=-1)
    return turned.astype(x.dtype)


def rotary_attend(attend: Attend) -> Attend:
    r"""Attention that knows how far apart two tokens are.

        attend(rotary(q), rotary(k), v)

    Su et al. 2021 (arXiv:2104.09864).

    Args: attend: of `layers`.
    Returns: an `Attend`, to [B, N, heads, D].
    """

    def rotated(q: Array, k: Array, v: Array, *, mask: Array | None = None) -> Array:
        return attend(rotary(q), rotary(k), v, mask=mask)

    return rotated


def causal(attend: Attend) -> Attend:
    r"""Attention to oneself and to those before.

        attend over j <= i

    Args: attend: of `layers`.
    Returns: an `Attend`, to [B, N, heads, D].
    """

    def looking_back(
        q: Array, k: Array, v: Array, *, mask: Array | None = None
    ) -> Array:
        return attend(q, k, v, mask=mask, is_causal=True)

    return looking_back


def _tokens(x: Array) -> Array:
    if not jnp.issubdtype(x.dtype, jnp.integer):
        raise ValueError(
            f"expected integer categories, got {x.dtype}; use dit.DiT for real values"
        )
    return x.reshape(len(x), -1)


def _keys_mask(x: Array, length_mask: Array | None) -> Array | None:
    if length_mask is None:
        return None
    if length_mask.shape != x.shape or length_mask.dtype != bool:
        raise ValueError(
            f"expected length_mask boolean {x.shape}, False at padding, got "
            f"{length_mask.dtype} {length_mask.shape}"
        )
    return length_mask.reshape(len(x), 1, 1, -1)
