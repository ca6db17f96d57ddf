"""scikit-learn's 8 x 8 digits as a TFDS builder; importing it registers "digits"."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import tensorflow_datasets as tfds

NUM_TRAIN = 1500


class Digits(tfds.core.GeneratorBasedBuilder):
    """The 1797 handwritten digits that come with scikit-learn, 17 levels of grey.

    Half of Optical Recognition of Handwritten Digits (E. Alpaydin, C. Kaynak, 1998),
    the UCI repository's test set. The last 297 are the test split: other writers than
    most of the first 1500.
    """

    VERSION = tfds.core.Version("1.0.0")

    def _info(self) -> tfds.core.DatasetInfo:
        features = {
            "image": tfds.features.Tensor(shape=(8, 8, 1), dtype=np.uint8),
            "label": tfds.features.ClassLabel(num_classes=10),
        }
        return tfds.core.DatasetInfo(
            builder=self,
            description=type(self).__doc__,
            features=tfds.features.FeaturesDict(features),
            homepage="https://archive.ics.uci.edu/dataset/80",
            supervised_keys=("image", "label"),
        )

    def _split_generators(self, dl_manager: Any) -> dict[str, Iterator[Any]]:
        train, test = slice(NUM_TRAIN), slice(NUM_TRAIN, None)
        return {
            "train": self._generate_examples(train),
            "test": self._generate_examples(test),
        }

    def _generate_examples(self, part: slice) -> Iterator[Any]:
        from sklearn import datasets

        digits = datasets.load_digits()
        images = digits.images.astype(np.uint8)[..., None]
        yield from enumerate(
            {"image": image, "label": int(label)}
            for image, label in zip(images[part], digits.target[part], strict=True)
        )
