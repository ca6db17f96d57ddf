"""What several networks share."""

import zlib
from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from diffjax.types import Array, example_keys

Attend = Callable[..., Array]
"""`attend` or `flash_attend`: (q, k, v, *, mask=None, is_causal=False) -> values."""


def attend(
    q: Array, k: Array, v: Array, *, mask: Array | None = None, is_causal: bool = False
) -> Array:
    r"""Attention as XLA compiles it, on every device.

        softmax(q k^T / sqrt(D)) v

    Vaswani et al. 2017 (arXiv:1706.03762), eq. 1.

    Args: q, k, v: [B, N, heads, D].  mask: boolean [B or 1, heads or 1, N, N], True
        where a query may look.  is_causal: whether none may look ahead.
    Returns: [B, N, heads, D] (unit of v).
    """
    return jax.nn.dot_product_attention(q, k, v, mask=mask, is_causal=is_causal)


def flash_attend(
    q: Array, k: Array, v: Array, *, mask: Array | None = None, is_causal: bool = False
) -> Array:
    r"""`attend` by cuDNN's fused kernel: for half precision on an NVIDIA GPU.

        softmax(q k^T / sqrt(D)) v

    Dao et al. 2022 (FlashAttention, arXiv:2205.14135).

    Args: q, k, v, mask, is_causal: as for `attend`.
    Returns: [B, N, heads, D] (unit of v).
    """
    return jax.nn.dot_product_attention(
        q, k, v, mask=mask, is_causal=is_causal, implementation="cudnn"
    )


class Computed(nn.Module, kw_only=True):
    """A module with the three fields that say how its numbers are kept.

    dtype of the computation, param_dtype, and precision of matrix products.
    """

    dtype: Any = None
    param_dtype: Any = jnp.float32
    precision: Any = None

    @property
    def numerics(self) -> dict[str, Any]:
        """The three fields, to pass on: `nn.Dense(width, **self.numerics)`."""
        return {**self.dtypes, "precision": self.precision}

    @property
    def dtypes(self) -> dict[str, Any]:
        """Those of them that a layer without matrix products has."""
        return {"dtype": self.dtype, "param_dtype": self.param_dtype}


def dense(layer: Computed, width: int, name: str) -> nn.Dense:
    r"""A dense layer as Flax starts it.

        y = W x + b,    Var[W] = 1 / D, b = 0 at the start

    Args: layer: whose numerics to use.  width: of the output.  name: of the parameters.
    Returns: a module, [..., D] -> [..., width] (no unit).
    """
    return nn.Dense(width, name=name, **layer.numerics)


def zero_dense(layer: Computed, width: int, name: str) -> nn.Dense:
    r"""A dense layer that starts as 0, the last one of a residual branch.

        y = W x + b,    W = 0, b = 0 at the start

    Args: layer: whose numerics to use.  width: of the output.  name: of the parameters.
    Returns: a module, [..., D] -> [..., width] (no unit).
    """
    zeros = nn.initializers.zeros
    return nn.Dense(width, kernel_init=zeros, name=name, **layer.numerics)


class Dropout(nn.Module):
    """Zeros a share of the entries, a different one in every layer and example.

    The mask comes from the key and the layer's path: layers inside an `nn.scan` share
    their path, so there the key must be folded with the layer's index beforehand.
    """

    rate: float

    @nn.compact
    def __call__(self, x: Array, rng: Array | None = None) -> Array:
        """x [B, ...]; rng: a key, keys [B], or None to drop nothing."""
        if not 0 <= self.rate < 1:
            raise ValueError(f"expected 0 <= dropout rate < 1, got {self.rate}")
        if rng is None or self.rate == 0:
            return x
        layer = zlib.crc32("/".join(self.path).encode())
        keep = jax.vmap(
            lambda key: jax.random.bernoulli(
                jax.random.fold_in(key, layer), 1 - self.rate, x.shape[1:]
            )
        )(example_keys(rng, len(x)))
        return jnp.where(keep, x / (1 - self.rate), 0)


class Attention(Computed):
    """Multi-head attention among the tokens of each example.

    softmax(q k^T / sqrt(D / heads)) v, with biased projections in and out. The last one
    is made by `project`: `dense`, or `zero_dense` where nothing else closes the branch.
    """

    heads: int = 1
    attend: Attend = attend
    project: Callable[..., nn.Dense] = dense

    @nn.compact
    def __call__(self, x: Array, mask: Array | None = None) -> Array:
        """x [B, N, D]; mask: as for `attend`."""
        width = x.shape[-1]
        if width % self.heads:
            raise ValueError(
                f"expected a width that {self.heads} heads divide, got {width}"
            )
        q, k, v = (
            nn.Dense(width, name=name, **self.numerics)(x).reshape(
                *x.shape[:-1], self.heads, -1
            )
            for name in ("to_q", "to_k", "to_v")
        )
        out = self.attend(q, k, v, mask=mask).reshape(x.shape)
        return self.project(self, width, "to_out")(out)


