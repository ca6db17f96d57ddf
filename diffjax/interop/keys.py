"""Torch state dicts and Flax parameters: the same numbers, other names and axes.

A Flax path such as down_blocks_0 / resnets_1 / conv1 / kernel is the torch key
down_blocks.0.resnets.1.conv1.weight; kernels (kh, kw, I, O) are weights (O, I, kh, kw).
"""

import re
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from diffjax.interop.files import Tensors
from diffjax.nets.unet import UNet
from diffjax.types import Params

LISTS = "down_blocks|up_blocks|resnets|attentions|downsamplers|upsamplers"
LEAVES = {"kernel": "weight", "scale": "weight", "embedding": "weight", "bias": "bias"}
LEGACY = {"query": "to_q", "key": "to_k", "value": "to_v", "proj_attn": "to_out.0"}
"""Names of an attention's layers in files of 2022."""


def to_torch(params: Params) -> Tensors:
    r"""Flax parameters as a torch state dict, bit for bit.

        weight_{o i h w} = kernel_{h w i o}

    Args: params: {"params": tree}.
    Returns: key -> array [...].
    """
    return {
        torch_key(path): np.asarray(leaf).transpose(torch_axes(path[-1], np.ndim(leaf)))
        for path, leaf in _leaves(params)
    }


def from_torch(tensors: Mapping[str, np.ndarray], like: Params) -> Params:
    r"""A torch state dict as Flax parameters, bit for bit.

        kernel_{h w i o} = weight_{o i h w}

    Args: tensors: key -> array.  like: the tree to fill, of arrays or shapes.
    Returns: {"params": tree}, arrays [...] of the dtype of the tensors.
    """
    shapes, current = torch_shapes(like), current_names(tensors)
    expect_keys(set(shapes), set(current))
    filled = []
    for path, leaf in _leaves(like):
        name = torch_key(path)
        expect_shape(name, shapes[name], current[name])
        back = np.argsort(torch_axes(path[-1], len(leaf.shape)))
        filled.append(jnp.asarray(current[name].transpose(back)))
    return jax.tree.unflatten(jax.tree.structure(like), filled)


def torch_shapes(like: Params) -> dict[str, tuple[int, ...]]:
    r"""The state dict that a network has in torch.

        key -> shape

    Args: like: {"params": tree} of arrays or shapes.
    Returns: key -> shape [...].
    """
    return {
        torch_key(path): tuple(
            leaf.shape[axis] for axis in torch_axes(path[-1], len(leaf.shape))
        )
        for path, leaf in _leaves(like)
    }


def blank(net: UNet, in_channels: int) -> Params:
    r"""The tree of a network's parameters, without its numbers.

        eval_shape(net.init)

    Args: net: UNet.  in_channels: of its input.
    Returns: {"params": tree} of shapes [...].
    """
    side = 2 ** (len(net.widths) - 1)
    x = jnp.zeros((1, side, side, in_channels))
    label = jnp.zeros(1, jnp.int32) if net.num_classes else None
    return jax.eval_shape(net.init, jax.random.key(0), x, jnp.zeros(1), label)


def torch_axes(name: str, rank: int) -> tuple[int, ...]:
    r"""Where torch has the axes of a parameter.

        kernel [I, O] -> [O, I],    kernel [h, w, I, O] -> [O, I, h, w]

    Args: name: of the leaf.  rank: of the array.
    Returns: axes for `np.transpose` (no unit).
    """
    if name != "kernel":
        return tuple(range(rank))
    return (rank - 1, rank - 2, *range(rank - 2))


def torch_key(path: tuple[str, ...]) -> str:
    r"""The torch key of a parameter.

        up_blocks_0 / resnets_1 / conv1 / kernel -> up_blocks.0.resnets.1.conv1.weight

    Args: path: names from the root of the parameters to the leaf.
    Returns: the key (no unit).
    """
    parts = [re.sub(rf"^({LISTS})_(\d+)$", r"\1.\2", part) for part in path[:-1]]
    parts = ["to_out.0" if part == "to_out" else part for part in parts]
    return ".".join([*(p for p in parts if p != "tokens"), LEAVES[path[-1]]])


def current_names(tensors: Mapping[str, np.ndarray]) -> Tensors:
    r"""A state dict with the attention names of 2022 replaced by today's.

        attentions.0.query.weight -> attentions.0.to_q.weight

    Args: tensors: key -> array.
    Returns: key -> array [...].
    """
    pattern = re.compile(rf"(attentions\.\d+)\.({'|'.join(LEGACY)})\.")
    renamed: Tensors = {}
    for key, value in tensors.items():
        name = pattern.sub(lambda m: f"{m[1]}.{LEGACY[m[2]]}.", key)
        if name in renamed:
            raise ValueError(f"expected one tensor for {name}, got two, as {key} also")
        renamed[name] = value
    return renamed


def expect_keys(wanted: set[str], given: set[str]) -> None:
    r"""Raise unless a state dict has the keys of a network, and no other.

        wanted = given

    Args: wanted, given: sets of keys.
    Returns: nothing (no unit).
    """
    missing, extra = sorted(wanted - given), sorted(given - wanted)
    if missing or extra:
        raise ValueError(
            f"expected the {len(wanted)} tensors of the network described, got "
            f"{_some('missing', missing)} and {_some('unknown', extra)}; is this the "
            "configuration of these weights?"
        )


def expect_shape(name: str, wanted: tuple[int, ...], tensor: np.ndarray) -> None:
    r"""Raise unless a tensor has a shape, and real entries.

        shape(tensor) = wanted

    Args: name: its key.  wanted: shape.  tensor: array.
    Returns: nothing (no unit).
    """
    if tensor.shape != wanted:
        raise ValueError(
            f"expected {name} of shape {wanted}, got {tensor.shape}; is this the "
            "configuration of these weights?"
        )
    if not jnp.issubdtype(tensor.dtype, jnp.floating):
        raise ValueError(
            f"expected real numbers in {name}, got {tensor.dtype}; quantized weights "
            "must be expanded first"
        )


def _leaves(params: Params) -> list[tuple[tuple[str, ...], Any]]:
    found, _ = jax.tree_util.tree_flatten_with_path(params["params"])
    return [(tuple(part.key for part in path), leaf) for path, leaf in found]


def _some(what: str, names: list[str]) -> str:
    shown = ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")
    return f"{len(names)} {what} ({shown})" if names else f"none {what}"
