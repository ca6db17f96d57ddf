"""What a person sees of a run: a bar on a terminal, a line per interval elsewhere."""

import contextlib
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

import jax


class Progress(NamedTuple):
    """The voice of a run; silent on all processes but the first.

    tell: (text), one line per event.
    show: (steps done, metrics) -> steps per second since the last call.
    """

    tell: Callable[[str], None]
    show: Callable[[int, Mapping[str, float]], float]


@contextlib.contextmanager
def progress(steps: int) -> Iterator[Progress]:
    r"""Show how far a run is, at what rate, and when it will be done.

        rate = steps / second,    left = (steps - done) / rate

    Args: steps: of the whole run.
    Returns: a context of Progress.
    """
    from tqdm import tqdm

    silent = jax.process_index() != 0
    drawn = not silent and sys.stderr.isatty()
    # Drawn when there is news: the loop waits for the devices then anyway.
    bar = tqdm(total=steps, unit="step", disable=not drawn, miniters=steps + 1)
    last: list[tuple[float, int]] = []

    def tell(text: str) -> None:
        if not silent:
            tqdm.write(text, file=sys.stderr)
            sys.stderr.flush()

    def show(done: int, values: Mapping[str, float]) -> float:
        now = time.monotonic()
        if not last:
            last.append((now, done))
            bar.initial = bar.n = bar.last_print_n = done
            return 0.0
        rate = (done - last[0][1]) / max(now - last[0][0], sys.float_info.min)
        last[0] = (now, done)
        loss = f"loss {values['loss']:.4g}" if "loss" in values else ""
        if drawn:
            bar.n = done
            bar.set_postfix_str(loss)
        else:
            left = tqdm.format_interval((steps - done) / rate) if rate else "?"
            tell(f"step {done}/{steps}  {loss}  {rate:.4g} steps/s  {left} left")
        return rate

    try:
        yield Progress(tell, show)
    finally:
        bar.close()
