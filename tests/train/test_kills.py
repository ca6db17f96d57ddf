"""A run that is killed again and again ends as one that never was, to the bit."""

import json
import random
import re
import signal
import time
from pathlib import Path

import numpy as np
import pytest

from train import runs

EVERY, STEPS = 4, 60


def reached(workdir):
    """The last step of which there is a line of metrics."""
    try:
        lines = (workdir / "metrics.jsonl").read_text().splitlines()
        return max((json.loads(line)["step"] for line in lines), default=0)
    except (FileNotFoundError, ValueError):
        return 0


def begun(workdir):
    """Whether a checkpoint is being written."""
    return any(workdir.glob("checkpoints/*.orbax-checkpoint-tmp*"))


def kill_at(process, workdir, step, delay, *, writes):
    """Soon after a step, or soon after the next checkpoint is begun."""
    while reached(workdir) < step and process.is_alive():
        time.sleep(0.002)
    while writes and not begun(workdir) and process.is_alive():
        time.sleep(0.0005)
    time.sleep(delay)
    process.kill()
    process.join()


def assert_same(one, other):
    first, second = runs.leaves(one), runs.leaves(other)
    assert first.keys() == second.keys()
    for name in first:
        np.testing.assert_array_equal(first[name], second[name], err_msg=name)
    lines = [(path / "metrics.jsonl").read_text() for path in (one, other)]
    assert lines[0] == lines[1]
    assert len(lines[0].splitlines()) == STEPS


def starts(workdir):
    """The checkpoints that the run has gone on from, so far."""
    is_there = (workdir / "log0.txt").exists()
    said = runs.log(workdir) if is_there else ""
    return [int(step) for step in re.findall(r"checkpoint of step (\d+)", said)]


def assert_little_lost(workdir, before, end):
    """At the last step `end`, to a run that has begun since: from where did it?"""
    for start in starts(workdir)[len(before) :]:
        # The last checkpoint begun, or the one before if it was still being written.
        assert start >= ((end - 1) // EVERY - 1) * EVERY


def killed(run, num, rng):
    """Kill a run so many times, some while it starts; how often it was writing."""
    workdir, writing = Path(run.workdir), 0
    for i in range(num):
        before, end = starts(workdir), reached(workdir)
        process, writes = runs.start(run), i % 2 == 1
        target = min(end + rng.randrange(5), STEPS - EVERY)
        delay = rng.uniform(0, 0.01 if writes else 0.06)
        kill_at(process, workdir, target, delay, writes=writes)
        assert process.exitcode in (-signal.SIGKILL, 0)
        assert_little_lost(workdir, before, end)
        writing += begun(workdir)
    return writing


def compare(tmp_path, num):
    straight = runs.Run(str(tmp_path / "plain"), steps=STEPS, checkpoint_every=EVERY)
    hurt = straight._replace(workdir=str(tmp_path / "hurt"), pause=0.01)
    assert runs.finish(runs.start(straight)) == [0], runs.log(straight.workdir)
    writing = killed(hurt, num, random.Random(0))
    assert runs.finish(runs.start(hurt)) == [0], runs.log(hurt.workdir)
    assert "damaged" not in runs.log(hurt.workdir)
    assert_same(tmp_path / "plain", tmp_path / "hurt")
    return writing


@pytest.mark.slow
def test_twenty_kills_leave_no_trace(tmp_path):
    """Some of them while a checkpoint is written."""
    assert compare(tmp_path, 20) > 2


@pytest.mark.slow
def test_a_signal_stops_all_processes_at_the_same_step(tmp_path):
    run = runs.Run(str(tmp_path), devices=2, checkpoint_every=1000, pause=0.02)
    processes = runs.start_all(run, 2)
    while reached(tmp_path) < 5:
        assert processes[0].is_alive(), runs.log(tmp_path)
        time.sleep(0.01)
    processes[1].terminate()
    assert runs.finish(*processes) == [0, 0], runs.log(tmp_path)
    assert "stopped and saved at step" in runs.log(tmp_path)
    steps = [int(path.name) for path in (tmp_path / "checkpoints").iterdir()]
    assert len(steps) == 1 and 5 <= steps[0] < STEPS
