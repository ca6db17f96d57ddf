"""The data of a configuration: a set, its transforms, and how to look at it."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from diffjax.build import tables
from diffjax.build.sets import DATA, SPANS, TRANSFORMS, by_tfds
from diffjax.data import dataset, pipeline, text, transforms
from diffjax.data.dataset import DataSet, Source
from diffjax.data.pipeline import Batch, Stream
from diffjax.data.transforms import Transform


class Prepared(NamedTuple):
    """A data set with what happens to its examples.

    name: of the set.
    train, test: sources of examples, raw.
    augment: applied to each training example before the transforms.
    transforms: applied to each example.
    shape: of "x", transformed, one example.
    image: the same as an image (H, W, C), or None if it is none.
    whole: whether "x" is integers, 0..levels-1.
    bits: whether "x" is 0 or 1, as far as the first examples show.
    levels: of the raw "x"; 0 if they are real numbers.
    span: what the lowest and the highest level became.
    origin: what they are without `transforms`.
    alphabet: of text, or "".
    classes: of "label", 0 if there is none.
    options: of reading: threads, workers.
    """

    name: str
    train: Source
    test: Source
    augment: tuple[Transform, ...]
    transforms: tuple[Transform, ...]
    shape: tuple[int, ...]
    image: tuple[int, ...] | None
    whole: bool
    bits: bool
    levels: int
    span: tuple[float, float]
    origin: tuple[float, float]
    alphabet: Sequence[str]
    classes: int
    options: dict[str, int]


READING = ("threads", "workers")
BESIDE = ("augment", "transforms", "once", "in_memory", *READING)


def prepare(config: Mapping[str, Any]) -> Prepared:
    r"""The data of a configuration.

        {"name": ..., "augment": [...], "transforms": [...], "once": [...], ...}

    Args: config: "transforms" are applied every time that an example is read, "augment"
        before them and to training examples alone, "once" give the same result every
        time; "in_memory", and the rest are options of the data set.
    Returns: Prepared.
    """
    spec = dict(config)
    steps, once = spec.pop("transforms", ()), spec.pop("once", ())
    augment = spec.pop("augment", ())
    in_memory = spec.pop("in_memory", False)
    reading = {key: spec.pop(key) for key in READING if key in spec}
    _check_reading(reading)
    name = str(spec.get("name", ""))
    extra = {name: by_tfds(name[5:])} if name.startswith("tfds:") else {}
    found = tables.make("data", {**DATA, **extra}, spec, beside=BESIDE)
    train, test = _fixed(found, once)
    if in_memory:  # what is done once is done before any step
        train, test = dataset.in_memory(train), dataset.in_memory(test)
    varied = _transforms("data.augment", augment, found.levels)
    applied = _transforms("data.transforms", steps, found.levels)
    some = np.arange(min(16, train.num))
    x = transforms.transformed((*varied, *applied), 0, some, train.read(some))["x"]
    _expect_alike(x, transforms.transformed(applied, 0, some[:1], test.read(some[:1])))
    seen = (x.shape[1:], found.shape)
    return Prepared(
        name=found.name,
        train=train,
        test=test,
        augment=varied,
        transforms=applied,
        shape=x.shape[1:],
        image=next((s for s in seen if len(s) == 3 and np.prod(s) == x[0].size), None),
        whole=bool(np.issubdtype(x.dtype, np.integer)),
        bits=bool(np.isin(x, (0, 1)).all()),
        levels=found.levels,
        span=_span(found, (*once, *steps)),
        origin=_span(found, once),
        alphabet=found.alphabet,
        classes=found.classes,
        options=reading,
    )


def batches(
    data: Prepared, rng: int, *, batch_size: int, host: int = 0, hosts: int = 1
) -> Stream:
    r"""The endless stream that training reads.

        pipeline.batches(data.train, rng, ...)

    Args: data: Prepared.  rng, batch_size, host, hosts: as for `pipeline.batches`.
    Returns: Stream of Batch [b, ...].
    """
    return pipeline.batches(
        data.train,
        rng,
        batch_size=batch_size,
        transforms=(*data.augment, *data.transforms),
        host=host,
        hosts=hosts,
        threads=data.options.get("threads", 2),
        workers=data.options.get("workers", 0),
    )


def test_batches(
    data: Prepared, rng: int, *, batch_size: int, host: int = 0, hosts: int = 1
) -> Iterator[Batch]:
    r"""Every test example once, in batches of one size.

        pipeline.epoch(data.test, rng, ...)

    Args: data: Prepared.  rng, batch_size, host, hosts: as for `pipeline.epoch`.
    Returns: iterator of Batch [B, ...] with "mask".
    """
    return pipeline.epoch(
        data.test,
        rng,
        batch_size=batch_size,
        transforms=data.transforms,
        host=host,
        hosts=hosts,
    )


def some(data: Prepared, *, num: int, batch_size: int) -> Iterator[Batch]:
    r"""The first training examples, transformed, the last batch shorter than the rest.

        training examples 0 .. num - 1

    Args: data: Prepared.  num: how many, all if there are less.  batch_size: B.
    Returns: iterator of Batch [B, ...].
    """
    places = np.arange(min(num, data.train.num))
    for i in range(0, len(places), batch_size):
        part = places[i : i + batch_size]
        read = data.train.read(part)
        yield transforms.transformed(data.transforms, 0, part, read)


def first(data: Prepared, *, batch_size: int) -> Batch:
    r"""A batch to learn shapes from.

        test examples 0 .. batch_size - 1, the last one repeated

    Args: data: Prepared.  batch_size: B.
    Returns: Batch [B, ...].
    """
    batch = next(test_batches(data, 0, batch_size=batch_size))
    return {key: value for key, value in batch.items() if key != "mask"}


def read(data: Prepared, source: Source, places: np.ndarray) -> np.ndarray:
    r"""Some examples as the model sees them.

        x_i,    i in places

    Args: data: Prepared.  source: one of its two.  places: integers [N].
    Returns: [N, ...] "x", transformed.
    """
    return transforms.transformed(data.transforms, 0, places, source.read(places))["x"]


def plain(data: Prepared) -> Prepared:
    r"""The same data without their transforms: what samples are to look like.

        x in {0, ..., levels - 1}, as read

    Args: data: Prepared.
    Returns: Prepared.
    """
    x = data.train.read(np.arange(1))["x"]
    return data._replace(
        augment=(),
        transforms=(),
        shape=x.shape[1:],
        image=x.shape[1:] if x.ndim == 4 else None,
        span=data.origin,
    )


def written(data: Prepared, x: np.ndarray) -> list[str] | None:
    r"""Examples as text, if that is what they are.

        text.decode(x, alphabet)

    Args: data: Prepared.  x: [N, ...].
    Returns: N strings, or None (no unit).
    """
    return [text.decode(row, data.alphabet) for row in x] if data.alphabet else None


def levels(data: Prepared, x: np.ndarray) -> np.ndarray:
    r"""Examples as grey values or colours.

        255 (x - low) / (high - low), clipped and rounded

    Args: data: Prepared.  x: [...], any part of the data or of a chain.
    Returns: uint8 [...] (levels).
    """
    low, high = data.span
    grey = (x.astype(np.float32) - low) * (255 / (high - low))
    return np.clip(np.round(np.nan_to_num(grey)), 0, 255).astype(np.uint8)


def _span(found: DataSet, steps: Iterable[Any]) -> tuple[float, float]:
    spans = [SPANS[name] for name in map(tables.name, steps) if name in SPANS]
    return spans[-1](found.levels) if spans else (0.0, found.levels - 1.0)


def _expect_alike(x: np.ndarray, test: Batch) -> None:
    if x.shape[1:] != test["x"].shape[1:]:
        raise ValueError(
            f"expected training and test examples of one shape, got {x.shape[1:]} and "
            f"{test['x'].shape[1:]}; make what cuts them one of data.transforms, which "
            "are for both"
        )


def _check_reading(options: Mapping[str, Any]) -> None:
    for key, value in options.items():
        tables.number(f"data.{key}", value, least=key == "threads", whole=True)


def _fixed(found: DataSet, once: Any) -> tuple[Source, Source]:
    train, test = found.train, found.test
    for i, transform in enumerate(_transforms("data.once", once, found.levels)):
        train = transforms.fixed(train, transform, rng=2 * i)
        test = transforms.fixed(test, transform, rng=2 * i + 1)
    return train, test


def _transforms(place: str, specs: Any, levels: int) -> tuple[Transform, ...]:
    if isinstance(specs, str | Mapping):
        raise ValueError(
            f"expected {place} to be a tuple, got {specs!r}; write ({specs!r},)"
        )
    given = {"levels": levels}
    return tuple(tables.make(place, TRANSFORMS, spec, given=given) for spec in specs)
