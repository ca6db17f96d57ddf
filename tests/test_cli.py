"""The command line: a tiny run from end to end, and what is said of mistakes."""

import json
import pathlib
import textwrap

import chex
import jax
import jax.numpy as jnp
import numpy as np
import PIL.Image
import pytest

from diffjax import build, vae
from diffjax.cli import bounds, configs, main, pictures, runs

CONFIG = """
def get_config():
    return dict(
        seed=0, steps=4, batch_size=4, log_every=2, eval_every=4, sample_every=4,
        checkpoint_every=2,
        data=dict(name="digits", data_dir={digits!r}, transforms=("symmetric",)),
        model=dict(name="ddpm", schedule=dict(name="cosine", T=4), steps=None,
                   guide="clipped", classes=True),
        net=dict(name="mlp", width=8, depth=1),
        optimizer=dict(name="adam", learning_rate=1e-3, clip=1.0, warmup=0),
        ema=dict(decay=0.9),
        devices=dict(name="mesh", micro_batches=1),
    )
"""


@pytest.fixture(scope="module", autouse=True)
def connected():
    """JAX runs already in this process, so no hosts can be looked for any more."""
    with pytest.MonkeyPatch.context() as patch:
        calls = []
        patch.setattr("diffjax.train.connect", lambda **hosts: calls.append(hosts))
        yield calls


def size(path):
    with PIL.Image.open(path) as image:
        return image.size


def frames(path):
    with PIL.Image.open(path) as image:
        return image.n_frames


@pytest.fixture(scope="module")
def file(tmp_path_factory, digits_dir):
    path = tmp_path_factory.mktemp("config") / "tiny.py"
    path.write_text(CONFIG.format(digits=digits_dir))
    return str(path)


@pytest.fixture(scope="module")
def run(file, tmp_path_factory):
    """A trained run, of four steps."""
    workdir = tmp_path_factory.mktemp("runs") / "tiny"
    assert main(["train", file, "--workdir", str(workdir)]) == 0
    return workdir


def test_a_run_has_what_the_design_says(run):
    assert {p.name for p in run.iterdir()} >= {
        "config.json",
        "checkpoints",
        "metrics.jsonl",
        "samples",
    }
    config = json.loads((run / "config.json").read_text())
    assert config["model"]["schedule"] == {"name": "cosine", "T": 4}
    rows = [json.loads(r) for r in (run / "metrics.jsonl").read_text().splitlines()]
    assert [row["step"] for row in rows] == [2, 4, 4]
    assert "eval_loss" in rows[-1] and "loss" in rows[0]
    assert size(run / "samples" / "step_00000004.png") == (270, 270)


@pytest.mark.slow
def test_three_images_of_ones_own_come_to_a_grid(tmp_path):
    """In one command, in fewer steps than lie between two grids."""
    (tmp_path / "mine").mkdir()
    for i in range(3):
        image = PIL.Image.new("RGB", (20 + i, 30), (80 * i, 0, 0))
        image.save(tmp_path / "mine" / f"{i}.png")
    data = f'name="folder", path={str(tmp_path / "mine")!r}, size=4, in_memory=True'
    text = CONFIG.replace('name="digits", data_dir={digits!r}', data)
    text = text.replace("classes=True", "classes=False")
    (tmp_path / "folder.py").write_text(
        text.replace("sample_every=4", "sample_every=9")
    )
    words = ["train", str(tmp_path / "folder.py"), "--workdir", str(tmp_path / "run")]
    assert main(words) == 0
    assert size(tmp_path / "run" / "samples" / "step_00000004.png") == (270, 270)


def test_hosts_are_what_the_flags_say(file, connected, tmp_path):
    words = ["--coordinator", "a:1", "--hosts", "2", "--host", "1", "--config.steps=0"]
    assert (
        main(["train", file, "--workdir", str(tmp_path), *words[:-1], words[-1]]) == 2
    )
    assert connected[-1] == {"coordinator": "a:1", "num": 2, "index": 1}


def test_the_same_command_goes_on(run, file, capsys):
    assert main(["train", file, "--workdir", str(run)]) == 0
    assert "nothing to do: step 4 of 4 is done" in capsys.readouterr().err


