"""The stream: one global batch whatever the hosts, one order whatever came before."""

import collections
import json
import subprocess
import sys

import numpy as np
import pytest

from diffjax.data import dataset, pipeline, transforms

N, B = 10, 4
ROWS = dataset.of_arrays({"x": np.arange(N, dtype=np.uint8)[:, None]})


def noisy(rng, example):
    return {**example, "u": rng.random()}


def take(stream, num):
    return [next(stream) for _ in range(num)]


def open_stream(**options):
    return pipeline.batches(ROWS, 3, batch_size=B, transforms=(noisy,), **options)


@pytest.mark.parametrize("hosts", [2, 4])
def test_hosts_read_contiguous_parts_of_the_same_global_batch(hosts):
    whole = take(open_stream(), 7)
    parts = [take(open_stream(host=h, hosts=hosts), 7) for h in range(hosts)]
    for n, batch in enumerate(whole):
        for key in ("x", "u"):
            joined = np.concatenate([part[n][key] for part in parts])
            np.testing.assert_array_equal(joined, batch[key])


def test_every_epoch_has_every_example_in_an_order_of_its_own():
    """Five batches of four are two epochs of ten."""
    seen = np.concatenate([b["x"][:, 0] for b in take(open_stream(), 5)])
    assert collections.Counter(seen[:N]) == collections.Counter(range(N))
    assert collections.Counter(seen[N:]) == collections.Counter(range(N))
    assert not np.array_equal(seen[:N], seen[N:])


def test_draws_are_new_for_every_place_of_the_stream():
    drawn = np.concatenate([b["u"] for b in take(open_stream(), 25)])
    assert len(set(drawn)) == 100


def test_another_seed_is_another_order():
    other = pipeline.batches(ROWS, 4, batch_size=B)
    assert not np.array_equal(next(other)["x"], next(open_stream())["x"])


@pytest.mark.parametrize("hosts", [1, 2])
def test_a_position_is_a_number_that_fits_any_number_of_hosts(hosts):
    first = open_stream()
    take(first, 3)
    state = json.loads(json.dumps(first.get_state()))
    assert state == {"position": 3}
    expected = next(first)
    resumed = [open_stream(host=h, hosts=hosts, threads=1) for h in range(hosts)]
    for stream in resumed:
        take(stream, 1)
        stream.set_state(state)
    got = [next(stream) for stream in resumed]
    for key in ("x", "u"):
        np.testing.assert_array_equal(
            np.concatenate([batch[key] for batch in got]), expected[key]
        )
    assert resumed[0].get_state() == {"position": 4}


WORKERS = """
import numpy as np
from diffjax.data import pipeline
from tests.data.test_pipeline import open_stream, take
if __name__ == "__main__":
    stream = open_stream(workers=2)
    stream.set_state({"position": 2})
    got, expected = take(stream, 3), take(open_stream(), 5)[2:]
    for one, other in zip(got, expected):
        np.testing.assert_array_equal(one["x"], other["x"])
        np.testing.assert_array_equal(one["u"], other["u"])
    stream.close()
"""


@pytest.mark.slow
def test_workers_read_the_same_stream(tmp_path):
    script = tmp_path / "workers.py"
    script.write_text(f"import sys; sys.path[:0] = {sys.path!r}\n{WORKERS}")
    command = [sys.executable, str(script)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("hosts", [1, 2])
def test_an_epoch_has_every_example_once_and_says_what_is_filled_in(hosts):
    def read(h):
        return list(pipeline.epoch(ROWS, 0, batch_size=B, host=h, hosts=hosts))

    parts = [read(h) for h in range(hosts)]
    assert {len(part) for part in parts} == {3}
    joined = [np.concatenate([p[n]["x"] for p in parts]) for n in range(3)]
    mask = [np.concatenate([p[n]["mask"] for p in parts]) for n in range(3)]
    x, kept = np.concatenate(joined)[:, 0], np.concatenate(mask)
    np.testing.assert_array_equal(x[kept], np.arange(N))
    np.testing.assert_array_equal(kept, [True] * N + [False] * 2)


def test_a_batch_that_hosts_cannot_share():
    with pytest.raises(ValueError, match="3 hosts can share, got 4; choose a multiple"):
        open_stream(hosts=3)
    with pytest.raises(ValueError, match=r"expected a host in 0\.\.1, got 2"):
        open_stream(host=2, hosts=2)


@pytest.mark.parametrize("state", [{}, {"position": -1}, {"next_index": 3}])
def test_a_state_of_something_else(state):
    with pytest.raises(ValueError, match="expected .*position.*, got .*get_state"):
        open_stream().set_state(state)


def test_an_error_while_reading_ahead_reaches_the_reader():
    bad = dataset.of_sources("mine", ROWS, ROWS, levels=10)
    worse = bad.train._replace(read=lambda i: bad.train.read(i) | {"x": 1 / 0})
    with pytest.raises(ZeroDivisionError):
        next(pipeline.batches(worse, 0, batch_size=B))


def test_static_draws_repeat_and_dynamic_draws_do_not():
    grey = dataset.of_arrays({"x": np.full((N, 50), 8, np.uint8)})
    static = transforms.fixed(grey, transforms.binarize_dynamic(17))
    places = np.array([2, 5])
    np.testing.assert_array_equal(static.read(places)["x"][1], static.read([5])["x"][0])
    one, two = static.read(places)["x"]
    assert not np.array_equal(one, two)
    stream = pipeline.batches(
        grey, 0, batch_size=N, transforms=[transforms.binarize_dynamic(17)]
    )
    first, second = next(stream)["x"], next(stream)["x"]
    assert not {row.tobytes() for row in first} & {row.tobytes() for row in second}
