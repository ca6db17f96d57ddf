"""What a data set is: two sources of examples, and what their values mean."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

Example = Mapping[str, Any]
"""One example: "x" is the data, "label" the class, if any."""
Batch = dict[str, np.ndarray]
"""Arrays with a leading batch axis."""


class Source(NamedTuple):
    """Examples that can be read in any order, many at a time.

    num: how many there are.
    read: (indices [n]) -> Batch of these examples.
    """

    num: int
    read: Callable[[np.ndarray], Batch]


class DataSet(NamedTuple):
    """A training and a test split of examples of one shape.

    name: as in the configuration.
    train, test: sources of examples; "x" is [*shape], raw: nothing is scaled yet.
    shape: of "x", one example.
    levels: K, the values of "x" are the integers 0 .. K-1; 0 if they are real numbers.
    alphabet: the characters, or pieces of words, that tokens stand for, K of them; ""
        if it is no text.
    classes: "label" is one of 0 .. classes-1; 0 if there are no labels.
    """

    name: str
    train: Source
    test: Source
    shape: tuple[int, ...]
    levels: int
    alphabet: Sequence[str] = ""
    classes: int = 0


def of_sources(
    name: str,
    train: Source,
    test: Source,
    *,
    levels: int,
    alphabet: Sequence[str] = "",
    classes: int = 0,
) -> DataSet:
    r"""A data set whose every example is checked as it is read.

        x [*shape] integer, 0 <= x < levels,    or real and finite if levels = 0

    Args: name: for messages.  train, test: of at least one example each; the first of
        `train` fixes the shape.  levels: K, or 0.  alphabet: of K characters, if the
        data are text.  classes: of "label", 0 without.
    Returns: DataSet, its sources checked.
    """
    if levels == 1 or levels < 0:
        raise ValueError(
            f"expected levels >= 2, or 0 for real numbers, got {levels} for {name}"
        )
    for split, source in (("train", train), ("test", test)):
        if source.num == 0:
            raise ValueError(
                f"expected at least one example in the {split} split of {name}, got "
                "none; choose another split"
            )
    shape = np.shape(train.read(np.arange(1))["x"])[1:]

    def checked(split: str, source: Source) -> Source:
        def read(indices: np.ndarray) -> Batch:
            batch = source.read(indices)
            _check_shape(f"{name} {split}", batch["x"], shape)
            _check_values(f"{name} {split}", batch["x"], levels)
            return batch

        return source._replace(read=read)

    both = checked("train", train), checked("test", test)
    return DataSet(name, *both, shape, levels, alphabet, classes)


def of_arrays(arrays: Mapping[str, np.ndarray]) -> Source:
    r"""The examples of arrays in memory.

        read(i) = {key: array[i]}

    Args: arrays: name -> [N, ...].
    Returns: Source of N examples [...].
    """
    lengths = {key: len(array) for key, array in arrays.items()}
    if len(set(lengths.values())) != 1:
        raise ValueError(
            f"expected arrays of one length, got {lengths}; one row is one example"
        )

    def read(indices: np.ndarray) -> Batch:
        return {key: array[indices] for key, array in arrays.items()}

    return Source(next(iter(lengths.values())), read)


def in_memory(source: Source) -> Source:
    r"""The same examples, each read and decoded once and then kept.

        arrays[i] = read(i), the first time that i is asked for

    Nothing is read before it is needed, and room is taken as it is filled.

    Args: source: Source.
    Returns: Source that remembers.
    """
    arrays: Batch = {}
    known = np.zeros(source.num, bool)

    def read(indices: np.ndarray) -> Batch:
        new = np.unique(indices[~known[indices]])
        if new.size:
            batch = source.read(new)
            for key, value in batch.items():
                shape = (source.num, *value.shape[1:])
                arrays.setdefault(key, np.empty(shape, value.dtype))[new] = value
            known[new] = True  # last, for threads: two may read, none reads a gap
        return {key: array[indices] for key, array in arrays.items()}

    return source._replace(read=read)


def stack(examples: Sequence[Example]) -> Batch:
    r"""Examples as a batch.

        batch[key] = (example_1[key], ..., example_n[key])

    Args: examples: n with the same keys and shapes.
    Returns: Batch of arrays [n, ...].
    """
    shapes = {np.shape(example["x"]) for example in examples}
    if len(shapes) > 1:
        raise ValueError(
            f"expected examples of one shape, got {sorted(shapes)}; resize the images, "
            "or cut the sequences to one length"
        )
    return {k: np.stack([example[k] for example in examples]) for k in examples[0]}


def _check_shape(place: str, x: np.ndarray, shape: tuple[int, ...]) -> None:
    if x.shape[1:] != shape:
        raise ValueError(
            f"{place}: expected examples {list(shape)}, got {list(x.shape[1:])}; "
            "resize the images, or cut the sequences to one length"
        )


def _check_values(place: str, x: np.ndarray, levels: int) -> None:
    wanted = f"integers 0..{levels - 1}" if levels else "real numbers (levels = 0)"
    if not np.issubdtype(x.dtype, np.integer if levels else np.floating):
        raise ValueError(
            f"{place}: expected {wanted}, got {x.dtype}; give raw values, which "
            "transforms scale, and the number of levels that they have"
        )
    if levels == 0 and not np.isfinite(x).all():
        raise ValueError(f"{place}: expected finite numbers, got nan or inf in x")
    if levels and not (x.min() >= 0 and x.max() < levels):
        raise ValueError(
            f"{place}: expected {wanted}, got {x.min()}..{x.max()}; set levels to "
            f"{int(x.max()) + 1} or correct the data"
        )
