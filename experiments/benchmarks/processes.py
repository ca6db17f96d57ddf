"""A process for each framework, so that their threads never meet."""

import contextlib
import multiprocessing
import time
from collections.abc import Callable

PAUSE = 0.02
Tasks = dict[str, Callable]
"""Name -> a function of no arguments."""


def start(make: Callable[[], Tasks], threads: int = 0):
    """A process that has run its tasks once; the pipe to it. Threads: torch's, or 0."""
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    context.Process(target=_serve, args=(make, threads, there), daemon=True).start()
    here.recv()
    return here


def run(pipe, task: str) -> tuple[float, object]:
    """Seconds and value of one run, once the others' threads are asleep."""
    time.sleep(PAUSE)
    pipe.send(task)
    return pipe.recv()


def _serve(make: Callable[[], Tasks], threads: int, pipe) -> None:
    if threads:
        import torch

        torch.set_num_threads(threads)
    tasks = make()
    for task in tasks.values():
        task()
    pipe.send("ready")
    with contextlib.suppress(EOFError):  # nobody asks any more
        while True:
            task = tasks[pipe.recv()]
            begun = time.perf_counter()
            value = task()
            pipe.send((time.perf_counter() - begun, value))
