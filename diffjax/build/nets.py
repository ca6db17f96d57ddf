"""The networks that a configuration can name. Fields of the modules are the options."""

from collections.abc import Mapping
from typing import Any

import flax.linen as nn
import jax.numpy as jnp

from diffjax.build import tables
from diffjax.d3pm import heads as laws
from diffjax.nets import (
    conv,
    dense_ladder,
    dit,
    embeddings,
    heads,
    ladder,
    layers,
    mlp,
    transformer,
    unet,
    vdm,
)

CHOICES: tables.Choices = {
    "time_features": {"sin_cos": embeddings.sin_cos, "cos_sin": embeddings.cos_sin},
    "condition": {"additive": unet.additive, "film": unet.film},
    "attend": {"attend": layers.attend, "flash": layers.flash_attend},
    "dtype": {"float32": jnp.float32, "bfloat16": jnp.bfloat16},
    "param_dtype": {"float32": jnp.float32, "bfloat16": jnp.bfloat16},
}
VECTOR = 8
"""Numbers by which a dense network knows a category, one without an order."""
WITHOUT = {"num_classes": 0}
"""Labels are the model's matter: of a network alone, better refused than ignored."""
DENOISERS: tables.Table = {
    "mlp": mlp.ResidualMLP,
    "unet": unet.UNet,
    "dit": dit.DiT,
    "flat_unet": vdm.FlatUNet,
}
"""(x [B, ...], t [B]) -> [B, ...]."""
CATEGORICAL: tables.Table = {
    "transformer": transformer.Transformer,
    "mlp": mlp.ResidualMLP,
    "logistic_mlp": mlp.ResidualMLP,
    "unet": unet.UNet,
    "logistic_unet": unet.UNet,
}
"""(x integer [B, ...], t [B]) -> logits [B, ..., K]."""
CAUSAL: tables.Table = {"transformer": transformer.CausalTransformer}
"""x integer [B, ...] -> logits [B, ..., K] of each entry from those before it."""


def denoiser(
    spec: Any, shape: tuple[int, ...], *, outputs: int = 1, labels: int = 0
) -> Any:
    r"""A network for real-valued diffusion.

        (x_t [B, *shape], t [B], label [B] if there are any) -> [B, ..., outputs C]

    Args: spec: of the configuration.  shape: [..., C] of one example.  outputs: numbers
        for each of x_t.  labels: how many, that of no class included.
    Returns: Net.
    """
    _images(spec, shape, ("unet", "dit", "flat_unet"))
    channels = outputs * shape[-1]
    if tables.name(spec) == "flat_unet" and outputs > 1:
        raise ValueError(
            "expected a network with channels to spare for a learned variance, got "
            "'flat_unet'; take unet, dit or mlp"
        )
    given = {
        "shape": (*shape[:-1], channels),
        "out_channels": channels,
        "channels": channels,
        "num_classes": labels,
    }
    return tables.make("net", DENOISERS, spec, given=given, choices=CHOICES)


def categorical(spec: Any, shape: tuple[int, ...], K: int) -> Any:
    r"""A network for discrete diffusion.

        (x_t integer [B, *shape], t [B]) -> logits [B, *shape, K]

    Args: spec: of the configuration.  shape: of one example.  K: categories.
    Returns: Net.
    """
    _images(spec, shape, ("unet", "logistic_unet"))
    name = tables.name(spec)
    logistic = name in ("logistic_unet", "logistic_mlp")
    channels = shape[-1] * (2 if logistic else K)
    given = {"out_channels": channels, "shape": (*shape[:-1], channels), "K": K}
    net = tables.make(
        "net", CATEGORICAL, spec, given={**given, **WITHOUT}, choices=CHOICES
    )
    if logistic:
        return heads.Logistic(heads.Levels(K), net, K, laws.truncated_logistic)
    if name == "transformer":
        return net
    read = heads.Tokens(K, VECTOR) if name == "mlp" else heads.Levels(K)
    return heads.Logits(read, net, K)


def causal(spec: Any, K: int) -> Any:
    r"""A network that reads from left to right, in the order of the axes.

        x integer [B, ...] -> logits [B, ..., K]

    Args: spec: of the configuration.  K: categories.
    Returns: Net.
    """
    given = {"K": K, **WITHOUT}
    return tables.make("net", CAUSAL, spec, given=given, choices=CHOICES)


def pair(
    spec: Any,
    shape: tuple[int, ...],
    channels: int,
    said: tuple[int, ...],
    *,
    levels: int = 0,
    fixed: Mapping[str, Any] | None = None,
) -> tuple[Any, Any, tuple[int, ...]]:
    r"""An encoder and a decoder.

        x [B, *shape] -> [B, ..., channels],    z [B, ..., D] -> [B, *shape, *said]

    Args: spec: of the configuration.  shape: of one example.  channels: of the
        encoder's output.  said: what the decoder says of each entry: () or (K,).
        levels: of x where it is integers, else 0.  fixed: options that are not the
        configuration's to choose.
    Returns: encoder, decoder, and the shape [...] of a latent without its last axis.
    """
    _images(spec, shape, ("conv", "conv_vector"))
    given = {"shape": shape, "channels": channels, "said": said, **(fixed or {})}
    enc, dec, places = tables.make("net", PAIRS, spec, given=given)
    enc = heads.Reading(heads.Levels(levels), enc) if levels else enc
    return enc, dec, places