def test_only_the_json_of_a_run_is_read(run, file, tmp_path, monkeypatch):
    """The file may be gone or poisoned: no command but train looks at it."""

    def never(*args, **options):
        raise AssertionError("a configuration was executed")

    monkeypatch.setattr("runpy.run_path", never)
    assert main(["sample", str(run), "--num", "2", "--out", str(tmp_path)]) == 0
    assert main(["report", str(run)]) == 0


NEAR = {"rtol": 1e-5, "atol": 1e-5}


def sampled(run, folder, *options):
    words = ["sample", str(run), "--num", "5", "--out", str(folder), *options]
    assert main(words) == 0
    with np.load(folder / "samples.npz") as found:
        return found["x"]


@pytest.fixture(scope="module")
def drawn(run, tmp_path_factory):
    folder = tmp_path_factory.mktemp("drawn")
    return folder, sampled(run, folder)


def test_samples_are_files_to_look_at(drawn):
    folder, x = drawn
    assert x.shape == (5, 8, 8, 1)
    assert size(folder / "samples.png") == (100, 66)
    assert size(folder / "samples.gif") == (100, 66)
    assert frames(folder / "samples.gif") == 5


def test_a_sample_depends_on_seed_and_index_alone(run, drawn, tmp_path):
    """Two devices or one, five at once or two: the same up to rounding."""
    _, whole = drawn
    np.testing.assert_allclose(sampled(run, tmp_path, "--chunk", "2"), whole, **NEAR)
    assert len(jax.devices()) == 2
    found = runs.read(str(run))
    alone = jax.sharding.Mesh(np.array(jax.devices()[1:]), ("devices",))
    params = jax.device_put(jax.device_get(found.params), jax.devices()[1])
    draw = runs.by_example(alone, found.experiment.model.sampler, 3)
    parts = list(runs.chunks(draw, params, 0, 5))
    assert [len(part) for part in parts] == [3, 2]
    np.testing.assert_allclose(np.concatenate(parts), whole, **NEAR)
    assert not np.allclose(sampled(run, tmp_path, "--seed", "1"), whole, atol=1e-2)


def test_sampling_with_another_step_of_fewer_steps(run, tmp_path):
    x = sampled(run, tmp_path, "--steps", "2", "--sampler", "ddim")
    assert np.isfinite(x).all()
    assert frames(tmp_path / "samples.gif") == 3


def test_sampling_a_class(run, drawn, tmp_path):
    """Another class or another guidance, other samples of the same noise."""
    _, anything = drawn
    zero = sampled(run, tmp_path, "--label", "0", "--guidance", "300")
    assert zero.shape == anything.shape and not np.allclose(zero, anything, atol=1e-4)
    one = sampled(run, tmp_path, "--label", "1", "--guidance", "300")
    assert not np.allclose(one, zero, atol=1e-4)


def test_sampling_from_a_diffusers_directory(tmp_path):
    """A published layout with weights of the test's own."""
    pytest.importorskip("safetensors")
    from interop import cases
    from interop.test_golden import checkpoint

    checkpoint(tmp_path, "gray_wide")
    (tmp_path / "scheduler_config.json").write_text(json.dumps(cases.SCHEDULER))
    index = {"_class_name": "DDPMPipeline", "unet": ["diffusers", "UNet2DModel"]}
    (tmp_path / "model_index.json").write_text(json.dumps(index))
    words = ["sample", "--from-diffusers", str(tmp_path), "--num", "3"]
    words += ["--steps", "2", "--sampler", "ddim", "--out", str(tmp_path / "out")]
    assert main(words) == 0
    with np.load(tmp_path / "out" / "samples.npz") as found:
        assert found["x"].shape[0] == 3 and np.abs(found["x"]).max() <= 1
    assert (tmp_path / "out" / "samples.png").exists()


def test_evaluate_prints_the_bound_with_its_standard_error(run, capsys):
    """Whatever the batch size; bits/dim are nats / (64 log 2)."""
    assert main(["evaluate", str(run), "--num", "9", "--batch-size", "4"]) == 0
    out = capsys.readouterr().out
    assert "digits: 9 test examples, step 4" in out and "bits/dim" in out
    one = json.loads((run / "evaluation.json").read_text())
    assert main(["evaluate", str(run), "--num", "9", "--batch-size", "6"]) == 0
    other = json.loads((run / "evaluation.json").read_text())
    for name in ("-elbo", "rate", "distortion", "bits/dim"):
        assert one[name]["mean"] == pytest.approx(other[name]["mean"], rel=1e-5)
        assert one[name]["se"] == pytest.approx(other[name]["se"], rel=1e-3)
    total = one["rate"]["mean"] + one["distortion"]["mean"]
    assert one["-elbo"]["mean"] == pytest.approx(total, rel=1e-5)
    bits = one["-elbo"]["mean"] / (64 * np.log(2))
    assert one["bits/dim"]["mean"] == pytest.approx(bits, rel=1e-6)
    assert (one["dims"], one["examples"]) == (64, 9)
    layers = one["divergences"]["mean"]
    assert len(layers) == len(one["divergences"]["se"]) == 3  # t = 2, 3, 4
    total = sum(layers) + one["prior"]["mean"]
    assert one["rate"]["mean"] == pytest.approx(total, rel=1e-5)


