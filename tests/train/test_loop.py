"""The loop: what it writes, when it stops, what it refuses, what it costs."""

import functools
import json
import os
import signal
import threading

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from diffjax import train
from diffjax.train import devices, metrics, rundir
from diffjax.types import Objective
from train import toys

CONFIG = {"seed": 0, "steps": 20, "net": {"width": 8}}
LAYOUTS = {
    "pmap": devices.pmap,
    "mesh": devices.mesh,
    "fsdp": lambda: devices.mesh(rule=devices.fsdp(smallest=2)),
}


def run(workdir, steps=20, **options):
    defaults = {
        "objective": toys.linear(),
        "optimizer": optax.adam(0.01),
        "batches": toys.Numbers(),
        "plan": train.Plan(steps, log_every=5, checkpoint_every=10),
        "config": {**CONFIG, "steps": steps},
    }
    given = {**defaults, **options}
    objective, optimizer = given.pop("objective"), given.pop("optimizer")
    batches = given.pop("batches")
    return train.train(
        objective, optimizer, jax.random.key(0), batches, workdir=workdir, **given
    )


def rows(path):
    return [
        json.loads(line)
        for line in (path / "metrics.jsonl").read_text().split("\n")[:-1]
    ]


def test_the_run_directory(tmp_path):
    state = run(tmp_path, events=[train.Event(10, lambda s: {"eval/at": s.step})])
    assert state.step == 20
    assert json.loads((tmp_path / "config.json").read_text()) == CONFIG
    found = rows(tmp_path)
    assert [row["step"] for row in found] == [5, 10, 10, 15, 20, 20]
    assert [row["eval/at"] for row in found if "eval/at" in row] == [10, 20]
    assert {path.name for path in (tmp_path / "checkpoints").iterdir()} == {"10", "20"}


def test_the_last_step_has_every_event_once(tmp_path):
    """A run shorter than an interval is looked at too."""
    seen = {7: [], 10: [], 100: []}

    def event(every):
        return train.Event(every, lambda state: seen[every].append(int(state.step)))

    run(tmp_path, events=[event(every) for every in seen])
    assert seen == {7: [7, 14, 20], 10: [10, 20], 100: [20]}


def test_a_line_is_the_mean_of_its_steps(tmp_path):
    run(tmp_path / "all", plan=train.Plan(20, log_every=1))
    run(tmp_path / "some")
    losses = [row["loss"] for row in rows(tmp_path / "all")]
    means = [row["loss"] for row in rows(tmp_path / "some")]
    np.testing.assert_allclose(np.reshape(losses, (4, 5)).mean(1), means, rtol=1e-6)


@pytest.mark.parametrize("steps", [7, 10, 13])
def test_a_run_in_two_parts_is_the_run(tmp_path, steps):
    """Also where the first part ends within an interval of the metrics."""
    events = [train.Event(4, lambda s: {"eval/w": s.params["w"][0]})]
    one = run(tmp_path / "one", events=events)

    def stop_at(state):
        if state.step == steps:
            os.kill(os.getpid(), signal.SIGTERM)

    stopped = run(tmp_path / "two", events=[*events, train.Event(1, stop_at)])
    assert stopped.step == steps
    with (tmp_path / "two" / "metrics.jsonl").open("a") as file:
        file.write('{"step": 19, "loss": 1.0}\n{"step": 20, "lo')
    two = run(tmp_path / "two", events=events)
    jax.tree.map(np.testing.assert_array_equal, one, two)
    assert rows(tmp_path / "one") == rows(tmp_path / "two")
    again = run(tmp_path / "two", events=events)
    jax.tree.map(np.testing.assert_array_equal, one, again)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_one_compilation_and_one_wait_per_interval(tmp_path, layout, monkeypatch):
    """Also after a restart, and with several steps in a dispatch."""
    waits = []
    device_get = jax.device_get
    monkeypatch.setattr(jax, "device_get", lambda x: waits.append(1) or device_get(x))
    plain = toys.linear()
    chex.clear_trace_counter()
    for steps in (20, 40):
        plan = train.Plan(steps, log_every=10, checkpoint_every=20, per_dispatch=5)
        limited = chex.assert_max_traces(plain.loss, n=2 if steps == 40 else 1)
        with jax.transfer_guard_device_to_host("disallow"):
            run(
                tmp_path,
                steps,
                objective=plain._replace(loss=limited),
                plan=plan,
                layout=LAYOUTS[layout](),
            )
    assert len(waits) == 4 + 2  # one more for each checkpoint
    layouts = LAYOUTS[layout]()
    assert layouts.mesh.size == 2


