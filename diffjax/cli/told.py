"""What the commands say while they work, and once they have written files."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")


def counted(
    parts: Iterable[T], total: int, unit: str, *, done: Callable[[T], int]
) -> Iterator[T]:
    r"""The same parts, with a bar of how far they are.

        done(part) of total

    Args: parts: of the work, as it goes on.  total: units of all of it.  unit: their
        name.  done: part -> units done so far.
    Returns: iterator of parts (no unit).
    """
    from tqdm import tqdm

    with tqdm(total=total, unit=unit, disable=None, leave=False) as bar:
        for part in parts:
            bar.update(done(part) - bar.n)
            yield part


def written(paths: Sequence[Path]) -> None:
    r"""Name the files that were written.

        wrote a, b

    Args: paths: of the files.
    Returns: nothing (no unit).
    """
    print("wrote " + ", ".join(map(str, paths)))
