"""Samples against data: from a run's directory, by any features; of text, by words."""

import hashlib
import json
import types

import jax
import numpy as np
import pytest
from interop import inception_reference

from diffjax import build
from diffjax.cli import drawing, main, pictures, scores
from diffjax.evaluate import frechet, kid, precision_recall, record
from diffjax.interop import inception

PIXELS = """
SOME = slice(18, 26)


def features(x):
    return x.reshape(len(x), -1)[:, SOME]
"""


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "pixels.py"
    path.write_text(PIXELS)
    return str(path)


def digits(digits_dir, *transforms):
    return build.data.prepare(
        {"name": "digits", "data_dir": digits_dir, "transforms": transforms}
    )


def mesh():
    return jax.sharding.Mesh(np.array(jax.devices()), ("devices",))


def by_name(found):
    return {each.metric: each.value for each in found}


def test_the_test_split_itself_is_perfect(digits_dir, file):
    """Distance 0, all of it precise and recalled; on two devices, padded batches."""
    data = digits(digits_dir, "symmetric")
    reference = scores.reference(data, mesh(), 50, file=file)
    x = build.data.read(data, data.test, np.arange(297))
    found = by_name(reference.of(data, x))
    assert abs(found["Frechet"]) < 1e-6
    assert found["precision"] == found["recall"] == 1
    assert {each.features for each in reference.floor} == {"pixels"}
    assert {(each.n, each.split) for each in reference.floor} == {(50, "train")}


@pytest.mark.slow
def test_inception_is_told_by_its_weights(digits_dir, tmp_path, monkeypatch):
    """Small images of a few digits, and no Frechet distance of 2048 features."""
    save_file = pytest.importorskip("safetensors.numpy").save_file
    path = tmp_path / "weights.safetensors"
    save_file(inception_reference.state(), path)
    monkeypatch.setattr(inception, "SIDE", 75)
    monkeypatch.setattr(frechet, "distance", lambda a, b: float(a.mean.size))
    data = digits(digits_dir, "symmetric")
    data = data._replace(test=data.test._replace(num=12))
    reference = scores.reference(data, mesh(), 10, file=str(path), batch_size=8)
    name = f"inception {hashlib.sha256(path.read_bytes()).hexdigest()[:8]}"
    assert {each.features for each in reference.floor} == {name}
    assert reference.told == f"features of {name}"
    x = build.data.read(data, data.test, np.arange(12))
    found = by_name(reference.of(data, x))
    assert found["Frechet"] == 2048 and found["precision"] == found["recall"] == 1
    with pytest.raises(ValueError, match=r"\(\.py\) or of Inception's .*got a\.pt; re"):
        scores.reference(data, mesh(), 10, file="a.pt")


def test_scores_are_those_of_the_features(digits_dir, file):
    """Against the functions of `evaluate`, on features taken by hand."""
    data = digits(digits_dir, "tokens")
    reference = scores.reference(data, mesh(), 20, file=file)
    x = np.random.default_rng(0).integers(0, 17, (60, 8, 8, 1))
    test = build.data.read(data, data.test, np.arange(297))

    def rows(x):
        return x.reshape(len(x), 64)[:, 18:26] / 16

    a, b = rows(test), rows(x)
    found = {r.metric: r for r in reference.of(data, x)}
    moments = (
        frechet.update(frechet.zero(8), np.asarray(each, np.float32)) for each in (a, b)
    )
    assert found["Frechet"].value == pytest.approx(frechet.distance(*moments), rel=2e-2)
    wanted, error = kid.distance(a, b, block=12)
    assert found["KID"].value == pytest.approx(wanted, rel=1e-2)
    assert found["KID"].standard_error == pytest.approx(error, rel=2e-2)
    share = precision_recall.score(a[:60], b)
    assert found["precision"].value == pytest.approx(share.precision, abs=0.02)
    assert found["recall"].value == pytest.approx(share.recall, abs=0.02)
    assert found["Frechet"].n == 60 and found["Frechet"].split == "test"


def test_so_many_images_at_once_as_are_told(digits_dir, tmp_path, capsys):
    """A number that two devices cannot share is rounded up."""
    path = tmp_path / "pixels.py"
    path.write_text(
        "def features(x):\n    print(len(x))\n"
        "    return x.reshape(len(x), 64)[:, 18:26]\n"
    )
    data = digits(digits_dir, "symmetric")
    scores.reference(data, mesh(), 10, file=str(path), batch_size=5)
    assert set(capsys.readouterr().out.split()) == {"6"}


def test_text_is_told_by_its_words():
    data = build.data.prepare({"name": "text", "length": 32, "transforms": ("tokens",)})
    reference = scores.reference(data, mesh(), 40, file=None)
    test = by_name(reference.floor)
    same = np.repeat(data.train.read(np.arange(1))["x"], 5, axis=0)
    assert 0.8 < test["spelling"] <= 1 and reference.floor[0].split == "test"
    alike = by_name(reference.of(data, same))
    assert alike["spelling"] == 1
    assert alike["distinct-3"] <= 0.2 < test["distinct-3"]
    noise = np.random.default_rng(0).integers(0, 27, (200, 32))
    found = by_name(reference.of(data, noise))
    assert found["spelling"] < 0.3
    assert found["unigram bits"] == pytest.approx(np.log2(27), abs=0.01)
    assert 3.9 < test["unigram bits"] < 4.3  # English has 4.1
    with pytest.raises(ValueError, match="expected no --features for text, got a.py"):
        scores.reference(data, mesh(), 40, file="a.py")


