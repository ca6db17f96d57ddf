"""Checkpoints: damaged ones are seen, named, passed over; full disks are survived."""

import json
import os
import random
import shutil
import subprocess
import time
from concurrent import futures

import jax
import numpy as np
import optax
import pytest

from diffjax import train
from diffjax.train import checkpoint
from diffjax.types import Objective
from train import runs, toys


def run(workdir, steps=30, *, objective=None, size=None, **options):
    plan = train.Plan(steps, log_every=5, checkpoint_every=10)
    return train.train(
        toys.linear() if objective is None else objective,
        optax.adam(0.01),
        jax.random.key(0),
        toys.Numbers(),
        workdir=workdir,
        plan=plan,
        **options,
    )


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A finished run with checkpoints of steps 10, 20 and 30."""
    path = tmp_path_factory.mktemp("whole")
    return path, run(path)


@pytest.fixture
def copy(whole, tmp_path):
    shutil.copytree(whole[0], tmp_path / "run")
    return tmp_path / "run"


def files(path):
    return sorted(file for file in path.rglob("*") if file.is_file())


def flip(file, rng):
    content = bytearray(file.read_bytes())
    content[rng.randrange(len(content))] ^= 1 << rng.randrange(8)
    file.write_bytes(content)


def newest(path):
    told = []
    return checkpoint.newest(path / "checkpoints", told.append), "\n".join(told)


def test_a_flipped_bit_in_any_file_is_seen(copy):
    rng = random.Random(0)
    last = copy / "checkpoints" / "30"
    sealed = set(files(last)) - unsealed(last)
    assert len(sealed) > 5
    for file in filter(lambda f: f.stat().st_size, sealed):
        content = file.read_bytes()
        flip(file, rng)
        assert checkpoint.damage(last) is not None, file
        file.write_bytes(content)
    assert checkpoint.damage(last) is None


def unsealed(path):
    """What Orbax writes when it renames; nothing that training reads."""
    listed = json.loads((path / checkpoint.SEAL).read_text())
    return set(files(path)) - {path / name for name in [*listed, checkpoint.SEAL]}


def test_a_flipped_bit_in_what_is_not_sealed_changes_nothing(copy, whole):
    last, rng = copy / "checkpoints" / "30", random.Random(1)
    assert unsealed(last) <= {last / checkpoint.STAMP, last / "commit_success.txt"}
    for file in unsealed(last):
        content = file.read_bytes()
        for _ in range(5 if content else 0):
            flip(file, rng)
            if checkpoint.damage(last) is None:
                assert_same(run(copy), whole[1])
            file.write_bytes(content)


def assert_same(one, other):
    jax.tree.map(np.testing.assert_array_equal, one, other)


@pytest.mark.parametrize("harm", ["flip", "truncate", "delete", "unseal", "empty"])
def test_the_one_before_is_taken_and_said_so(copy, whole, capsys, harm):
    last = copy / "checkpoints" / "30"
    largest = max(files(last / "state"), key=lambda file: file.stat().st_size)
    {
        "flip": lambda: flip(largest, random.Random(0)),
        "truncate": lambda: os.truncate(largest, largest.stat().st_size - 1),
        "delete": largest.unlink,
        "unseal": (last / checkpoint.SEAL).unlink,
        "empty": lambda: [shutil.rmtree(last), last.mkdir()],
    }[harm]()
    assert_same(run(copy), whole[1])
    said = capsys.readouterr().err
    assert "checkpoint 30 is damaged: " in said
    assert "going on from the checkpoint of step 20" in said
    assert (copy / "damaged" / "30").exists()
    assert newest(copy) == (30, "")
    for name in ("metrics.jsonl", "config.json"):
        assert (copy / name).read_bytes() == (whole[0] / name).read_bytes()


def test_with_none_left_nothing_is_touched(copy):
    for file in files(copy / "checkpoints"):
        if file.name == "manifest.ocdbt":
            flip(file, random.Random(0))
    before = {file: file.read_bytes() for file in files(copy)}
    with pytest.raises(RuntimeError, match="got 3 damaged; bring one back, or"):
        run(copy)
    assert before == {file: file.read_bytes() for file in files(copy)}


def test_a_half_written_checkpoint_is_removed_not_read(copy, capsys):
    checkpoints = copy / "checkpoints"
    half = checkpoints / "40.orbax-checkpoint-tmp"
    (checkpoints / "30").rename(half)
    step, told = newest(copy)
    assert step == 20 and "40.orbax-checkpoint-tmp was not finished" in told
    assert not half.exists()


def test_no_checkpoint_at_all_is_no_damage(tmp_path):
    (tmp_path / "checkpoints").mkdir()
    assert newest(tmp_path) == (None, "")


def test_another_model_is_refused(copy):
    def init(rng, batch):
        return {"v": jax.numpy.ones(3)}

    other = Objective(init, lambda params, rng, batch: (params["v"].sum(), {}))
    with pytest.raises(RuntimeError, match="of this model at step 30, got one that"):
        run(copy, objective=other)
    assert newest(copy) == (30, "")


def test_the_latest_and_the_best_are_kept(tmp_path):
    """By an event's metric, the least; also after a restart."""
    scores = {10: 3.0, 20: 1.0, 30: float("nan"), 40: 2.0, 50: 4.0}
    events = [train.Event(10, lambda state: {"score": scores[int(state.step)]})]
    keep = train.Keep(latest=1, best="score")
    for steps in (30, 50):
        run(tmp_path, steps, events=events, keep=keep)
        names = {path.name for path in (tmp_path / "checkpoints").iterdir()}
        assert names == {"20", str(steps)}
    with pytest.raises(ValueError, match="at least 1 checkpoint, got 0"):
        run(tmp_path, keep=train.Keep(latest=0))