def test_a_run_may_be_named_as_the_readme_does(run, monkeypatch):
    """By a path from here, which Orbax does not take; two examples cost two."""
    sizes, over = [], bounds.over

    def seen(*args, batch_size, **options):
        sizes.append(batch_size)
        return over(*args, batch_size=batch_size, **options)

    monkeypatch.setattr(bounds, "over", seen)
    monkeypatch.chdir(run.parent)
    assert main(["evaluate", run.name, "--num", "2"]) == 0
    assert sizes == [2]


def test_an_autoencoder_is_told_by_its_error(file, tmp_path, capsys):
    """Of x in [0, 1] and 64 of them; it is no generator, and nothing claims so."""
    other = swapped(file, tmp_path, "sample_every=4", "sample_every=0")
    other = swapped(other, tmp_path, "symmetric", "unit")
    text = pathlib.Path(other).read_text()
    start, end = text.index("model=dict("), text.index("net=dict(")
    pathlib.Path(other).write_text(
        f"{text[:start]}model=dict(name='ae', latent=2),\n        {text[end:]}"
    )
    other = swapped(other, tmp_path, "width=8, depth=1", "widths=(8,)")
    workdir = str(tmp_path / "run")
    words = ["train", other, "--workdir", workdir]
    assert main([*words, "--config.sample_every=4"]) == 2
    assert "expected sample_every = 0, got 4: nothing can" in capsys.readouterr().err
    assert main(words) == 0
    assert main(["evaluate", workdir, "--num", "9"]) == 0
    assert "an autoencoder has no likelihood" in capsys.readouterr().out
    told = json.loads((tmp_path / "run" / "evaluation.json").read_text())
    about = {"step", "examples", "split", "train", "seed", "data", "dims", "parameters"}
    assert set(told) == {*about, "reconstruction error"}
    error = told["reconstruction error"]
    assert error["unit"] == "data units squared" and 0 < error["mean"] < 64
    assert main(["sample", workdir]) == 2
    assert "expected a model to draw from, got ae" in capsys.readouterr().err
    assert main(["evaluate", workdir, "--samples", "20"]) == 2
    assert "expected a model to draw from, got ae" in capsys.readouterr().err


@pytest.fixture(scope="module")
def vae_run(file, tmp_path_factory):
    """A VAE of bits, trained on them for four steps."""
    folder = tmp_path_factory.mktemp("vae")
    text = pathlib.Path(file).read_text()
    start, end = text.index("model=dict("), text.index("net=dict(")
    model = "model=dict(name='vae', latent=2),\n        "
    text = (text[:start] + model + text[end:]).replace("symmetric", "binarize")
    path = folder / "vae.py"
    path.write_text(text.replace("width=8, depth=1", "widths=(8,)"))
    assert main(["train", str(path), "--workdir", str(folder / "run")]) == 0
    return folder / "run"


def test_a_run_begins_with_the_parameters_of_another(vae_run, tmp_path, capsys):
    """With their average; after steps of no size it is still that model."""
    file = str(vae_run.parent / "vae.py")
    words = ["train", file, "--workdir", str(tmp_path / "run"), "--from", str(vae_run)]
    still = ["--config.optimizer.learning_rate=1e-30"]
    assert main([*words, *still]) == 0
    first, second = (build.runs.read(str(home)) for home in (vae_run, tmp_path / "run"))
    chex.assert_trees_all_close(first.params, second.params, rtol=1e-6, atol=1e-20)
    assert main(words[:4]) == 2  # the same command without these options
    assert "expected the config of the run" in capsys.readouterr().err
    assert main([*words[:4], *still]) == 0  # and one that goes on needs no other run
    assert "nothing to do: step 4 of 4 is done" in capsys.readouterr().err
    words[3] = str(tmp_path / "other")
    assert main([*words, "--config.net.widths=(9,)"]) == 2
    said = capsys.readouterr().err
    assert f"expected parameters of the model to train in {vae_run}, got" in said
    assert "(8,), here" in said and said.count("\n") == 1
    assert not (tmp_path / "other").exists()