class GroupNorm(nn.Module):
    """Group normalisation, as `nn.GroupNorm` with its slow, exact variance.

    y = (x - mean) / sqrt(var + eps) scale + bias,    var = mean((x - mean)^2)

    Wu & He 2018 (arXiv:1803.08494). The places of a channel are summed before the
    channels of a group: one sum over both is several times slower on a CPU.
    """

    groups: int
    epsilon: float
    dtype: Any = None
    param_dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x: Array) -> Array:
        """x [B, ..., C] -> [B, ..., C], of `dtype` if it is given."""
        C = x.shape[-1]
        if C % self.groups:
            raise ValueError(f"expected channels in {self.groups} groups, got {C}")
        scale = self.param("scale", nn.initializers.ones, (C,), self.param_dtype)
        bias = self.param("bias", nn.initializers.zeros, (C,), self.param_dtype)
        places = x.reshape(len(x), -1, C).astype(jnp.promote_types(x.dtype, "float32"))
        num = places.shape[1] * C // self.groups

        def group_mean(values: Array) -> Array:
            of_group = values.sum(axis=1).reshape(len(x), self.groups, -1).sum(axis=-1)
            return jnp.repeat(of_group / num, C // self.groups, axis=1)[:, None]

        centred = places - group_mean(places)
        inverse = jax.lax.rsqrt(group_mean(jnp.square(centred)) + self.epsilon)
        y = centred * (inverse * scale[None, None]) + bias[None, None]
        dtype = self.dtype or jnp.promote_types(x.dtype, self.param_dtype)
        return y.reshape(x.shape).astype(dtype)


def group_norm(layer: Computed, groups: int, eps: float, name: str) -> GroupNorm:
    r"""Group normalisation whose variance never cancels to 0.

        y = (x - mean) / sqrt(var + eps) scale + bias,    var = mean((x - mean)^2)

    Wu & He 2018 (arXiv:1803.08494).

    Args: layer: whose dtypes to use.  groups: of channels.  eps: added to the variance.
        name: of the parameters.
    Returns: a module, [B, ..., C] -> [B, ..., C] (no unit).
    """
    return GroupNorm(groups, eps, name=name, **layer.dtypes)


def zero_conv(layer: Computed, width: int, name: str, *, size: int = 3) -> nn.Conv:
    r"""A convolution of images that starts as 0.

        y = W * x + b,    W = 0, b = 0 at the start

    Args: layer: whose numerics to use.  width: channels of the output.  name: of the
        parameters.  size: of the square kernel.
    Returns: a module, [B, H, W, C] -> [B, H, W, width] (no unit).
    """
    zeros = nn.initializers.zeros
    return nn.Conv(width, (size, size), kernel_init=zeros, name=name, **layer.numerics)


def expect_label(label: Array | None, num: int, num_classes: int) -> None:
    r"""A label for each example of a network that has classes, and none otherwise.

        label [num],    or None where num_classes = 0

    Args: label: as the network was given it.  num: examples.  num_classes: of the
        network, that of no class included.
    Returns: nothing (no unit).
    """
    if (label is None) != (num_classes == 0):
        raise ValueError(
            f"expected {'a' if num_classes else 'no'} label for a network of "
            f"{num_classes} classes, got {'none' if label is None else 'one'}"
            "; num_classes counts the labels, that of no class included"
        )
    if label is not None and label.shape != (num,):
        raise ValueError(f"expected label [{num}], one an example, got {label.shape}")


def scale_shift(x: Array, scale: Array, shift: Array) -> Array:
    r"""Modulation of each example's channels, as in FiLM and adaLN.

        y = x (1 + scale) + shift

    Perez et al. 2018 (FiLM, arXiv:1709.07871).

    Args: x: [B, ..., C].  scale, shift: [B, C].
    Returns: [B, ..., C] (no unit).
    """
    return x * (1 + per_channel(scale, x)) + per_channel(shift, x)


def per_channel(value: Array, x: Array) -> Array:
    r"""One number per example and channel, with the axes of x.

        value_{b, 1, ..., 1, c}

    Args: value: [B, C].  x: [B, ..., C], only its rank is used.
    Returns: [B, 1, ..., 1, C] (unit of value).
    """
    return value.reshape(len(value), *(1,) * (x.ndim - 2), -1)
