"""Dense networks: for vectors, and for what every network is told of t and label."""

import math
from collections.abc import Callable

import flax.linen as nn
import jax.numpy as jnp

from diffjax.nets import embeddings, layers
from diffjax.nets.layers import Computed
from diffjax.types import Array


class MLP(Computed):
    """Dense layers, the last one linear: an encoder, a decoder or a classifier.

    shape: of one output; one input may have any shape.  widths: of the hidden layers.
    activation: after each of them.  dropout: share of the units.  remat: recompute.
    """

    shape: tuple[int, ...]
    widths: tuple[int, ...] = (256, 256)
    activation: Callable[[Array], Array] = nn.gelu
    dropout: float = 0.0
    remat: bool = False

    @nn.compact
    def __call__(self, x: Array, *, rng: Array | None = None) -> Array:
        """x [B, ...] -> [B, *shape]."""
        layer = nn.remat(_Hidden) if self.remat else _Hidden
        h = x.reshape(len(x), -1)
        for i, width in enumerate(self.widths):
            h = layer(
                width=width,
                activation=self.activation,
                dropout=self.dropout,
                name=f"hidden_{i}",
                **self.numerics,
            )(h, rng)
        out = nn.Dense(math.prod(self.shape), name="out", **self.numerics)(h)
        return out.reshape(len(x), *self.shape)


class ResidualMLP(Computed):
    """Residual layers told of t: the denoiser of points in a plane, or of any vector.

    h <- h + W silu(norm(h) (1 + scale(t)) + shift(t)); the output is 0 at the start.

    shape: of one output, that of x if None.  width, depth: of the layers.  num_classes,
    time_scale: as for `Condition`.  dropout: share of the units.  remat: recompute.
    """

    shape: tuple[int, ...] | None = None
    width: int = 256
    depth: int = 3
    num_classes: int = 0
    time_scale: float = 1.0
    dropout: float = 0.0
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
        """x [B, ...], t [B], label [B] -> [B, *shape]."""
        layer = nn.remat(_Residual) if self.remat else _Residual
        shape = x.shape[1:] if self.shape is None else self.shape
        told = Condition(
            width=self.width,
            num_classes=self.num_classes,
            time_scale=self.time_scale,
            name="condition",
            **self.numerics,
        )(t, label)
        h = nn.Dense(self.width, name="in", **self.numerics)(x.reshape(len(x), -1))
        for i in range(self.depth):
            block = layer(dropout=self.dropout, name=f"block_{i}", **self.numerics)
            h = block(h, told, rng)
        h = nn.silu(plain_norm(self, "norm")(h))
        out = layers.zero_dense(self, math.prod(shape), "out")(h)
        return out.reshape(len(x), *shape).astype(x.dtype)


class Condition(Computed):
    """What a network is told beside x: sinusoids of t through two layers, and a class.

    width: of the vector.  features: of t, that width if None.  num_classes: 0, or of
    labels (with the "no class" of classifier-free guidance, if any); a label is then
    required.  time_scale: t is multiplied by it; 1 for t in 1..T, 1000 for t in [0, 1].
    """

    width: int
    features: int | None = None
    num_classes: int = 0
    time_scale: float = 1.0

    @nn.compact
    def __call__(self, t: Array, label: Array | None = None) -> Array:
        """t [B], label [B] -> [B, width]."""
        if t.ndim != 1:
            raise ValueError(f"expected t [B], one time an example, got {t.shape}")
        waves = embeddings.sin_cos(self.time_scale * t, self.features or self.width)
        told = embeddings.TimeMLP(width=self.width, name="time", **self.numerics)(waves)
        if self.num_classes == 0 and label is None:
            return told
        return told + Label(
            width=self.width,
            num_classes=self.num_classes,
            name="label",
            **self.numerics,
        )(len(t), label)


class Label(Computed):
    """A trained vector for each class, or a single one where there are no classes.

    width: of the vectors.  num_classes: 0, or of labels.
    """

    width: int
    num_classes: int

    @nn.compact
    def __call__(self, num: int, label: Array | None = None) -> Array:
        """label [num], None without classes -> [num, width]."""
        layers.expect_label(label, num, self.num_classes)
        index = jnp.zeros(num, jnp.int32) if label is None else label
        return embeddings.Learned(
            num=max(1, self.num_classes),
            width=self.width,
            name="vectors",
            **self.numerics,
        )(index)


def plain_norm(layer: Computed, name: str) -> nn.LayerNorm:
    r"""Layer normalisation with nothing trained; a modulation follows it.

        y = (x - mean) / sqrt(var + 1e-6),    var = mean((x - mean)^2)

    Ba et al. 2016 (arXiv:1607.06450).

    Args: layer: whose dtypes to use.  name: of the module.
    Returns: a module, [..., D] -> [..., D] (no unit).
    """
    return nn.LayerNorm(
        use_bias=False,
        use_scale=False,
        use_fast_variance=False,
        name=name,
        **layer.dtypes,
    )


class _Hidden(Computed):
    width: int
    activation: Callable[[Array], Array]
    dropout: float

    @nn.compact
    def __call__(self, h: Array, rng: Array | None) -> Array:
        h = self.activation(nn.Dense(self.width, name="dense", **self.numerics)(h))
        return layers.Dropout(self.dropout, name="dropout")(h, rng)


class _Residual(Computed):
    dropout: float

    @nn.compact
    def __call__(self, h: Array, told: Array, rng: Array | None) -> Array:
        width = h.shape[-1]
        modulation = nn.Dense(2 * width, name="modulation", **self.numerics)(
            nn.silu(told)
        )
        scale, shift = jnp.split(modulation, 2, axis=-1)
        y = layers.scale_shift(plain_norm(self, "norm")(h), scale, shift)
        y = nn.Dense(width, name="dense_1", **self.numerics)(nn.silu(y))
        y = layers.Dropout(self.dropout, name="dropout")(nn.silu(y), rng)
        return h + nn.Dense(width, name="dense_2", **self.numerics)(y)
