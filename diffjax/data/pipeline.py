"""From examples to batches: shuffled, repeated, cut for each host, read ahead (Grain).

The stream is a function of the seed and of the place in it, so a position is a number.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from diffjax.data.dataset import Batch, Source
from diffjax.data.transforms import Transform, transformed


class Stream:
    """An endless iterator over batches that knows where it is.

    Its state is {"position": n}: n batches were taken. It fits any number of hosts,
    threads and workers.
    """

    def __init__(self, start: Callable[[int], Iterator[Batch]]) -> None:
        """start: position -> batches from there on."""
        self._start, self._position = start, 0
        self._batches: Iterator[Batch] | None = None

    def __iter__(self) -> "Stream":
        return self

    def __next__(self) -> Batch:
        if self._batches is None:
            self._batches = self._start(self._position)
        batch = next(self._batches)
        self._position += 1
        return batch

    def get_state(self) -> dict[str, int]:
        """Where the stream is, for a checkpoint."""
        return {"position": self._position}

    def set_state(self, state: dict[str, int]) -> None:
        """Go where another stream of the same data was."""
        position = state.get("position")
        if not isinstance(position, int) or position < 0:
            raise ValueError(
                f'expected {{"position": n >= 0}}, got {state}; it comes from get_state'
            )
        self.close()
        self._position = position

    def close(self) -> None:
        """Stop reading ahead; the next batch starts it again."""
        if self._batches is not None and hasattr(self._batches, "close"):
            self._batches.close()
        self._batches = None


def batches(
    source: Source,
    rng: int,
    *,
    batch_size: int,
    transforms: Sequence[Transform] = (),
    host: int = 0,
    hosts: int = 1,
    threads: int = 2,
    workers: int = 0,
    ahead: int = 4,
) -> Stream:
    r"""The endless stream of shuffled batches that training reads.

        global batch n = examples [n B, (n + 1) B) of the shuffled, repeated stream
        host h reads its examples [h B / hosts, (h + 1) B / hosts)

    Every epoch has an order of its own. The global batch does not depend on `hosts`,
    `threads` or `workers`.

    Args: source: of examples.  rng: a seed, of order and transforms.  batch_size: B, of
        the global batch.  transforms: applied in turn.  host, hosts: which part this
        process reads.  threads: that read and transform.  workers: processes that do,
        where one is too slow.  ahead: batches kept ready.
    Returns: Stream of Batch, "x" [B / hosts, ...].
    """
    import grain

    _check_split(batch_size, host, hosts)
    size = batch_size // hosts

    def read(index: int, indices: np.ndarray) -> Batch:
        places = index * size + np.arange(size)
        return transformed(transforms, rng, places, source.read(indices))

    order = grain.MapDataset.range(source.num).seed(rng).shuffle().repeat()
    mine = order.batch(size, drop_remainder=True).map_with_index(read)[host::hosts]
    options = grain.ReadOptions(
        num_threads=threads, prefetch_buffer_size=max(ahead, threads)
    )

    def start(position: int) -> Iterator[Batch]:
        rest = mine[position:].to_iter_dataset(options)
        return iter(_by_processes(rest, workers) if workers else rest)

    return Stream(start)


def epoch(
    source: Source,
    rng: int,
    *,
    batch_size: int,
    transforms: Sequence[Transform] = (),
    host: int = 0,
    hosts: int = 1,
) -> Iterator[Batch]:
    r"""Every example once, in order, in batches of one size: for evaluation.

        ceil(N / B) batches; "mask" is False where the last one repeats example N - 1

    Args: source, rng, batch_size, transforms, host, hosts: as for `batches`.
    Returns: iterator of Batch, "x" [B / hosts, ...], "mask" bool [B / hosts].
    """
    _check_split(batch_size, host, hosts)
    size = batch_size // hosts
    for start in range(host * size, source.num + host * size, batch_size):
        places = start + np.arange(size)
        batch = source.read(np.minimum(places, source.num - 1))
        batch = transformed(transforms, rng, places, batch)
        yield {**batch, "mask": places < source.num}


def _check_split(batch_size: int, host: int, hosts: int) -> None:
    if batch_size < 1 or batch_size % hosts:
        raise ValueError(
            f"expected a batch size that {hosts} hosts can share, got {batch_size}; "
            f"choose a multiple of {hosts}"
        )
    if not 0 <= host < hosts:
        raise ValueError(f"expected a host in 0..{hosts - 1}, got {host}")


def _by_processes(stream: Any, workers: int) -> Any:
    import grain
    from absl import flags

    # Grain reads its flags in this process, which absl refuses where, as here, no
    # absl application has parsed the command line.
    if not flags.FLAGS.is_parsed():
        flags.FLAGS.mark_as_parsed()
    return stream.mp_prefetch(grain.multiprocessing.MultiprocessingOptions(workers))