def test_the_speed_is_that_of_the_later_parts(digits_dir, file):
    data = digits(digits_dir)
    reference = scores.reference(data, mesh(), 10, file=file)
    x = build.data.read(data, data.test, np.arange(20))
    fast = by_name(scores.of_drawn(reference, data, drawing.Drawn(x, 7.0)))
    assert fast["samples/s"] == 7
    once = by_name(scores.of_drawn(reference, data, drawing.Drawn(x, np.nan)))
    assert "samples/s" not in once


def test_a_draw_is_timed_without_its_first_part(monkeypatch):
    """Parts of 2 until 10 s, 11 s and 12 s: four samples in two seconds."""
    clock = iter([0.0, 10.0, 11.0, 12.0])
    patched = types.SimpleNamespace(perf_counter=lambda: next(clock))
    monkeypatch.setattr("diffjax.cli.drawing.time", patched)

    def sampler(params, keys, num):
        return jax.vmap(lambda key: jax.random.uniform(key, (3,)))(keys)

    wish = drawing.Wish(num=6, seed=0, chunk=2, model={})
    drawn = drawing.draw(mesh(), sampler, None, wish)
    assert drawn.per_second == 2.0 and drawn.x.shape == (6, 3)
    assert len(np.unique(drawn.x)) == 18


CONFIG = """
def get_config():
    return dict(
        seed=0, steps=2, batch_size=4, log_every=2, eval_every=0, sample_every=0,
        checkpoint_every=2,
        data=dict(name="digits", data_dir={digits!r}, transforms=("tokens",)),
        model=dict(name="d3pm", schedule=dict(name="inverse", T=4),
                   transitions="absorbing", loss="absorbing"),
        net=dict(name="transformer", width=8, depth=1, heads=1, told=8),
        optimizer=dict(name="adam", learning_rate=1e-3),
        ema=dict(),
        devices=dict(name="mesh"),
    )
"""


@pytest.fixture(scope="module")
def run(tmp_path_factory, digits_dir):
    folder = tmp_path_factory.mktemp("runs")
    (folder / "tiny.py").write_text(CONFIG.format(digits=digits_dir))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("diffjax.train.connect", lambda **hosts: None)
        words = ["train", str(folder / "tiny.py"), "--workdir", str(folder / "run")]
        assert main(words) == 0
    return folder / "run"


def test_evaluate_writes_scores_beside_the_bound(run, file, capsys):
    """And the forward process; numbers of the user's own stay."""
    own = record.Record("mine", 1.5, None, 3, "test")
    record.save(run / "scores.jsonl", [own])
    words = ["evaluate", str(run), "--num", "4", "--samples", "20", "--features", file]
    for _ in range(2):
        assert main(words) == 0
    found = record.load(run / "scores.jsonl")
    names = ["mine", "Frechet", "KID", "precision", "recall", "samples/s"]
    assert [each.metric for each in found] == names and found[0] == own
    assert {each.n for each in found[1:]} == {20}
    [speed] = [each.value for each in found if each.metric == "samples/s"]
    assert speed > 0
    assert "features of pixels" in capsys.readouterr().out
    assert json.loads((run / "evaluation.json").read_text())["train"] == 1500
    assert (run / "samples" / "samples.png").is_file()


def test_the_forward_process_is_drawn(run):
    from diffjax.cli import forward, runs

    found = runs.read(str(run))
    forward.save(run, found, 0)
    seen = forward.read(run)
    assert list(seen.ts) == [0, 1, 2, 3, 4] and not seen.pieces.size
    assert seen.tiles.shape == (5, 4, 8, 8, 3)  # in colour, for the masks
    data = found.experiment.data
    x = build.data.read(data, data.test, np.arange(4))
    wanted = np.repeat(np.round(x * (255 / 16)), 3, axis=-1)
    np.testing.assert_array_equal(seen.tiles[0], wanted)
    assert (seen.tiles[-1] == pictures.MASK).all()
    masked = (seen.tiles == pictures.MASK).all(-1)
    np.testing.assert_array_equal(seen.tiles[2][~masked[2]], wanted[~masked[2]])
    assert 0.3 < masked[2].mean() < 0.7  # half of the way
    alpha = 1 - seen.ts / 4  # inverse(4): a mask at rate t / T
    wanted = alpha[:, None, None] * np.eye(18)
    wanted[:, :, -1] += (1 - alpha)[:, None]
    np.testing.assert_allclose(seen.matrices, wanted, atol=1e-6)
    shade = forward.heat(np.array([[0.0, 0.25], [1.0, 1.0]]))
    assert (shade[0, 0] == 255).all() and (shade[1, 0] < shade[0, 1]).all()
    (run / "forward.npz").write_bytes(b"PK cut short")
    with pytest.raises(ValueError, match="run diffjax evaluate .* again"):
        forward.read(run)


def test_mistakes(run, file, tmp_path, capsys):
    def told(*words):
        assert main(["evaluate", str(run), *words]) == 2
        return capsys.readouterr().err

    assert "expected --samples to be a whole number >= 10" in told("--samples", "9")
    assert "expected --samples N with --features" in told("--features", file)
    few = ["--samples", "10", "--features"]
    assert "expected a Python file with features(x), got" in told(*few, "nowhere.py")
    (tmp_path / "empty.py").write_text("x = 1\n")
    empty = str(tmp_path / "empty.py")
    assert "expected a function features(x) in" in told(*few, empty)
    (tmp_path / "wrong.py").write_text("def features(x):\n    return x\n")
    wrong = str(tmp_path / "wrong.py")
    assert "expected features [B, F] of a batch" in told(*few, wrong)
