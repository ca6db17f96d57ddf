"""Where numbers go: one JSON object a line, and TensorBoard's event files."""

import contextlib
import json
import math
import os
import socket
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple, TextIO


class Log(NamedTuple):
    """The open files of a run's metrics.

    lines: metrics.jsonl, a function of the config alone: no clock is in it.
    events: TensorBoard's, with speed and time.
    """

    lines: TextIO
    events: Any


@contextlib.contextmanager
def opened(directory: Path, *, step: int) -> Iterator[Log]:
    r"""Go on writing after a step; what was written of later ones is dropped.

        metrics.jsonl = its lines up to `step`

    Args: directory: of the run.  step: that training goes on from.
    Returns: a context of Log.
    """
    from tensorboardX.proto.event_pb2 import Event, SessionLog
    from tensorboardX.record_writer import RecordWriter

    path = directory / "metrics.jsonl"
    kept = [row for row in read(path) if row["step"] <= step]
    replace(path, "".join(map(_line, kept)))
    # Its own writer has a thread, which blocks for ever once the disk is full.
    name = (
        f"events.out.tfevents.{int(time.time())}.{socket.gethostname()}.{os.getpid()}"
    )
    log = Log(path.open("a"), RecordWriter(str(directory / name)))
    _event(log, Event(file_version="brain.Event:2"))
    # TensorBoard forgets what older files hold of this step and later ones.
    session = SessionLog(status=SessionLog.START)
    _event(log, Event(step=step + 1, session_log=session))
    try:
        yield log
    finally:
        for file in log:
            with contextlib.suppress(OSError):  # a full disk was told of by `write`
                file.close()


def write(log: Log, step: int, values: Mapping[str, float]) -> None:
    r"""A line of metrics, and the same for TensorBoard.

        {"step": step, name: value, ...},    null for what is not finite

    Args: log: Log.  step: that they are of.  values: by name.
    Returns: nothing (no unit).
    """
    try:
        log.lines.write(_line({"step": step, **values}))
        log.lines.flush()
        scalars(log, step, values)
    except OSError as error:
        raise OSError(
            error.errno,
            f"expected to write metrics to {log.lines.name}, got: {error.strerror}; "
            "make room and start the same command again",
        ) from error


def read(path: Path) -> list[dict[str, Any]]:
    r"""What `write` wrote.

        a dict for each line;    a line that a kill cut short is left out

    Args: path: of metrics.jsonl, which need not be there.
    Returns: a list of {"step": ..., name: value, ...} (units of the objective).
    """
    found = []
    for line in path.read_text().splitlines() if path.exists() else ():
        with contextlib.suppress(ValueError):
            found.append(json.loads(line))
    return found


def scalars(log: Log, step: int, values: Mapping[str, float]) -> None:
    r"""For TensorBoard alone, for what depends on the machine.

        Event(step, wall time, {name: value})

    Args: log, step, values: as for `write`.
    Returns: nothing (no unit).
    """
    from tensorboardX.proto.event_pb2 import Event
    from tensorboardX.proto.summary_pb2 import Summary

    named = [Summary.Value(tag=name, simple_value=v) for name, v in values.items()]
    _event(log, Event(step=step, summary=Summary(value=named)))


def sync(log: Log) -> None:
    r"""Have the disk hold all that was written.

        fsync

    Args: log: Log.
    Returns: nothing (no unit).
    """
    log.lines.flush()
    os.fsync(log.lines.fileno())
    log.events.flush()


def replace(path: Path, text: str) -> None:
    r"""Write a file whole, or leave it as it was.

        path  <-  text

    Args: path: of the file.  text: its content.
    Returns: nothing (no unit).
    """
    beside = path.with_name(path.name + ".new")
    with beside.open("w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    beside.replace(path)


def _line(row: Mapping[str, Any]) -> str:
    def plain(value: Any) -> Any:
        is_number = value is None or math.isfinite(value)
        return value if is_number else None

    clean = {name: plain(value) for name, value in row.items()}
    return json.dumps(clean, allow_nan=False) + "\n"


def _event(log: Log, event: Any) -> None:
    event.wall_time = time.time()
    log.events.write(event.SerializeToString())
