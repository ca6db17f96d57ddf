"""Checkpoints of OpenAI's improved-diffusion: the same U-Net under other names.

    net = published.improved_ddpm_cifar10()
    params = improved_diffusion.load_unet("cifar10_uncond_50M_500K.pt", net)

The files hold tensors only: which network they belong to is in the command line that
trained them. That code counts t = 0..T-1, and with rescale_timesteps, its default, the
network is given 1000 t / T. Blocks are numbered through: the keys input_blocks.1,
input_blocks.2, ... are down_blocks_0/resnets_0, down_blocks_0/resnets_1, ... here.
"""

import re
from collections.abc import Iterator
from os import PathLike
from pathlib import Path

import numpy as np

from diffjax.interop import files, keys
from diffjax.interop.files import Tensors
from diffjax.nets.unet import UNet
from diffjax.types import Params

RESNET = {
    "norm1": "in_layers.0",
    "conv1": "in_layers.2",
    "time_emb_proj": "emb_layers.1",
    "norm2": "out_layers.0",
    "conv2": "out_layers.3",
    "conv_shortcut": "skip_connection",
}
ATTENTION = {"group_norm": "norm", "to_out.0": "proj_out"}
PARTS = ("to_q", "to_k", "to_v")
OUTSIDE = {
    "time_embedding.linear_1": "time_embed.0",
    "time_embedding.linear_2": "time_embed.2",
    "class_embedding": "label_emb",
    "conv_in": "input_blocks.0.0",
    "conv_norm_out": "out.0",
    "conv_out": "out.2",
    "mid_block.resnets.0": "middle_block.0",
    "mid_block.attentions.0": "middle_block.1",
    "mid_block.resnets.1": "middle_block.2",
}
"""Modules of diffusers, and what they are called here."""


def load_unet(path: str | PathLike[str], net: UNet, *, in_channels: int = 3) -> Params:
    r"""The parameters of a network from a .pt file, or the same as .safetensors.

        net.apply(params, x [B, H, W, C], t [B])

    Args: path: of the file; a .pt needs torch, and no code in it is run.  net: of the
        same sizes.  in_channels: of its input.
    Returns: {"params": tree}, arrays [...] bit for bit as in the file.
    """
    file = Path(path)
    if not file.is_file():
        raise FileNotFoundError(f"expected a file {file}, got none")
    safe = file.suffix == ".safetensors"
    state = files.read_safetensors(file) if safe else files.read_pickle(file)
    return from_state(state, net, in_channels=in_channels)


def from_state(state: Tensors, net: UNet, *, in_channels: int = 3) -> Params:
    r"""A state dict as the parameters of a network.

        q, k, v of head h = rows 3 D h + [0, D), [D, 2 D), [2 D, 3 D) of qkv

    Args: state: key -> array.  net, in_channels: as for `load_unet`.
    Returns: {"params": tree}, arrays [...].
    """
    like = keys.blank(net, in_channels)
    shapes = keys.torch_shapes(like)
    theirs = {name: _their_key(net, name) for name in shapes}
    keys.expect_keys(set(theirs.values()), set(state))
    found = {}
    for name, shape in shapes.items():
        tensor, part = state[theirs[name]], name.split(".")[-2]
        if part in PARTS:
            keys.expect_shape(theirs[name], _conv((3 * shape[0], *shape[1:])), tensor)
            split = tensor.reshape(_heads(net, shape[0]), 3, -1, *shape[1:])
            tensor = split[:, PARTS.index(part)]
        else:
            wanted = _conv(shape) if ".proj_out." in theirs[name] else shape
            keys.expect_shape(theirs[name], wanted, tensor)
        found[name] = tensor.reshape(shape)
    return keys.from_torch(found, like)


def to_state(params: Params, net: UNet) -> Tensors:
    r"""The parameters of a network as a state dict, the inverse of `from_state`.

        rows 3 D h + [0, D), [D, 2 D), [2 D, 3 D) of qkv = q, k, v of head h

    Args: params: {"params": tree}.  net: UNet.
    Returns: key -> array [...].
    """
    ours, state = keys.to_torch(params), {}
    for name, tensor in ours.items():
        key, part = _their_key(net, name), name.split(".")[-2]
        if part in PARTS:
            heads, rest = _heads(net, len(tensor)), tensor.shape[1:]
            parts = [ours[name.replace(part, other)] for other in PARTS]
            split = [each.reshape(heads, -1, *rest) for each in parts]
            tensor = np.stack(split, axis=1).reshape(-1, *rest)
        if ".qkv." in key or ".proj_out." in key:
            tensor = tensor.reshape(_conv(tensor.shape))
        state[key] = tensor
    return state


def _their_key(net: UNet, name: str) -> str:
    module, leaf = name.rsplit(".", 1)
    if module in OUTSIDE:
        return f"{OUTSIDE[module]}.{leaf}"
    block = re.match(r"(\w+_blocks?(?:\.\d+)?\.\w+\.\d+)\.(.+)", module)
    assert block is not None, name
    home, inner = {**OUTSIDE, **dict(_numbered(net))}[block[1]], block[2]
    if inner in PARTS:
        return f"{home}.qkv.{leaf}"
    inner = {**RESNET, **ATTENTION, "conv": ""}[inner]
    return ".".join(filter(None, [home, inner, leaf]))


def _numbered(net: UNet) -> Iterator[tuple[str, str]]:
    """The modules of the levels, in the order in which they are numbered through."""
    last, k = len(net.widths) - 1, 1
    for i in range(last + 1):
        for j in range(net.layers):
            yield f"down_blocks.{i}.resnets.{j}", f"input_blocks.{k}.0"
            yield f"down_blocks.{i}.attentions.{j}", f"input_blocks.{k}.1"
            k += 1
        yield f"down_blocks.{i}.downsamplers.0", f"input_blocks.{k}.0.op"
        k += 1
    upwards = (net.up_attention or net.attention)[::-1]
    for i, attends in enumerate(upwards):
        for j in range(net.layers + 1):
            k = i * (net.layers + 1) + j
            yield f"up_blocks.{i}.resnets.{j}", f"output_blocks.{k}.0"
            yield f"up_blocks.{i}.attentions.{j}", f"output_blocks.{k}.1"
        place = f"output_blocks.{k}.{2 if attends else 1}.conv"
        yield f"up_blocks.{i}.upsamplers.0", place


def _heads(net: UNet, width: int) -> int:
    return net.heads if net.head_dim is None else width // net.head_dim


def _conv(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Attention is made of convolutions of size 1 there."""
    return shape if len(shape) == 1 else (*shape, 1)
