"""The data sets and the transforms that a configuration can name."""

import functools
from collections.abc import Callable, Mapping

from diffjax.build import tables
from diffjax.data import folders, images, subwords, text, toys, transforms
from diffjax.data.dataset import DataSet
from diffjax.data.transforms import Transform


def _folder(
    *, path: str, size: int, resize: str = "fit", held_out: int = 10
) -> DataSet:
    kinds = {"fit": images.fit, "squash": images.squash, "center": images.center}
    tables.among("data.resize", resize, kinds)
    return folders.folder(path, resize=kinds[resize](size), held_out=held_out)


def _tfds(
    name: str,
    *,
    data_dir: str | None = None,
    size: int = 0,
    levels: int = 256,
    train: str = "train",
    test: str | None = None,
) -> DataSet:
    resize = images.fit(size) if size else None
    return images.tfds(
        name, data_dir=data_dir, resize=resize, levels=levels, train=train, test=test
    )


def by_tfds(name: str) -> Callable[..., DataSet]:
    r"""Any image set of TFDS.

        name -> constructor of DataSet

    Args: name: as TFDS has it.
    Returns: the constructor, with options of its own (no unit).
    """
    return functools.partial(_tfds, name)


TFDS = (
    "mnist",
    "fashion_mnist",
    "cifar10",
    "imagenet_resized/32x32",
    "imagenet_resized/64x64",
)
TOYS: tuple[toys.Draw, ...] = (
    toys.moons,
    toys.circles,
    toys.spirals,
    toys.swissroll,
    toys.checkerboard,
    toys.gaussians,
    toys.pinwheel,
)
DATA: tables.Table = {
    "digits": images.digits,
    "photos": images.photos,
    "text": text.reference,
    **{draw.__name__: functools.partial(toys.dataset, draw) for draw in TOYS},
    **{name: by_tfds(name) for name in TFDS},
    "binarized_mnist": functools.partial(_tfds, "binarized_mnist", levels=2),
    "text8": text.text8,
    "lm1b": subwords.lm1b,
    "letters": text.letters,
    "characters": text.characters,
    "folder": _folder,
}
"""Beside these, "tfds:NAME" is any image set of TFDS."""


def _plain(transform: Transform) -> Callable[[], Transform]:
    return lambda: transform


TRANSFORMS: tables.Table = {
    "flip": _plain(transforms.flip),
    "crop": transforms.crop,
    "symmetric": transforms.symmetric,
    "centred": transforms.centred,
    "unit": transforms.unit,
    "dequantize": transforms.dequantize,
    "binarize": transforms.binarize,
    "binarize_dynamic": transforms.binarize_dynamic,
    "tokens": _plain(transforms.tokens),
    "flatten": _plain(transforms.flatten),
}
SPANS: Mapping[str, Callable[[int], tuple[float, float]]] = {
    "symmetric": lambda K: (-1.0, 1.0),
    "centred": lambda K: (1 / K - 1, 1 - 1 / K),
    **dict.fromkeys(
        ("unit", "dequantize", "binarize", "binarize_dynamic"), lambda K: (0.0, 1.0)
    ),
}
