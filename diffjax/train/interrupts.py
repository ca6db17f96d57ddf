"""SIGTERM and Ctrl-C: the first asks to stop, the second stops at once."""

import contextlib
import os
import signal
import threading
from collections.abc import Callable, Iterator

import jax
from jax.experimental import multihost_utils

SIGNALS = (signal.SIGTERM, signal.SIGINT)


@contextlib.contextmanager
def watched(tell: Callable[[str], None]) -> Iterator[Callable[[int], bool]]:
    r"""Within, signals are noticed instead of obeyed.

        stop(n) = a signal came before dispatch n, the same on all hosts

    Args: tell: is told of the first signal.
    Returns: a context of (count of the dispatch) -> whether to stop (no unit).
    """
    many = jax.process_count() > 1
    came = threading.Event()

    def notice(number: int, frame: object) -> None:
        for each in SIGNALS:
            signal.signal(each, signal.SIG_DFL)
        came.set()
        name = signal.Signals(number).name
        tell(f"{name}: will save and stop; once more stops at once")
        if many:
            signal.signal(signal.SIGTERM, of_jax)
            os.kill(os.getpid(), signal.SIGTERM)

    def stop(count: int) -> bool:
        # Hosts hear of it at different moments: JAX agrees on a step none has passed.
        return (
            multihost_utils.reached_preemption_sync_point(count)
            if many
            else came.is_set()
        )

    if threading.current_thread() is not threading.main_thread():
        yield stop
        return
    of_jax = signal.getsignal(signal.SIGTERM)
    caught = SIGNALS[1:] if many else SIGNALS
    before = {each: signal.signal(each, notice) for each in caught}
    try:
        yield stop
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)
