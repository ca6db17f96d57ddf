"""The same training on one device, on four in three ways, and on two processes."""

import json

import numpy as np
import pytest

from train import runs

WAYS = {
    "one": (dict(layout="one"), 1),
    "pmap": (dict(layout="pmap", devices=4), 1),
    "mesh": (dict(layout="mesh", devices=4), 1),
    "fsdp": (dict(layout="fsdp", devices=4), 1),
    "processes": (dict(layout="mesh", devices=2), 2),
    "pmap in processes": (dict(layout="pmap", devices=2), 2),
}


def train(workdir, way, **changes):
    options, count = WAYS[way]
    run = runs.Run(workdir=str(workdir), **{**options, **changes})
    assert set(runs.finish(*runs.start_all(run, count))) == {0}, runs.log(workdir)


def lines(workdir):
    text = (workdir / "metrics.jsonl").read_text()
    return [json.loads(line) for line in text.splitlines()]


def assert_close(one, other, rtol=1e-5):
    """Losses, and norms of what each array of the state differs by."""
    for here, there in zip(lines(one), lines(other), strict=True):
        assert here.keys() == there.keys()
        for name in here:
            np.testing.assert_allclose(here[name], there[name], rtol, err_msg=name)
    first, second = runs.leaves(one), runs.leaves(other)
    assert first.keys() == second.keys()
    for name in first:
        a, b = first[name].astype(np.float64), second[name].astype(np.float64)
        assert np.linalg.norm(a - b) <= rtol * np.linalg.norm(a), name


@pytest.mark.slow
def test_devices_do_not_matter(tmp_path):
    """50 steps of a DDPM, a VQ-EMA model and a D3PM, in chunks of five."""
    options = {"objective": "chapters", "steps": 50, "checkpoint_every": 50}
    for way in ("one", "pmap", "mesh", "fsdp", "processes"):
        train(tmp_path / way, way, per_dispatch=5, **options)
        assert_close(tmp_path / "one", tmp_path / way)
    assert len(lines(tmp_path / "one")) == 10
    first, last = lines(tmp_path / "one")[0], lines(tmp_path / "one")[-1]
    assert all(last[name] < first[name] for name in ("ddpm", "vq", "d3pm"))


@pytest.mark.slow
def test_a_run_moves_to_other_devices(tmp_path):
    """Begun on four, gone on with on one, on four, by two processes of two."""
    train(tmp_path / "one", "one", steps=60)
    ways = ["fsdp", "one", "pmap", "processes", "pmap in processes"]
    for steps, way in zip([20, 30, 40, 50, 60], ways, strict=True):
        train(tmp_path / "moved", way, steps=steps)
    assert_close(tmp_path / "one", tmp_path / "moved")
