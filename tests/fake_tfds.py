"""Data sets of TFDS by their own names and features, with a handful of examples."""

import numpy as np
import PIL.Image
import tensorflow_datasets as tfds

RNG = np.random.default_rng(0)
WORDS = "the cat sat on a mat and saw that dogs eat hats at noon".split()


def picture(size):
    # As arrays TFDS would have TensorFlow write them.
    return PIL.Image.fromarray(RNG.integers(0, 256, (size, size, 3), dtype=np.uint8))


def drawing(levels):
    return PIL.Image.fromarray(RNG.integers(0, levels, (28, 28), dtype=np.uint8))


def sentence():
    return " ".join(RNG.choice(WORDS, 12))


EXAMPLES = {
    "cifar10": lambda i: {"image": picture(32), "label": i % 10, "id": str(i)},
    "binarized_mnist": lambda i: {"image": drawing(2)},
    "fashion_mnist": lambda i: {"image": drawing(256), "label": i % 10},
    "imagenet_resized/64x64": lambda i: {"image": picture(64), "label": i},
    "lsun/church_outdoor": lambda i: {"image": picture(300), "id": str(i)},
    "celeb_a_hq/256": lambda i: {"image": picture(256), "image/filename": str(i)},
    "lm1b": lambda i: {"text": sentence()},
}
SPLITS = {
    "cifar10": {"train": 16, "test": 8},
    "binarized_mnist": {"train": 16, "validation": 8, "test": 8},
    "fashion_mnist": {"train": 16, "test": 8},
    "imagenet_resized/64x64": {"train": 16, "validation": 8},
    "lsun/church_outdoor": {"train": 8, "validation": 4},
    "celeb_a_hq/256": {"train": 12},
    "lm1b": {"train": 400, "test": 100},
}


def write(name, data_dir):
    """As `download_and_prepare` would, but for what is in it."""
    builder = tfds.builder(
        name, data_dir=data_dir, file_format="array_record", try_gcs=False
    )

    def examples(num):
        return ((i, EXAMPLES[name](i)) for i in range(num))

    builder._split_generators = lambda dl_manager: {
        split: examples(num) for split, num in SPLITS[name].items()
    }
    builder.download_and_prepare()