def test_what_is_saved_is_not_what_comes_after(tmp_path):
    """Buffers are used again while a checkpoint is written."""
    states = {}

    def copied(state):
        states[int(state.step)] = jax.tree.map(np.array, state)

    large = toys.with_ballast(toys.linear(), 400_000)
    run(tmp_path, objective=large, events=[train.Event(10, copied)])
    like = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype), states[10])
    with checkpoint.writer(tmp_path / "checkpoints", train.Keep()) as manager:
        for step, state in states.items():
            found, info = checkpoint.restore(manager, step, like)
            assert_same(found, state)
            assert info["position"] == {"number": step}


@pytest.fixture
def small_disk(tmp_path):
    """A file system with room for two checkpoints of `with_ballast(..., 80_000)`."""
    command = ["mount", "-t", "tmpfs", "-o", "size=2600k", "tmpfs", str(tmp_path)]
    if shutil.which("mount") is None or subprocess.run(command).returncode:
        pytest.skip("a small file system can only be mounted by root")
    yield tmp_path
    subprocess.run(["umount", str(tmp_path)], check=True)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_full_disk_ends_the_run_and_keeps_what_is_saved(small_disk):
    large = toys.with_ballast(toys.linear(), 80_000)
    for _ in range(2):  # the second time it goes on, and is stopped by the same
        with pytest.raises(OSError, match="got a full disk; the last is of step 20; f"):
            run(small_disk, objective=large)
        assert newest(small_disk) == (20, "")


def test_what_a_failed_write_adds_late_is_removed_too(tmp_path):
    """TensorStore's threads write on for a while after Orbax has said what failed."""
    begun = tmp_path / "30.orbax-checkpoint-tmp"

    def write_on():
        for i in range(30):
            begun.mkdir(exist_ok=True)
            (begun / str(i)).write_text("late")
            time.sleep(0.02)

    with (
        futures.ThreadPoolExecutor(1) as threads,
        checkpoint.writer(tmp_path, train.Keep()),
    ):
        late = threads.submit(write_on)
        time.sleep(0.1)
    late.exception()  # a file that vanished under its hands is no matter
    assert not list(tmp_path.iterdir())


def test_a_limit_on_files_is_a_full_disk_too(tmp_path):
    """For those who cannot mount; in a process, whose limit it is."""
    limited = runs.Run(str(tmp_path), objective="large", largest_file=100_000)
    assert runs.finish(runs.start(limited)) == [1]
    assert "got a full disk; none is saved yet; free space" in runs.log(tmp_path)
    assert newest(tmp_path) == (None, "")
