"""Inception's features from the weights that pytorch-fid and torch-fidelity share.

    net, params = inception.load("pt_inception-2015-12-05-6726825d.pth")
    features = inception.features("pt_inception-2015-12-05-6726825d.pth")

The file is TensorFlow's graph of 2015-12-05 as a state dict of torch; a copy of it in
safetensors needs no torch. torchvision's own Inception has the same keys and is another
network: its classifier has 1000 classes, the graph's 1008.
"""

import functools
from collections.abc import Callable
from os import PathLike
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from diffjax.interop import files, keys
from diffjax.interop.files import Tensors
from diffjax.nets.inception import InceptionV3
from diffjax.types import Array, Params

SIDE = 299
"""Height and width of the images that the graph was trained on."""
CLASSES = 1008
"""Of the graph's classifier, which is not read."""
UNUSED = ("fc.", "AuxLogits.")
LEAVES = {"mean": "running_mean", "var": "running_var", **keys.LEAVES}
READERS = {".safetensors": files.read_safetensors, ".pth": files.read_pickle}
"""Suffix of a file -> what reads it."""


def load(path: str | PathLike[str]) -> tuple[InceptionV3, Params]:
    r"""The network and its weights from a file.

        net.apply(params, x [B, 299, 299, 3] in [-1, 1]) -> [B, 2048]

    Products are of full precision, on accelerators too: features of rounded ones are
    not comparable with anybody's.

    Args: path: of a .safetensors file, or of a .pth of torch, no code in which is run.
    Returns: net, and {"params": tree, "batch_stats": tree}, arrays [...].
    """
    file = Path(path)
    if not file.is_file():
        raise FileNotFoundError(f"expected a file {file}, got none")
    if file.suffix not in READERS:
        raise ValueError(
            f"expected weights in {' or '.join(READERS)}, got {file.name}; rename the "
            "file after what it is"
        )
    return InceptionV3(precision="highest"), from_state(READERS[file.suffix](file))


def features(path: str | PathLike[str]) -> Callable[[Array], Array]:
    r"""The features of images by which they are compared, for `evaluate.features`.

        x -> Inception(prepare(x))

    Args: path: as for `load`.
    Returns: function of x [B, H, W, C] in [0, 1] -> [B, 2048] (no unit), a
        `jax.tree_util.Partial`, whose weights are a program's arguments.
    """
    net, params = load(path)

    def apply(params: Params, x: Array) -> Array:
        found: Any = net.apply(params, prepare(x))
        return found

    return jax.tree_util.Partial(apply, params)


def prepare(x: Array) -> Array:
    r"""Images as the network wants them: in colour, 299 x 299, in [-1, 1].

        y_r = 2 ((1 - w) x_i + w x_j) - 1,    i + w = clip((r + 1/2) H / 299 - 1/2),
        j = i + 1, within the image; columns alike

    As pytorch-fid does it: bilinear, not antialiased, pixels being squares
    (`interpolate(..., mode="bilinear", align_corners=False)` of torch).

    Args: x: real [B, H, W, C] in [0, 1], C = 1 or 3.
    Returns: [B, 299, 299, 3] (no unit).
    """
    if x.ndim != 4 or x.shape[-1] not in (1, 3):
        raise ValueError(
            f"expected images [B, H, W, C] with C = 1 or 3, got {list(x.shape)}; drop "
            "what is no colour, or give features of your own"
        )
    if not jnp.issubdtype(x.dtype, jnp.floating):
        raise ValueError(f"expected real x in [0, 1], got {x.dtype}; divide by 255")
    size = (len(x), SIDE, SIDE, x.shape[-1])
    resized = jax.image.resize(x, size, "bilinear", antialias=False)
    return 2 * jnp.repeat(resized, 3 // x.shape[-1], axis=-1) - 1


def from_state(state: Tensors) -> Params:
    r"""A state dict as the parameters and statistics of the network.

        kernel_{h w i o} = weight_{o i h w},    mean, var = running_mean, running_var

    Args: state: key -> array; what only the classifiers and training use may be there.
    Returns: {"params": tree, "batch_stats": tree}, arrays [...] bit for bit.
    """
    if "fc.weight" in state and state["fc.weight"].shape[:1] != (CLASSES,):
        raise ValueError(
            f"expected fc.weight of {CLASSES} classes, got "
            f"{list(state['fc.weight'].shape)}; these are not the weights of "
            "TensorFlow's graph of 2015-12-05: take pytorch-fid's file"
        )
    used = {key: value for key, value in state.items() if not _is_unused(key)}
    leaves, structure = jax.tree_util.tree_flatten_with_path(_blank())
    paths = [tuple(part.key for part in path) for path, _ in leaves]
    keys.expect_keys(set(map(_key, paths)), set(used))
    filled = []
    for path, (_, leaf) in zip(paths, leaves, strict=True):
        axes, tensor = keys.torch_axes(path[-1], len(leaf.shape)), used[_key(path)]
        keys.expect_shape(_key(path), tuple(leaf.shape[a] for a in axes), tensor)
        filled.append(jnp.asarray(tensor.transpose(np.argsort(axes))))
    return jax.tree.unflatten(structure, filled)


@functools.cache
def _blank() -> Params:
    x = jax.ShapeDtypeStruct((1, SIDE, SIDE, 3), jnp.float32)
    return jax.eval_shape(InceptionV3().init, jax.random.key(0), x)


def _is_unused(key: str) -> bool:
    return key.startswith(UNUSED) or key.endswith(".num_batches_tracked")


def _key(path: tuple[str, ...]) -> str:
    """params / Mixed_5b / branch1x1 / bn / scale -> Mixed_5b.branch1x1.bn.weight."""
    return ".".join([*path[1:-1], LEAVES[path[-1]]])