def top_down(
    spec: Any, shape: tuple[int, ...], said: tuple[int, ...], *, levels: int = 0
) -> ladder.Parts:
    r"""The networks of a hierarchical VAE.

        x [B, *shape] -> L latents -> [B, *shape[:2], *said]

    Args: spec: of the configuration; "depths" are (enc, dec, pool) from the data
        upwards, of "mlp" "latents" are their lengths.  shape: of one example.  said:
        what the decoder says of each pixel.
        levels: of x where it is integers, else 0.
    Returns: Parts.
    """
    _images(spec, shape, ("ladder",))
    parts = tables.make("net", LADDERS, spec, given={"shape": shape, "said": said})
    if not levels:
        return parts
    read = nn.Sequential([heads.Levels(levels), parts.features])
    return parts._replace(features=read)


def _dense(
    *,
    shape: tuple[int, ...],
    channels: int,
    said: tuple[int, ...],
    widths: tuple[int, ...] = (512,),
    positions: int = 0,
    dropout: float = 0.0,
) -> tuple[Any, Any, tuple[int, ...]]:
    places = (positions,) if positions else ()
    enc = mlp.MLP(shape=(*places, channels), widths=widths, dropout=dropout)
    dec = mlp.MLP(shape=(*shape, *said), widths=widths[::-1], dropout=dropout)
    return enc, dec, places


def _convolutional(
    *,
    shape: tuple[int, ...],
    channels: int,
    said: tuple[int, ...],
    widths: tuple[int, ...] = (128, 256),
    blocks: int = 2,
    vectors: int = 1,
    dropout: float = 0.0,
) -> tuple[Any, Any, tuple[int, ...]]:
    tables.number("net.vectors", vectors, least=1, whole=True)
    sizes: dict[str, Any] = {"widths": widths, "blocks": blocks, "dropout": dropout}
    enc = conv.Encoder(channels=vectors * channels, **sizes)
    dec = conv.Decoder(shape=(*shape, *said), **sizes)
    places = _halved(shape, len(widths))
    if vectors == 1:
        return enc, dec, places
    return heads.Apart(enc, vectors), heads.Joined(dec), (*places, vectors)


def _convolutional_vector(
    *,
    shape: tuple[int, ...],
    channels: int,
    said: tuple[int, ...],
    widths: tuple[int, ...] = (32, 64),
    blocks: int = 1,
    features: int = 16,
    hidden: tuple[int, ...] = (256,),
    dropout: float = 0.0,
) -> tuple[Any, Any, tuple[int, ...]]:
    """One vector for all of an image: dense layers between the convolutions."""
    sizes: dict[str, Any] = {"widths": widths, "blocks": blocks}
    places = _halved(shape, len(widths))
    enc = heads.Reading(
        conv.Encoder(channels=features, **sizes),
        mlp.MLP(shape=(channels,), widths=hidden, dropout=dropout),
    )
    dec = heads.Reading(
        mlp.MLP(shape=(*places, features), widths=hidden[::-1], dropout=dropout),
        conv.Decoder(shape=(*shape, *said), **sizes),
    )
    return enc, dec, ()


def _halved(shape: tuple[int, ...], times: int) -> tuple[int, ...]:
    return tuple(-(-length // 2**times) for length in shape[:2])


def _ladder(
    *,
    shape: tuple[int, ...],
    said: tuple[int, ...],
    depths: tuple[tuple[int, int, int], ...],
    width: int = 384,
    latent: int = 16,
    bottleneck: float = 0.25,
    remat: bool = False,
) -> ladder.Parts:
    return ladder.top_down(
        (shape[0], shape[1]),
        said,
        [ladder.Level(*depth) for depth in depths],
        width=width,
        latent=latent,
        bottleneck=bottleneck,
        remat=remat,
    )


def _dense_ladder(
    *,
    shape: tuple[int, ...],
    said: tuple[int, ...],
    latents: tuple[int, ...] = (16, 8, 4),
    width: int = 96,
) -> ladder.Parts:
    return dense_ladder.top_down((*shape[:2], *said), latents, width=width)


PAIRS: tables.Table = {
    "mlp": _dense,
    "conv": _convolutional,
    "conv_vector": _convolutional_vector,
}
"""x [B, ...] -> [B, ..., channels], and back."""
LADDERS: tables.Table = {"ladder": _ladder, "mlp": _dense_ladder}


def _images(spec: Any, shape: tuple[int, ...], names: tuple[str, ...]) -> None:
    name = tables.name(spec)
    if name in names and len(shape) != 3:
        raise ValueError(
            f"expected images [H, W, C] for net {name!r}, got {list(shape)}; leave out "
            "the transform `flatten`, or choose another net"
        )
