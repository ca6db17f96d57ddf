"""Images: built in and of TFDS by name; and how to make them of one size."""

import contextlib
import io
import os
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from diffjax.data.dataset import Batch, DataSet, Example, Source, of_sources, stack
from diffjax.data.prepared import prepared

Resize = Callable[[np.ndarray], np.ndarray]
"""uint8 [H, W, C] -> uint8 [size, size, C]."""


def digits(*, data_dir: str | None = None) -> DataSet:
    r"""scikit-learn's handwritten digits, nothing to download.

        x in {0, ..., 16} [8, 8, 1];    1500 to train on, 297 to test

    On first use they are written as a TFDS data set.

    Args: data_dir: where TFDS keeps data; else $TFDS_DATA_DIR or its own default.
    Returns: DataSet of levels [8, 8, 1] with labels 0..9.
    """
    from diffjax.data.digits import Digits

    builder = Digits(data_dir=data_dir, file_format="array_record")
    if not builder.is_prepared():
        _prepare(builder)
    train, test = (_tfds_source(builder, split) for split in ("train", "test"))
    return of_sources("digits", train, test, levels=17, classes=10)


def photos(*, size: int = 32, stride: int = 4) -> DataSet:
    r"""Crops of scikit-learn's two photographs, nothing to download.

        x in {0, ..., 255} [size, size, 3], from a grid of corners

    The right quarter of both is for the test; no test crop shares a pixel with a
    training crop. The label is the photograph: 0 a temple, 1 a flower.

    Args: size: of a crop.  stride: between neighbouring crops.
    Returns: DataSet of levels [size, size, 3].
    """
    from sklearn import datasets

    pictures = np.stack(datasets.load_sample_images().images)
    _, height, width, _ = pictures.shape
    border = width * 3 // 4
    if not 1 <= size <= width - border or stride < 1:
        raise ValueError(
            f"expected a size in 1..{width - border} and a stride of at least 1, got "
            f"{size} and {stride}"
        )

    views = np.lib.stride_tricks.sliding_window_view(pictures, (size, size), (1, 2))

    def crops(left: int, right: int) -> Source:
        rows = np.arange(0, height - size + 1, stride)
        columns = np.arange(left, right - size + 1, stride)
        counts = len(pictures), len(rows), len(columns)

        def read(indices: np.ndarray) -> Batch:
            label, i, j = np.unravel_index(indices, counts)
            crop = np.moveaxis(views[label, rows[i], columns[j]], 1, -1)
            return {"x": crop, "label": label.astype(np.int32)}

        return Source(int(np.prod(counts)), read)

    train, test = crops(0, border), crops(border, width)
    return of_sources("photos", train, test, levels=256, classes=len(pictures))


def tfds(
    name: str,
    *,
    data_dir: str | None = None,
    resize: Resize | None = None,
    levels: int = 256,
    train: str = "train",
    test: str | None = None,
) -> DataSet:
    r"""Any data set of TFDS that has images, prepared beforehand as array_record.

        x = image,    label = label, if there is one

    Args: name: "cifar10", "imagenet_resized/32x32".  data_dir: where TFDS keeps data;
        else $TFDS_DATA_DIR or its own default.  resize: for images of various sizes.
        levels: of grey; 2 for binarized_mnist.  train, test: splits, such as
        "train[:90%]"; test is "test" or else "validation".
    Returns: DataSet of levels [H, W, C].
    """
    builder = prepared(name, data_dir)
    features = builder.info.features
    if "image" not in features:
        raise ValueError(
            f"expected a data set with an image, got {name} with {sorted(features)}; "
            "choose a set of images"
        )
    if None in features["image"].shape and resize is None:
        raise ValueError(
            f"expected images of one size, got {name} with {features['image'].shape}; "
            "set size to have them resized"
        )
    splits = sorted(builder.info.splits)
    test = test or ("test" if "test" in splits else "validation")
    for split in (train, test):
        if split.split("[")[0] not in splits:
            raise ValueError(
                f"expected a split among {splits} of {name}, got {split}; set train "
                "and test, for example to train[:90%] and train[90%:]"
            )
    both = (_tfds_source(builder, split, resize) for split in (train, test))
    classes = getattr(dict(features).get("label"), "num_classes", 0)
    return of_sources(name, *both, levels=levels, classes=classes)


def fit(size: int) -> Resize:
    r"""The largest square in the middle, made smaller or larger.

        x' = resized(center square of x)

    Args: size: of the result.
    Returns: Resize to [size, size, C] (levels).
    """
    return _pillow(lambda ops, image: ops.fit(image, (size, size)), size)


def squash(size: int) -> Resize:
    r"""The whole image, its sides made equal.

        x' = resized(x)

    Args: size: of the result.
    Returns: Resize to [size, size, C] (levels).
    """
    return _pillow(lambda ops, image: image.resize((size, size)), size)


def center(size: int) -> Resize:
    r"""The square of this size in the middle, not one pixel changed.

        x' = x[i:i+size, j:j+size],    i = (H - size) // 2,    j = (W - size) // 2

    Args: size: of the result, at most H and W.
    Returns: Resize to [size, size, C] (levels).
    """

    def apply(x: np.ndarray) -> np.ndarray:
        corner = [(length - size) // 2 for length in x.shape[:2]]
        if min(corner) < 0:
            raise ValueError(
                f"expected images of at least {size} x {size}, got {list(x.shape)}; "
                "use a smaller size, or `fit`, which enlarges"
            )
        return x[corner[0] : corner[0] + size, corner[1] : corner[1] + size]

    return apply


def _pillow(function: Callable[[Any, Any], Any], size: int) -> Resize:
    if size < 1:
        raise ValueError(f"expected a size of at least 1, got {size}")

    def apply(x: np.ndarray) -> np.ndarray:
        from PIL import Image, ImageOps

        grey = x.shape[-1] == 1
        image = function(ImageOps, Image.fromarray(x[..., 0] if grey else x))
        return np.asarray(image)[..., None] if grey else np.asarray(image)

    return apply


def _tfds_source(builder: Any, split: str, resize: Resize | None = None) -> Source:
    rows = builder.as_data_source(split=split)

    def example(row: Example) -> Example:
        x = np.asarray(row["image"])
        label = {"label": np.int32(row["label"])} if "label" in row else {}
        return {"x": x if resize is None else resize(x), **label}

    def read(indices: np.ndarray) -> Batch:
        return stack([example(row) for row in rows.__getitems__(indices.tolist())])

    return Source(len(rows), read)


def _prepare(builder: Any) -> None:
    """Write a data set; other processes may be writing the same one."""
    try:
        with _quiet():
            builder.download_and_prepare()
    except OSError as error:
        if not builder.is_prepared():
            raise OSError(
                f"expected to write {builder.data_dir}, got: {error}; set data_dir or "
                "TFDS_DATA_DIR to a folder that can be written"
            ) from error


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Without the progress bars and prints of TFDS."""
    import tensorflow_datasets

    tensorflow_datasets.disable_progress_bar()
    with open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere):
        with contextlib.redirect_stderr(io.StringIO()):
            yield
