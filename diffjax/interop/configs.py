"""config.json of diffusers' UNet2DModel, and the network it describes.

A key that changes what is computed is either understood or refused, never ignored.
"""

from collections.abc import Mapping
from typing import Any

from diffjax.nets import embeddings, unet
from diffjax.nets.unet import UNet

DEFAULTS: dict[str, Any] = {
    "in_channels": 3,
    "out_channels": 3,
    "center_input_sample": False,
    "time_embedding_type": "positional",
    "time_embedding_dim": None,
    "freq_shift": 0,
    "flip_sin_to_cos": True,
    "down_block_types": ["DownBlock2D", *["AttnDownBlock2D"] * 3],
    "mid_block_type": "UNetMidBlock2D",
    "up_block_types": [*["AttnUpBlock2D"] * 3, "UpBlock2D"],
    "block_out_channels": [224, 448, 672, 896],
    "layers_per_block": 2,
    "mid_block_scale_factor": 1,
    "downsample_padding": 1,
    "downsample_type": "conv",
    "upsample_type": "conv",
    "dropout": 0.0,
    "act_fn": "silu",
    "attention_head_dim": 8,
    "norm_num_groups": 32,
    "attn_norm_num_groups": None,
    "norm_eps": 1e-5,
    "resnet_time_scale_shift": "default",
    "add_attention": True,
    "class_embed_type": None,
    "num_class_embeds": None,
}
"""What diffusers assumes where a file says nothing."""
UNUSED = {"sample_size", "num_train_timesteps"}
"""Keys without influence on the network; so are those with an underscore in front."""
ONLY: dict[str, tuple[Any, ...]] = {
    "center_input_sample": (False,),
    "time_embedding_type": ("positional",),
    "mid_block_type": ("UNetMidBlock2D",),
    "mid_block_scale_factor": (1,),
    "downsample_padding": (0, 1),
    "downsample_type": ("conv",),
    "upsample_type": ("conv",),
    "act_fn": ("silu", "swish"),
    "resnet_time_scale_shift": ("default", "scale_shift"),
    "class_embed_type": (None,),
}
"""Keys of which only some values are supported."""
DOWN = {"DownBlock2D": False, "AttnDownBlock2D": True}
UP = {"UpBlock2D": False, "AttnUpBlock2D": True}
"""Types of block, and whether they attend."""


def unet_from_config(config: Mapping[str, Any]) -> UNet:
    r"""The network that a config.json describes.

        block_out_channels -> widths, AttnDownBlock2D -> attention, ...

    Args: config: key -> value.
    Returns: UNet, [B, H, W, in_channels] -> [B, H, W, out_channels].
    """
    expect_class(config, ("UNet2DModel",))
    full = complete(config, DEFAULTS, ONLY, UNUSED)
    widths = tuple(full["block_out_channels"])
    down = _attends("down_block_types", full, DOWN, len(widths))
    up = _attends("up_block_types", full, UP, len(widths))[::-1]
    _expect_whole_heads(full, widths, down, up)
    mid_groups = full["attn_norm_num_groups"]
    if mid_groups is None and full["resnet_time_scale_shift"] != "default":
        mid_groups = 0  # diffusers then leaves out the norm in the middle
    waves = embeddings.cos_sin if full["flip_sin_to_cos"] else embeddings.sin_cos
    shifts = full["resnet_time_scale_shift"] == "scale_shift"
    return UNet(
        out_channels=full["out_channels"],
        widths=widths,
        attention=down,
        up_attention=None if up == down else up,
        layers=full["layers_per_block"],
        time_features=waves,
        freq_shift=full["freq_shift"],
        time_width=full["time_embedding_dim"],
        condition=unet.film if shifts else unet.additive,
        num_classes=full["num_class_embeds"] or 0,
        head_dim=full["attention_head_dim"],
        groups=full["norm_num_groups"],
        eps=full["norm_eps"],
        mid_groups=mid_groups,
        mid_attention=full["add_attention"],
        down_padding=(full["downsample_padding"], 1),
        dropout=full["dropout"],
    )


