"""Samples of a run against its data, by features or, of text, by its words."""

import math
import runpy
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from diffjax import build
from diffjax.build.data import Prepared
from diffjax.build.judges import Judge
from diffjax.cli.drawing import Drawn
from diffjax.evaluate import Record, features, frechet, kid, precision_recall, text

ROWS = 10_000
"""Features kept for the kernel distance, precision and recall; the moments see all."""
BLOCKS, BLOCK = 5, 1000
"""Of the kernel distance: how many, and how large at most."""
VOCABULARY = 100_000
"""Training examples, evenly spread, whose words are known."""

Scores = list[Record]
See = Callable[[Prepared, np.ndarray], features.Seen]
"""(data with any transforms, samples [N, ...]) -> features.Seen of them."""


class Reference(NamedTuple):
    """What samples are held against.

    of: (their data, samples [N, ...]) -> Scores of them, against the test split; the
        data with any transforms.
    floor: Scores of the data themselves: of as many training images against the test
        split, or of test text; their split says which.
    told: of how the features were come by, one line.
    """

    of: Callable[[Prepared, np.ndarray], Scores]
    floor: Scores
    told: str


def of_drawn(reference: Reference, data: Prepared, drawn: Drawn) -> Scores:
    r"""All that is to be said of samples.

        scores, samples/s

    Args: reference: Reference.  data: of the model.  drawn: Drawn.
    Returns: Scores, a Record for each number (its own unit).
    """
    speed = Record("samples/s", drawn.per_second, None, len(drawn.x), "")
    known = [speed] if math.isfinite(drawn.per_second) else []
    return [*reference.of(data, drawn.x), *known]


def reference(
    data: Prepared,
    mesh: Mesh,
    num: int,
    *,
    file: str | None,
    split: str = "test",
    batch_size: int = 64,
) -> Reference:
    r"""What so many samples of a data set are held against.

        the test split as it is, through features of images; the training text's words

    Args: data: Prepared.  mesh: the devices.  num: samples that will come.  file:
        Python (.py) with features(x [B, H, W, C] in [0, 1]) -> [B, F], or the weights
        of Inception (.safetensors, .pth); None to train a classifier.  split: name of
        what data.test is.  batch_size: images whose features are found at once.
    Returns: Reference.
    """
    if data.alphabet:
        if file is not None:
            raise ValueError(
                f"expected no --features for text, got {file}; leave it out"
            )
        return _of_text(data, num, split)
    judge = build.judges.classifier(data) if file is None else _given(file)

    def see(shown: Prepared, x: np.ndarray) -> features.Seen:
        placed = _placed(mesh, shown, x, batch_size)
        return features.see(judge.features, placed, rows=ROWS)

    return _of_images(data, see, judge, num, split)


def _of_images(
    data: Prepared, see: See, judge: Judge, num: int, split: str
) -> Reference:
    plain = build.data.plain(data)
    test = see(plain, build.data.read(plain, data.test, np.arange(data.test.num)))

    def of(shown: Prepared, x: np.ndarray, split: str) -> Scores:
        found = see(shown, x)
        alike = min(len(found.rows), len(test.rows))
        block = min(BLOCK, alike // BLOCKS)
        near = kid.distance(test.rows, found.rows, block=block)
        share = precision_recall.score(test.rows[:alike], found.rows[:alike])
        values: Mapping[str, tuple[float, float | None]] = {
            "Frechet": (frechet.distance(test.moments, found.moments), None),
            "KID": near,
            "precision": (share.precision, None),
            "recall": (share.recall, None),
        }
        return [
            Record(name, *value, len(x), split, judge.name)
            for name, value in values.items()
        ]

    some = np.random.default_rng(0).permutation(data.train.num)[:num]
    floor = of(plain, build.data.read(plain, data.train, some), "train")
    return Reference(lambda shown, x: of(shown, x, split), floor, _told(judge))


def _of_text(data: Prepared, num: int, split: str) -> Reference:
    def strings(x: np.ndarray) -> list[str]:
        found = build.data.written(data, x)
        assert found is not None  # of text alone
        return found

    def places(total: int, most: int) -> np.ndarray:
        return np.unique(np.linspace(0, total - 1, most).round().astype(int))

    plain = build.data.plain(data)
    some = places(data.train.num, VOCABULARY)
    known = strings(build.data.read(plain, data.train, some))
    vocabulary = {word for piece in known for word in text.words(piece)}

    def of(x: np.ndarray, split: str) -> Scores:
        pieces = strings(x)
        values = {
            "spelling": text.spelling_rate(pieces, vocabulary),
            "distinct-3": text.distinct(pieces, 3),
            "unigram bits": text.unigram_entropy(np.bincount(np.ravel(x))),
        }
        return [Record(k, v, None, len(x), split) for k, v in values.items()]

    floor = of(build.data.read(plain, data.test, places(data.test.num, num)), split)
    told = f"{len(vocabulary)} words of the training text are known"
    return Reference(lambda shown, x: of(x, split), floor, told)


def _placed(
    mesh: Mesh, data: Prepared, x: np.ndarray, batch_size: int
) -> Iterator[Mapping[str, Any]]:
    """Images in batches of one size, spread over the devices."""
    spread = NamedSharding(mesh, PartitionSpec(*mesh.axis_names))
    size = -(-batch_size // mesh.size) * mesh.size
    for start in range(0, len(x), size):
        part = x[start : start + size]
        places = np.minimum(np.arange(size), len(part) - 1)
        batch = {"x": build.judges.images(data, part[places])}
        mask = np.arange(size) < len(part)
        yield jax.device_put({**batch, "mask": mask}, spread)


def _given(file: str) -> Judge:
    if Path(file).suffix in build.judges.WEIGHTS:
        return build.judges.inception(file)
    if Path(file).suffix == ".py":
        return _executed(file)
    raise ValueError(
        f"expected --features of a Python file (.py) or of Inception's weights "
        f"({', '.join(build.judges.WEIGHTS)}), got {file}; rename it after what it is"
    )


def _executed(file: str) -> Judge:
    if not Path(file).is_file():
        raise FileNotFoundError(
            f"expected a Python file with features(x), got {file}; it takes images "
            "[B, H, W, C] in [0, 1] to [B, F]"
        )
    found = runpy.run_path(file).get("features")
    if not callable(found):
        raise ValueError(
            f"expected a function features(x) in {file}, got none; it takes images "
            "[B, H, W, C] in [0, 1] to [B, F]"
        )
    return Judge(Path(file).stem, found, None)


def _told(judge: Judge) -> str:
    if judge.right is None:
        return f"features of {judge.name}"
    return f"{judge.name}: {judge.right:.1%} of the test split named rightly"
