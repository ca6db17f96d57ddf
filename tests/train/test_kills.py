"""A run that is killed again and again ends as one that never was, to the bit."""

import json
import random
import re
import signal
import time

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


def kill_at(process, workdir, step, delay):
    while reached(workdir) < step and process.is_alive():
        time.sleep(0.002)
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


def killed(workdir, targets, rng):
    """Kill a run soon after each of these steps; the steps it went on from."""
    run = runs.Run(str(workdir), steps=STEPS, checkpoint_every=EVERY, pause=0.01)
    kills, writing = [], 0
    for target in targets:
        process = runs.start(run)
        kill_at(process, workdir, target, rng.uniform(0, 0.06))
        kills.append((process.exitcode, reached(workdir)))
        writing += any(workdir.glob("checkpoints/*.orbax-checkpoint-tmp*"))
    assert runs.finish(runs.start(run)) == [0], runs.log(workdir)
    assert {code for code, _ in kills} <= {-signal.SIGKILL, 0}
    found = re.findall(r"checkpoint of step (\d+)", runs.log(workdir))
    starts = [0] * (1 + len(targets) - len(found)) + [int(step) for step in found]
    return [step for _, step in kills], starts[1:], writing


def compare(tmp_path, targets):
    plain, hurt = tmp_path / "plain", tmp_path / "hurt"
    straight = runs.Run(str(plain), steps=STEPS, checkpoint_every=EVERY)
    assert runs.finish(runs.start(straight)) == [0], runs.log(plain)
    ends, starts, writing = killed(hurt, targets, random.Random(0))
    assert_same(plain, hurt)
    for end, start in zip(ends, starts, strict=True):
        # The last checkpoint begun, or the one before if it was still being written.
        assert start >= ((end - 1) // EVERY - 1) * EVERY
    assert "damaged" not in runs.log(hurt)
    return writing


@pytest.mark.slow
def test_twenty_kills_leave_no_trace(tmp_path):
    """Some of them while a checkpoint is written."""
    assert compare(tmp_path, [0, *range(3, 60, 3)]) > 0


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