def test_layouts_agree_with_one_device(tmp_path):
    one = run(tmp_path / "one", layout=devices.mesh(devices=jax.devices()[:1]))
    for name, layout in LAYOUTS.items():
        state = run(tmp_path / name, layout=layout())
        np.testing.assert_allclose(one.params["w"], state.params["w"], rtol=1e-6)
        assert len(state.params["w"].sharding.device_set) == 2
        whole = name != "fsdp"
        assert state.params["w"].sharding.is_fully_replicated == whole


def test_evaluation_is_the_mean_loss_with_the_same_noise(tmp_path):
    """Of an average, on all devices, twice the same for the same parameters."""
    batches = [next(toys.Numbers()) for _ in range(2)]
    state = run(tmp_path, averages={"ema": train.averages.constant(0.9)})
    found = []
    for make in LAYOUTS.values():
        layout = make()
        state = run(
            tmp_path, averages={"ema": train.averages.constant(0.9)}, layout=layout
        )
        evaluate = train.evaluation(
            toys.linear(), layout, lambda: batches, average="ema", prefix="test/"
        )
        found.append(evaluate(state))
        assert found[-1] == evaluate(state)
    key = jax.random.wrap_key_data(state.words)
    key = jax.random.fold_in(key, np.uint32(2**32 - 2))
    w, losses = np.asarray(state.averages["ema"]["w"]), []
    for i, batch in enumerate(batches):
        of_batch = jax.random.fold_in(key, i)
        keys = [jax.random.fold_in(of_batch, j) for j in range(16)]
        noise = np.array([jax.random.normal(k, ()) for k in keys])
        losses.append(np.mean((batch["x"] @ w - noise) ** 2))
    for values in found:
        np.testing.assert_allclose(values["test/loss"], np.mean(losses), rtol=1e-5)
    empty = train.evaluation(toys.linear(), layout, lambda: [])
    with pytest.raises(ValueError, match="expected batches to evaluate on, got none"):
        empty(state)


def test_twenty_bad_steps_in_a_row_end_the_run(tmp_path):
    def spoil(number, batch):
        return {**batch, "x": batch["x"] * (np.nan if number > 14 else 1)}

    with pytest.raises(RuntimeError, match=r"got 21 .* step 35 .* is of step 30; look"):
        run(tmp_path, 100, batches=toys.Numbers(spoil=spoil))
    found = rows(tmp_path)
    assert [row["skipped"] for row in found] == [0, 0, 1, 6, 11, 16]
    assert found[-1]["loss"] is None  # JSON has no NaN
    assert found[2]["loss"] > 0  # of the four steps that were kept
    few = toys.Numbers(spoil=lambda n, b: spoil(20, b) if 11 <= n < 30 else b)
    state = run(tmp_path / "few", 40, batches=few)
    assert (state.watch.skipped, state.watch.kept) == (19, 21)


def test_a_second_signal_stops_at_once(tmp_path, capsys):
    handlers = []

    def twice(state):
        os.kill(os.getpid(), signal.SIGINT)
        handlers.extend(map(signal.getsignal, (signal.SIGTERM, signal.SIGINT)))

    before = signal.getsignal(signal.SIGINT)
    state = run(tmp_path, events=[train.Event(5, twice)])
    assert state.step == 5 and handlers == [signal.SIG_DFL] * 2
    assert signal.getsignal(signal.SIGINT) is before
    said = capsys.readouterr().err
    assert "SIGINT: will save and stop; once more stops at once" in said
    assert "stopped and saved at step 5; the same command goes on" in said


def test_a_run_in_a_thread_leaves_signals_alone(tmp_path):
    states = []
    thread = threading.Thread(target=lambda: states.append(run(tmp_path)))
    thread.start()
    thread.join()
    assert states[0].step == 20


