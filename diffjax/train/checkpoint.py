"""Checkpoints by Orbax, sealed with digests: whole, or not there at all.

A checkpoint is written beside its place and renamed into it once complete. Just before,
it is sealed: a list of its files with their sizes and SHA-256. On the way back only a
checkpoint whose files are as they were is read; nothing is ever unpickled.
"""

import contextlib
import errno
import hashlib
import json
import logging
import math
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
import orbax.checkpoint as ocp
from jax.experimental import multihost_utils

SEAL = "seal.json"
STAMP = "_CHECKPOINT_METADATA"
"""Orbax's own file, which takes the time of the renaming and so cannot be sealed."""


class Keep(NamedTuple):
    """Which checkpoints are kept.

    latest: the last so many.
    best: also the one with the least of this metric of an event, if named.
    """

    latest: int = 3
    best: str | None = None


@contextlib.contextmanager
def writer(directory: Path, keep: Keep) -> Iterator[ocp.CheckpointManager]:
    r"""The writer of a run's checkpoints.

        directory/<step>/{state, info, seal.json}

    Args: directory: exists, seen by all hosts.  keep: what to keep.
    Returns: a context of Orbax's CheckpointManager: asynchronous, atomic (no unit).
    """
    if keep.latest < 1:
        raise ValueError(f"expected to keep at least 1 checkpoint, got {keep.latest}")
    policies = ocp.checkpoint_managers
    best = policies.BestN(get_metric_fn=_value, reverse=True, n=1 if keep.best else 0)
    options = ocp.CheckpointManagerOptions(
        preservation_policy=policies.AnyPreservationPolicy(
            [policies.LatestN(keep.latest), best]
        ),
        best_fn=_value if keep.best else None,
        best_mode="min",
        async_options=ocp.AsyncOptions(
            post_finalization_callback=lambda: _seal_all(directory)
        ),
    )
    # Orbax logs what it raises, with tracebacks; it is raised again in one line.
    logger = logging.getLogger("absl")
    logger.addFilter(_not_of_orbax)
    manager = ocp.CheckpointManager(directory.absolute(), options=options)
    try:
        yield manager
    finally:
        logger.removeFilter(_not_of_orbax)
        with contextlib.suppress(Exception):  # `finish` has told of it, and better
            manager.close()
        _clear(directory)


def save(
    manager: ocp.CheckpointManager,
    step: int,
    state: Any,
    info: Any,
    *,
    metric: float | None = None,
) -> None:
    r"""Begin to write a checkpoint; the arrays may change as soon as this returns.

        directory/<step>  <-  state, info

    Args: manager: of `writer`.  step: of the state.  state: pytree of global arrays.
        info: JSON.  metric: by which the best is chosen, if it is known.
    Returns: nothing (no unit).
    """
    items = ocp.args.Composite(
        state=ocp.args.StandardSave(state), info=ocp.args.JsonSave(info)
    )
    metrics = None if metric is None else {"value": metric}
    _explained(manager, lambda: manager.save(step, args=items, metrics=metrics))


def finish(manager: ocp.CheckpointManager, *, wait: bool = True) -> None:
    r"""Raise what went wrong in the background since the last call.

        OSError if the disk is full, RuntimeError else

    Args: manager: of `writer`.  wait: until all is written.
    Returns: nothing (no unit).
    """
    if wait or not manager.is_saving_in_progress():
        _explained(manager, manager.wait_until_finished)


def newest(directory: Path, tell: Callable[[str], None]) -> int | None:
    r"""The last step whose checkpoint is intact; damaged ones are put aside.

        max{step : SHA-256 of every file is as sealed}

    Process 0 reads and decides for all. Where none is intact nothing is touched.

    Args: directory: of the checkpoints.  tell: is told of every damaged one.
    Returns: the step, or None where there are no checkpoints at all (no unit).
    """
    verdict = np.array([-1, 0])
    if jax.process_index() == 0:
        verdict = np.array(_judge(directory, tell))
    step, damaged = map(int, multihost_utils.broadcast_one_to_all(verdict))
    if step < 0 and damaged:
        raise RuntimeError(
            f"expected an intact checkpoint in {directory}, got {damaged} damaged; "
            "bring one back, or start again in another --workdir (nothing was changed)"
        )
    return None if step < 0 else step


def restore(manager: ocp.CheckpointManager, step: int, like: Any) -> tuple[Any, Any]:
    r"""Read a checkpoint, onto whatever devices there are now.

        state, info  <-  directory/<step>

    Args: manager: of `writer`.  step: of `newest`.  like: pytree of ShapeDtypeStruct
        with shardings, of `devices.abstract`.
    Returns: state and info, as saved (no unit).
    """
    items = ocp.args.Composite(
        state=ocp.args.StandardRestore(like), info=ocp.args.JsonRestore()
    )
    try:
        found = manager.restore(step, args=items)
    except Exception as error:
        raise RuntimeError(
            f"expected a checkpoint of this model at step {step}, got one that does "
            f"not fit: {_line(error)}; use the config and version it was made with"
        ) from error
    return found.state, found.info