def config_from_unet(
    net: UNet, in_channels: int, *, sample_size: int | tuple[int, int] | None = None
) -> dict[str, Any]:
    r"""The config.json of a network, the inverse of `unet_from_config`.

        widths -> block_out_channels, attention -> AttnDownBlock2D, ...

    Args: net: UNet.  in_channels: of the input.  sample_size: of the images, for
        diffusers' pipelines; the network does not depend on it.
    Returns: config, key -> value (no unit).
    """
    _named("time_scale", net, {1.0: 1.0})
    down, up = {v: k for k, v in DOWN.items()}, {v: k for k, v in UP.items()}
    upwards = (net.up_attention or net.attention)[::-1]
    shifts = _named(
        "condition", net, {unet.additive: "default", unet.film: "scale_shift"}
    )
    waves = {embeddings.sin_cos: False, embeddings.cos_sin: True}
    return {
        "_class_name": "UNet2DModel",
        **DEFAULTS,
        "sample_size": sample_size,
        "in_channels": in_channels,
        "out_channels": net.out_channels,
        "time_embedding_dim": net.time_width,
        "freq_shift": net.freq_shift,
        "flip_sin_to_cos": _named("time_features", net, waves),
        "down_block_types": [down[attends] for attends in net.attention],
        "up_block_types": [up[attends] for attends in upwards],
        "block_out_channels": list(net.widths),
        "layers_per_block": net.layers,
        "downsample_padding": _named("down_padding", net, {(0, 1): 0, (1, 1): 1}),
        "dropout": net.dropout,
        "attention_head_dim": _head_dim(net),
        "norm_num_groups": net.groups,
        "attn_norm_num_groups": _mid_groups(net),
        "norm_eps": net.eps,
        "resnet_time_scale_shift": shifts,
        "add_attention": net.mid_attention,
        "num_class_embeds": net.num_classes or None,
    }


def expect_class(config: Mapping[str, Any], names: tuple[str, ...]) -> None:
    r"""Raise unless a file is of one of the classes that are understood.

        _class_name in names

    Args: config: key -> value.  names: of diffusers' classes.
    Returns: nothing (no unit).
    """
    name = config.get("_class_name", names[0])
    if name not in names:
        raise ValueError(f"expected _class_name {_either(names)}, got {name!r}")


def complete(
    config: Mapping[str, Any],
    defaults: Mapping[str, Any],
    only: Mapping[str, tuple[Any, ...]],
    unused: set[str],
) -> dict[str, Any]:
    r"""A configuration with the defaults filled in, if it is understood.

        value = config[key] or defaults[key]

    Args: config: key -> value.  defaults: of all keys.  only: of some keys, the values
        that are supported.  unused: keys that change nothing.
    Returns: key -> value (no unit).
    """
    given = {k: v for k, v in config.items() if k[0] != "_" and k not in unused}
    if unknown := sorted(set(given) - set(defaults)):
        raise ValueError(
            f"expected only keys that are understood, got {', '.join(unknown)}; "
            f"supported are {', '.join(sorted(defaults))}"
        )
    full = {**defaults, **given}
    for key, values in only.items():
        if full[key] not in values:
            raise ValueError(f"expected {key} {_either(values)}, got {full[key]!r}")
    return full


def _attends(
    key: str, config: Mapping[str, Any], known: Mapping[str, bool], levels: int
) -> tuple[bool, ...]:
    types = config[key]
    if len(types) != levels:
        raise ValueError(
            f"expected {levels} {key}, one for each of block_out_channels, got {types}"
        )
    for name in types:
        if name not in known:
            raise ValueError(
                f"expected {key} of {_either(tuple(known))}, got {name!r}; no other "
                "block is supported"
            )
    return tuple(known[name] for name in types)


def _expect_whole_heads(
    config: Mapping[str, Any],
    widths: tuple[int, ...],
    down: tuple[bool, ...],
    up: tuple[bool, ...],
) -> None:
    middle = (*(False,) * (len(widths) - 1), bool(config["add_attention"]))
    attended = [
        width
        for width, *any_ in zip(widths, down, up, middle, strict=True)
        if any(any_)
    ]
    dim = config["attention_head_dim"]
    if dim is not None and any(width % dim for width in attended):
        raise ValueError(
            f"expected attention_head_dim to divide the attended widths {attended}, "
            f"got {dim}"
        )


def _head_dim(net: UNet) -> int | None:
    if net.head_dim is not None or net.heads == 1:
        return net.head_dim
    flags = zip(net.attention, net.up_attention or net.attention, strict=True)
    attended = {w for w, each in zip(net.widths, flags, strict=True) if any(each)}
    attended |= {net.widths[-1]} if net.mid_attention else set()
    dims = {width // net.heads for width in attended}
    if len(dims) != 1:
        raise ValueError(
            "expected heads of one dimension, which is all a config.json can say, got "
            f"{net.heads} heads at widths {sorted(attended)}; set head_dim instead"
        )
    return dims.pop()


def _mid_groups(net: UNet) -> int | None:
    plain = net.condition is unet.additive
    wanted = net.groups if net.mid_groups is None else net.mid_groups
    if wanted == 0 and plain and net.mid_attention:
        raise ValueError(
            "expected mid_groups > 0, which is all a config.json can say with additive "
            "conditioning, got 0"
        )
    return None if wanted == (net.groups if plain else 0) else wanted


def _named(field: str, net: UNet, names: Mapping[Any, Any]) -> Any:
    value = getattr(net, field)
    if value not in names:
        known = [getattr(known, "__name__", known) for known in names]
        raise ValueError(
            f"expected {field} to be one of {known}, which is all a config.json can "
            f"say, got {value}"
        )
    return names[value]


def _either(values: tuple[Any, ...]) -> str:
    return " or ".join(map(repr, values))