def test_the_directory_of_another_run_is_refused(tmp_path, capsys):
    run(tmp_path)
    before = (tmp_path / "config.json").read_text()
    other = {"seed": 1, "steps": 20, "net": {"width": 16}}
    with pytest.raises(ValueError, match="net.width: 8 -> 16; seed: 0 -> 1; choose"):
        run(tmp_path, config=other)
    assert (tmp_path / "config.json").read_text() == before
    run(tmp_path, 25)
    assert "config: steps: 20 -> 25" in capsys.readouterr().err
    assert rundir.read_config(tmp_path)["steps"] == 25
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(ValueError, match="expected JSON in .* bring it back"):
        run(tmp_path)


@pytest.mark.parametrize("place", ["/proc/diffjax", "gs://bucket/run", "file/run"])
def test_a_directory_that_cannot_be_written_is_refused(tmp_path, place, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").touch()
    with pytest.raises((OSError, ValueError), match="^[^\n]*(choose another|mount)"):
        run(place)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"plan": train.Plan(0)}, "expected steps >= 1, got 0"),
        (
            {"plan": train.Plan(10, log_every=3, per_dispatch=2)},
            "per_dispatch = 2, got 3",
        ),
        ({"events": [train.Event(0, print)]}, "got 0; change"),
        ({"batches": toys.Numbers(15)}, "the 2 devices of this process, got .15. exam"),
    ],
)
def test_what_cannot_be_run_is_refused(tmp_path, changes, message):
    with pytest.raises(ValueError, match=message):
        run(tmp_path, **changes)


class Ending(toys.Numbers):
    def __next__(self):
        if self.number == 12:
            raise StopIteration
        return super().__next__()


def test_batches_must_be_endless_and_all_alike(tmp_path):
    with pytest.raises(ValueError, match="expected endless batches, got an end"):
        run(tmp_path / "ending", batches=Ending())
    changing = toys.Numbers(spoil=lambda n, b: {"x": b["x"][: 16 if n < 4 else 8]})
    with pytest.raises(ValueError, match="all alike, .*16.* got .*8.*; pad or drop"):
        run(tmp_path / "changing", batches=changing, layout=devices.mesh())


def test_the_rule_of_fsdp_cuts_the_longest_axis_that_can_be_cut():
    rule = devices.fsdp(smallest=10)
    shape = functools.partial(jax.ShapeDtypeStruct, dtype=jnp.float32)
    assert rule(shape((6, 8)), 4) == jax.P(None, "devices")
    assert rule(shape((8, 6)), 2) == jax.P("devices")
    assert rule(shape((7, 9)), 4) == jax.P()
    assert rule(shape((8,)), 4) == jax.P()


def test_other_hosts_need_an_address():
    with pytest.raises(ValueError, match="expected a coordinator with 2 processes"):
        train.connect(num=2)


def test_tensorboard_reads_the_events(tmp_path):
    """TFRecords: length, its checksum, protocol buffer, its checksum."""
    from tensorboardX.proto.event_pb2 import Event

    with metrics.opened(tmp_path, step=3) as log:
        metrics.write(log, 4, {"loss": 0.5, "bad": float("nan")})
    (file,) = tmp_path.glob("events.out.tfevents.*")
    content, events = file.read_bytes(), []
    while content:
        size = int.from_bytes(content[:8], "little")
        events.append(Event.FromString(content[12 : 12 + size]))
        content = content[16 + size :]
    assert events[0].file_version == "brain.Event:2"
    assert events[1].step == 4 and events[1].session_log.status == 1
    assert events[2].step == 4
    assert {v.tag: v.simple_value for v in events[2].summary.value}["loss"] == 0.5
    assert rows(tmp_path) == [{"step": 4, "loss": 0.5, "bad": None}]


def test_training_is_silent_about_metrics_it_has_not(tmp_path):
    quiet = Objective(lambda rng, b: jnp.ones(3), lambda p, rng, b: (jnp.sum(p**2), {}))
    run(tmp_path, objective=quiet)
    assert set(rows(tmp_path)[0]) == {"step", "grad_norm", "skipped"}