def seal(path: Path) -> None:
    r"""Note the size and digest of every file of a directory.

        seal.json = {name: [size, sha256]}

    Args: path: of a complete checkpoint.
    Returns: nothing (no unit).
    """
    files = {
        str(file.relative_to(path)): [file.stat().st_size, _sha256(file.read_bytes())]
        for file in sorted(path.rglob("*"))
        if file.is_file() and file.name not in (SEAL, STAMP)
    }
    (path / SEAL).write_text(json.dumps(files))


def damage(path: Path) -> str | None:
    r"""What is wrong with a sealed checkpoint.

        the first file whose size or SHA-256 is not as sealed

    Args: path: of a checkpoint.
    Returns: a description, or None if it is intact (no unit).
    """
    try:
        sealed = json.loads((path / SEAL).read_bytes())
        json.loads((path / STAMP).read_bytes())
        for name, (size, digest) in sealed.items():
            content = (path / name).read_bytes()
            if len(content) != size:
                return f"{name} has {len(content)} bytes, not {size}"
            if _sha256(content) != digest:
                return f"{name} was changed"
    except FileNotFoundError as error:
        return f"{Path(str(error.filename)).relative_to(path)} is missing"
    except (ValueError, TypeError, AttributeError):
        return f"{SEAL} or {STAMP} cannot be read"
    return None


def _judge(directory: Path, tell: Callable[[str], None]) -> tuple[int, int]:
    """The newest intact step or -1, and the number of damaged ones that are newer."""
    for name in _clear(directory):
        tell(f"{name} was not finished when the run ended: removed")
    reports = {}
    for step in sorted(_steps(directory), reverse=True):
        report = damage(directory / str(step))
        if report is None:
            break
        reports[step] = report
    else:
        step = -1
    for bad, report in reports.items():
        tell(f"checkpoint {bad} is damaged: {report}")
        if step >= 0:
            aside = _free(directory.parent / "damaged" / str(bad))
            (directory / str(bad)).rename(aside)
            tell(f"checkpoint {bad} was moved to {aside}; falling back to {step}")
    return step, len(reports)


def _steps(directory: Path) -> Iterator[int]:
    return (int(p.name) for p in directory.iterdir() if p.name.isdigit())


def _free(path: Path) -> Path:
    path.parent.mkdir(exist_ok=True)
    names = (path.with_name(f"{path.name}.{i}" if i else path.name) for i in range(999))
    return next(name for name in names if not name.exists())


def _seal_all(directory: Path) -> None:
    """Orbax calls this when all is written, just before the renaming."""
    for path in directory.glob("*.orbax-checkpoint-tmp*"):
        seal(path)


def _explained(manager: ocp.CheckpointManager, call: Callable[[], Any]) -> None:
    try:
        call()
    except Exception as error:
        directory, good = Path(manager.directory), manager.latest_step()
        _clear(directory)
        kept = f"the last is of step {good}" if good else "none is saved yet"
        if _is_full(error):
            text = f"expected room for a checkpoint in {directory}, got a full disk"
            remedy = "free space and start the same command again"
            raise OSError(errno.ENOSPC, f"{text}; {kept}; {remedy}") from error
        text = f"expected to write a checkpoint, got: {_line(error)}; {kept}"
        raise RuntimeError(f"{text}; start the same command again") from error


def _clear(directory: Path) -> list[str]:
    """Remove what was begun and never finished; the names of it."""
    names = []
    for path in directory.glob("*.orbax-checkpoint-tmp*"):
        if jax.process_index() == 0:
            _remove(path)
        names.append(path.name)
    return names


def _remove(path: Path) -> None:
    """Remove a directory until it stays away: a failed write may still add to it."""
    for _ in range(50):
        shutil.rmtree(path, ignore_errors=True)
        time.sleep(0.1)
        if not path.exists():
            return


def _is_full(error: BaseException) -> bool:
    codes = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
    words = ("No space left", "Disk quota exceeded", "File too large", "ENOSPC")
    return getattr(error, "errno", None) in codes or any(w in str(error) for w in words)


def _line(error: BaseException) -> str:
    text = str(error).strip() or type(error).__name__
    return text.splitlines()[0][:200]


def _not_of_orbax(record: logging.LogRecord) -> bool:
    return "orbax" not in record.pathname


def _value(metrics: Any) -> float:
    value = float(metrics["value"])
    return value if math.isfinite(value) else math.inf


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