def test_what_is_not_installed_is_told_in_one_line(run, tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(__import__("sys").modules, "torch", None)
    (tmp_path / "weights.pth").write_bytes(b"PK")
    words = ["evaluate", str(run), "--samples", "20"]
    assert main([*words, "--features", str(tmp_path / "weights.pth")]) == 2
    said = capsys.readouterr().err
    assert said.startswith("diffjax: expected torch to be installed for this file")
    assert 'pip install "torch"' in said and said.count("\n") == 1


def test_evaluate_adds_log_p_by_many_draws(vae_run, capsys):
    """As `vae.nll` says of the parameters, the noise from (seed, i); in any batches."""
    words = ["evaluate", str(vae_run), "--num", "9", "--importance-samples", "20"]
    found = []
    for size in ("4", "6"):
        assert main([*words, "--batch-size", size]) == 0
        assert "  nll " in capsys.readouterr().out
        told = json.loads((vae_run / "evaluation.json").read_text())
        assert (told["importance_samples"], told["nll"]["unit"]) == (20, "nats")
        found.append(told["nll"])
    for name in ("mean", "se"):
        assert found[0][name] == pytest.approx(found[1][name], rel=1e-4)
    loaded = runs.read(str(vae_run))
    x = build.data.first(loaded.experiment.data, batch_size=9)["x"].reshape(9, -1)

    def layer(part, name):
        said = loaded.params[part]["params"][name]
        said = said.get("dense", said)
        return lambda h: h @ said["kernel"] + said["bias"]

    def two(part):
        return lambda h: layer(part, "out")(jax.nn.gelu(layer(part, "hidden_0")(h)))

    right = vae.nll(
        lambda x: tuple(jnp.split(two("enc")(x), 2)),
        two("dec"),
        runs.noise_keys(0, 0, 9),
        jnp.asarray(x),
        num=20,
    )
    assert found[0]["mean"] == pytest.approx(float(right.mean()), rel=1e-4)
    error = float(right.std(ddof=1)) / 3
    assert found[0]["se"] == pytest.approx(error, rel=1e-3)


def test_log_p_and_splits_are_refused_where_there_are_none(run, vae_run, capsys):
    for directory, words, message in [
        (run, ["--importance-samples", "9"], "weights (vae, hvae) for --importance-sa"),
        (vae_run, ["--importance-samples", "0"], "expected --importance-samples to be"),
        (run, ["--split", "valid"], "option of data 'digits' among data_dir, augment"),
    ]:
        assert main(["evaluate", str(directory), "--num", "2", *words]) == 2
        told = capsys.readouterr().err.splitlines()
        assert len(told) == 1 and message in told[0], told


def test_report_shows_runs_side_by_side(run, capsys):
    assert main(["report", str(run), str(run)]) == 0
    head, first, second = capsys.readouterr().out.splitlines()
    assert head.split()[:2] == ["run", "step"] and first == second
    assert first.split()[1] == "4"


def test_list_names_everything(capsys):
    assert main(["list"]) == 0
    out = capsys.readouterr().out
    for word in ("digits", "vqvae", "absorbing", "ladder", "adamw", "fsdp", "vdm"):
        assert word in out
    assert "quadrupole" not in out


def test_help_helps(capsys):
    with pytest.raises(SystemExit) as stop:
        main(["--help"])
    assert stop.value.code == 0
    assert (
        "diffjax train experiments/ddpm_digits.py --workdir" in capsys.readouterr().out
    )


def test_an_option_that_the_file_leaves_out_can_be_set(file):
    config = configs.load(file, ["--config.net.dropout=0.1", "--config.ema.decay=0.9"])
    assert config["net"]["dropout"] == 0.1 and config["ema"]["decay"] == 0.9
    assert build.experiment(config).model.objective is not None
    with pytest.raises(ValueError, match="expected config.* among .* got 'nets'"):
        configs.load(file, ["--config.nets.dropout=0.1"])


MISTAKES = [
    ("steps=0", "expected steps to be a whole number >= 1, got 0"),
    ("batch_size=-4", "expected batch_size to be a whole number >= 1, got -4"),
    ("batch_size=5", "divisible by 2 devices x 1 micro_batches, got 5; try 4"),
    ("batch_size=two", "expected config.batch_size like 4, got 'two'"),
    ("devices.micro_batches=3", "2 devices x 3 micro_batches, got 4; try 6"),
    ("devices.name=mash", "among mesh, fsdp, pmap, got 'mash'; did you mean 'mesh'?"),
    ("btach_size=4", "got 'btach_size'; did you mean 'batch_size'?"),
    ("optimizer.learning_rat=1", "'learning_rat'; did you mean 'learning_rate'?"),
    ("optimizer.learning_rate=-1.0", "expected optimizer.learning_rate > 0, got -1.0"),
    ("optimizer.clip=-1.0", "expected optimizer.clip to be a number >= 0, got -1.0"),
    ("optimizer.warmup=9", "expected optimizer.warmup < steps, got 9 of 4; lower it"),
    ("optimizer.name=adman", "adam, adamw, lion, sgd, got 'adman'; did you mean 'adam"),
    ("ema.decay=1.0", "expected a decay in [0, 1), got 1.0; try 0.999"),
    ("data.name=digts", "got 'digts'; did you mean 'digits'?"),
    ("data.name=mnist", "expected mnist below "),
    (
        "data.name=tfds:mnst",
        "expected a data set of TFDS or a built-in one, got 'mnst'",
    ),
    ("data.name=letters", "'data_dir'"),
    ("data.transforms=('symetric',)", "'symetric'; did you mean 'symmetric'?"),
    ("data.transforms=('tokens',)", "expected data on [-1, 1] for ddpm, got digits on"),
    (
        "data.transforms=('flatten','flip')",
        "expected an image [H, W, C] to flip, got [6",
    ),
    ("data.transforms=flip", "expected config.data.transforms like ('symmetric',)"),
    (
        "model.name=dppm",
        "latent_ddpm, d3pm_codes, got 'dppm'; did you mean 'ddpm'",
    ),
    ("model.schedule.name=cosin", "got 'cosin'; did you mean 'cosine'?"),
    ("model.schedule.T=0", "expected a number of steps T >= 1, got 0"),
    ("model.schedule.T=2.5", "expected config.model.schedule.T like 4, got 2.5"),
    ("model.steps=9", "expected model.steps <= T, got 9 > 4; T is enough"),
    ("net.name=unet", "expected an option of net 'unet' among widths, attention"),
    ("net.nam=3", "expected an option of net 'mlp' among width, depth"),
    ("net.width.x=1", "expected config.net.width to have parts, got a value; shorten"),
    ("log_every", "expected --config.log_every=VALUE, got no value; write it with ="),
    (
        "checkpoint_every=0",
        "expected checkpoint_every to be a whole number >= 1, got 0",
    ),
]


@pytest.mark.parametrize("override, message", MISTAKES, ids=[m[0] for m in MISTAKES])
def test_a_mistake_is_told_in_one_line(override, message, file, tmp_path, capsys):
    workdir = tmp_path / "run"
    words = ["train", file, "--workdir", str(workdir), f"--config.{override}"]
    assert main(words) == 2
    told = capsys.readouterr().err.splitlines()
    assert len(told) == 1 and told[0].startswith("diffjax: expected"), told
    assert message in told[0]
    assert not workdir.exists()


def swapped(file, tmp_path, old, new):
    text = pathlib.Path(file).read_text()
    assert old in text
    path = tmp_path / "other.py"
    path.write_text(text.replace(old, new))
    return str(path)


OTHERS = [
    ("T=4", "t=4", "'t'; choose one of them"),
    ("seed=0, ", "", "got none of seed; add them to get_config()"),
    ("width=8", "width='a'", "expected net.width like 256, got 'a'"),
    ('name="mlp", ', "", "expected net with a name, one of mlp, unet, dit, flat_unet"),
    ("T=4", "T=print", "expected nested literals from get_config() of"),
    ("def get_config", "def config", "expected get_config() in "),
    ("return dict(", "return nothing(", "NameError: name 'nothing' is not defined"),
    ("steps=4", "stesp=4", "'stesp'; did you mean 'steps'?"),
    ("decay=0.9", "decoy=0.9", "'decoy'; did you mean 'decay'?"),
    ('name="ddpm", ', 'name="vae", latent=2, ', "model 'vae' among latent,"),
    ("clip=1.0", "clop=1.0", "'clop'; did you mean 'clip'?"),
    ("transforms=", "transfroms=", "'transfroms'; did you mean 'transforms'?"),
]


@pytest.mark.parametrize("old, new, message", OTHERS, ids=[o[1] or "-" for o in OTHERS])
def test_a_mistake_in_the_file(old, new, message, file, tmp_path, capsys):
    other = swapped(file, tmp_path, old, new)
    workdir = tmp_path / "run"
    assert main(["train", other, "--workdir", str(workdir)]) == 2
    told = capsys.readouterr().err.splitlines()
    assert len(told) == 1 and message in told[0], told
    assert not workdir.exists()


@pytest.mark.parametrize(
    "data, message",
    [
        ('dict(name="folder", path={d!r}, size=4)', "PNG or JPEG files below"),
        (
            'dict(name="letters", path={d!r}+"/a.txt", length=99)',
            "expected a length in",
        ),
        ('dict(name="letters", path={d!r}+"/no.txt")', "expected a text file, got"),
        ('dict(name="photos", size=999)', "expected a size in 1..160"),
        ('dict(name="digits", data_dir="/dev/null/x")', "expected to write"),
    ],
)
def test_bad_data(data, message, file, tmp_path, capsys):
    (tmp_path / "a.txt").write_text("some letters")
    text = pathlib.Path(file).read_text()
    start, end = text.index("data=dict("), text.index("model=dict(")
    spec = data.format(d=str(tmp_path))
    path = tmp_path / "bad.py"
    path.write_text(f"{text[:start]}data={spec},\n        {text[end:]}")
    assert main(["train", str(path), "--workdir", str(tmp_path / "run")]) == 2
    told = capsys.readouterr().err.splitlines()
    assert len(told) == 1 and message in told[0], told


def test_missing_things(tmp_path, capsys):
    nowhere = str(tmp_path / "nowhere")
    for words in (["sample", nowhere], ["evaluate", nowhere], ["report", nowhere]):
        assert main(words) == 2
        assert capsys.readouterr().err.startswith("diffjax: expected a run with")
    assert main(["train", nowhere, "--workdir", nowhere]) == 2
    assert "expected a Python file with get_config()" in capsys.readouterr().err
    (tmp_path / "config.json").write_text("{")
    assert main(["evaluate", str(tmp_path)]) == 2
    assert "expected JSON in" in capsys.readouterr().err


def test_unknown_options(file, capsys):
    with pytest.raises(SystemExit) as stop:
        main(["train", file, "--workdir", "x", "--confg.steps=3"])
    assert stop.value.code == 2
    assert "expected a known option, got --confg.steps=3" in capsys.readouterr().err


def test_debug_shows_the_traceback(file, tmp_path):
    words = ["train", file, "--workdir", str(tmp_path), "--config.steps=0", "--debug"]
    with pytest.raises(ValueError, match="expected steps"):
        main(words)


def test_bad_wishes(run, capsys):
    for options, message in [
        (["--num", "0"], "expected --num to be a whole number >= 1, got 0"),
        (["--chunk", "0"], "expected --chunk"),
        (["--steps", "9"], "expected model.steps <= T, got 9 > 4"),
        (["--sampler", "ddmi"], "got 'ddmi'; did you mean 'ddim'?"),
        (["--label", "10"], "expected a label in 0..9, got 10; these are the classes"),
        (["--infill", "a__"], "got 'infill'; choose one of them"),
        (["--guidance", "2"], "expected a label to guide to, got none; add --label"),
    ]:
        assert main(["sample", str(run), *options]) == 2
        assert message in capsys.readouterr().err


def test_a_grid_has_every_tile_in_its_place():
    tiles = np.arange(3, dtype=np.uint8)[:, None, None, None] * np.ones((3, 32, 32, 1))
    canvas = pictures.grid(tiles.astype(np.uint8))
    assert canvas.shape == (66, 66, 1)
    corners = [canvas[0, 0, 0], canvas[0, 34, 0], canvas[34, 0, 0], canvas[65, 65, 0]]
    assert corners == [0, 1, 2, 255]


def test_the_module_is_the_command(capsys):
    import diffjax.__main__ as module

    assert module.main is main
    assert textwrap.dedent(module.__doc__).startswith("`python -m diffjax`")
