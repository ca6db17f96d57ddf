"""Two stages: the second run stands alone, the first stays as it is."""

import json
import shutil

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from build.models import model_of
from diffjax import build, train
from diffjax.cli import configs, main, runs
from diffjax.types import Objective

CONFIG = """
def get_config():
    return dict(
        seed=0, steps=2, batch_size=4, log_every=2, eval_every=0, sample_every=0,
        checkpoint_every=2,
        data={data},
        model={model},
        net={net},
        optimizer=dict(name="adam", learning_rate=1e-3),
        ema=dict(decay=0.5),
        devices=dict(name="mesh"),
    )
"""
DIGITS = dict(name="digits", transforms=("binarize", "flatten"))
SAME = dict(name="first")
VQVAE = dict(name="vqvae", K=5, latent=2), dict(name="mlp", widths=(4,), positions=3)
VAE = dict(name="vae", latent=3), dict(name="mlp", widths=(4,))
D3PM = (
    dict(
        name="d3pm_codes",
        first="?",
        schedule=dict(name="inverse", T=3),
        transitions="absorbing",
        loss="absorbing",
        steps=None,
    ),
    dict(name="transformer", width=8, depth=1, heads=1, told=8),
)
DDPM = (
    dict(name="latent_ddpm", first="?", schedule=dict(name="linear", T=3), steps=None),
    dict(name="mlp", width=8, depth=1),
)
KEYS = jax.random.split(jax.random.key(0), 4)


@pytest.fixture(scope="module", autouse=True)
def connected():
    """JAX runs already in this process, so no hosts can be looked for any more."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("diffjax.train.connect", lambda **hosts: None)
        yield


@pytest.fixture(scope="module")
def home(tmp_path_factory, digits_dir):
    """Files of all four experiments, and runs of the two first stages."""
    home = tmp_path_factory.mktemp("stages")
    digits = {**DIGITS, "data_dir": digits_dir}
    for name, data, (model, net) in [
        ("vqvae", digits, VQVAE),
        ("vae", digits, VAE),
        ("d3pm_codes", SAME, D3PM),
        ("latent_ddpm", SAME, DDPM),
    ]:
        text = CONFIG.format(data=repr(data), model=repr(model), net=repr(net))
        (home / f"{name}.py").write_text(text)
    for name in ("vqvae", "vae"):
        words = ["train", str(home / f"{name}.py"), "--workdir", str(home / name)]
        assert main(words) == 0
    return home


def train_second(home, name, first, workdir, *words):
    told = ["train", str(home / f"{name}.py"), "--workdir", str(workdir)]
    return main([*told, f"--config.model.first={first}", *words])


@pytest.fixture(scope="module", params=["d3pm_codes", "latent_ddpm"])
def second(request, home, tmp_path_factory):
    """A second run, the parameters of the first, and no first run any more."""
    below = home / {"d3pm_codes": "vqvae", "latent_ddpm": "vae"}[request.param]
    workdir = tmp_path_factory.mktemp("second") / request.param
    gone = workdir.parent / "gone"
    shutil.copytree(below, gone)
    assert train_second(home, request.param, gone, workdir) == 0
    shutil.rmtree(gone)
    return workdir, runs.read(str(below))


OF_LATENTS = pytest.mark.parametrize(
    "second", ["latent_ddpm"], indirect=True, scope="module"
)


def test_the_second_run_stands_alone(second, capsys):
    """Sampled, evaluated, shown; its terms add up; its codes are counted."""
    workdir, below = second
    assert main(["sample", str(workdir), "--num", "3"]) == 0
    with np.load(workdir / "samples" / "samples.npz") as found:
        assert found["x"].shape == (3, 64) and np.isfinite(found["x"]).all()
    assert main(["evaluate", str(workdir), "--num", "8"]) == 0
    assert main(["report", str(workdir), "--html", str(workdir / "page.html")]) == 0
    told = json.loads((workdir / "evaluation.json").read_text())
    mean = {k: told[k]["mean"] for k in ("-elbo", "rate", "distortion", "prior")}
    layers, near = told["divergences"]["mean"], {"rel": 1e-5, "abs": 1e-5}
    assert len(layers) == 3  # t = 1, 2, 3
    assert mean["rate"] == pytest.approx(sum(layers) + mean["prior"], **near)
    assert mean["-elbo"] == pytest.approx(mean["rate"] + mean["distortion"], **near)
    bits = mean["-elbo"] / (64 * np.log(2))
    assert told["bits/dim"]["mean"] == pytest.approx(bits, rel=1e-5)
    page = (workdir / "page.html").read_text()
    assert "t = 1..3" in page and "at t = 1, the distortion" not in page
    has_codes = "codes" in told
    assert has_codes == (workdir.name == "d3pm_codes")
    if has_codes:
        assert sum(told["codes"]["counts"]) == 8 * 3
        assert "codes used" in capsys.readouterr().out


def test_config_and_checkpoint_hold_the_first_stage(second):
    """To the bit: no gradient reached it, and no optimizer has a state for it."""
    workdir, below = second
    found = runs.read(str(workdir))
    told = found.config["model"]["first"]
    assert told["model"] == below.config["model"] and told["net"] == below.config["net"]
    assert found.config["data"] == below.config["data"] and told["step"] == 2
    jax.tree.map(np.testing.assert_array_equal, found.params["first"], below.params)
    objective = found.experiment.model.objective
    batch = build.data.first(found.experiment.data, batch_size=2)
    state = jax.eval_shape(
        lambda rng, batch: train.init_state(
            objective, found.experiment.optimizer, rng, batch
        ),
        jax.random.key(0),
        batch,
    )
    trained = sum(leaf.size for leaf in jax.tree.leaves(state.params))
    moments = sum(leaf.size for leaf in jax.tree.leaves(state.opt_state))
    assert 2 * trained <= moments <= 2 * trained + 3  # adam's two, and its counters
    prior = sum(leaf.size for leaf in jax.tree.leaves(found.params["prior"]))
    assert prior == trained


def test_it_goes_on_without_the_first_run(second, home, capsys):
    """The same command, more steps; the first run is gone, and not asked for."""
    workdir, _ = second
    gone = workdir.parent / "gone"
    assert not gone.exists()
    words = "--config.steps=4", "--config.checkpoint_every=4"
    assert train_second(home, workdir.name, gone, workdir, *words) == 0
    assert "going on from the checkpoint of step 2" in capsys.readouterr().err
    rows = (workdir / "metrics.jsonl").read_text().splitlines()
    last = json.loads(rows[-1])
    assert last["step"] == 4 and np.isfinite(last["loss"]) and last["skipped"] == 0
    assert train_second(home, workdir.name, home, workdir) == 2
    assert not (home / "checkpoints").exists()


def test_the_bound_is_the_first_stage_s_under_another_prior(second):
    """The same x | latent, and of codes the same draw: distortions agree."""
    workdir, below = second
    found = runs.read(str(workdir))
    batch = build.data.first(found.experiment.data, batch_size=4)
    own = jax.jit(found.experiment.model.bound)(found.params, KEYS, batch)
    under = jax.jit(below.experiment.model.bound)(below.params, KEYS, batch)
    if workdir.name == "d3pm_codes":
        np.testing.assert_allclose(own.reconstruction, under.reconstruction, rtol=1e-5)
    else:  # another draw of z
        near = dict(rtol=0.2)
        np.testing.assert_allclose(own.reconstruction, under.reconstruction, **near)
    assert own.divergences.shape == (4, 3)


@OF_LATENTS
def test_the_prior_sees_standardized_latents(home, second):
    """The moments of 1500 encodings, by NumPy."""
    workdir, below = second
    found = runs.read(str(workdir))
    batches = build.data.some(found.experiment.data, num=4096, batch_size=4096)
    x = np.concatenate([batch["x"] for batch in batches])
    assert len(x) == 1500
    encode, _ = below.experiment.model.latent.bind(below.params)
    mean, log_var = map(np.asarray, jax.vmap(encode)(jnp.asarray(x)))
    scaling = found.params["scaling"]
    np.testing.assert_allclose(scaling.shift, mean.mean(0), atol=1e-5)
    spread = np.sqrt(np.exp(log_var).mean(0) + mean.var(0))
    np.testing.assert_allclose(scaling.scale, spread, rtol=1e-4)


@OF_LATENTS
def test_samples_are_decoded_in_the_decoder_s_own_units(second):
    """With scale 0 every latent is the shift, and every mean of x its decoding."""
    workdir, below = second
    found = runs.read(str(workdir))
    scaling = found.params["scaling"]
    flat = {**found.params, "scaling": scaling._replace(scale=0 * scaling.scale)}
    x = found.experiment.model.sampler(flat, KEYS, 4)
    _, decode = below.experiment.model.latent.bind(below.params)
    want = jax.nn.sigmoid(decode(scaling.shift))
    np.testing.assert_allclose(x, np.tile(want, (4, 1)), rtol=1e-5)


MISTAKES = {
    "no such run": ("d3pm_codes", "nowhere", [], "expected model.first to name a run"),
    "of another kind": (
        "d3pm_codes",
        "vae",
        [],
        "expected model.first to be a run of vqvae for d3pm_codes, which needs codes, "
        "got one of vae",
    ),
    "no Gaussian encoder": (
        "latent_ddpm",
        "vqvae",
        [],
        "a run of vae for latent_ddpm, which needs Gaussian latents, got one of vqvae",
    ),
    "other data": (
        "d3pm_codes",
        "vqvae",
        ["--config.data.name=moons"],
        "got another data.name: 'digits' there, 'moons' here",
    ),
    "a net of another shape": (
        "latent_ddpm",
        "vae",
        ["--config.net.name=unet"],
        "expected images [H, W, C] for net 'unet', got [3]",
    ),
}


@pytest.mark.parametrize("case", MISTAKES)
def test_a_mistake_is_told_in_one_line(case, home, tmp_path, capsys):
    """Before there is a directory."""
    name, first, words, message = MISTAKES[case]
    assert train_second(home, name, home / first, tmp_path / "run", *words) == 2
    told = capsys.readouterr().err.splitlines()
    assert len(told) == 1 and told[0].startswith("diffjax: expected"), told
    assert message in told[0]
    assert not (tmp_path / "run").exists()


def test_where_and_how_data_are_read_may_differ():
    first = {"model": {"name": "vae"}, "net": {}, "data": {"name": "x", "threads": 1}}
    config = {"model": {"name": "latent_ddpm"}, "data": {"name": "first", "threads": 7}}
    found = build.stages.over(config, first, run="r", step=3)
    assert found["data"] == {"name": "x", "threads": 7}
    assert found["model"]["first"]["run"] == "r" and "first" not in config["model"]
    other = {**config, "data": {"name": "x", "length": 3}}
    with pytest.raises(
        ValueError, match="data of r, got another data.length: None the"
    ):
        build.stages.over(other, first, run="r", step=3)


def test_a_name_of_a_run_is_no_model(home):
    config = configs.load(str(home / "d3pm_codes.py"), [])
    context = build.models.Context(None, config["net"], None)
    with pytest.raises(
        ValueError, match="expected model.first with model and net, got"
    ):
        build.models.model(config["model"], context)
    literal = {**config, "model": {**config["model"], "first": {"model": "vqvae"}}}
    with pytest.raises(ValueError, match="expected model.first to name a run, got {"):
        build.stages.read(literal, "nowhere")


def test_a_loss_with_a_memory_of_its_own_is_refused():
    """The memory is the first stage's."""
    first = dict(model=dict(name="vae", latent=2, likelihood="gaussian"), net=VAE[1])
    spec = dict(first=first, variance="learned_range", parameterization="eps")
    spec = {**DDPM[0], **spec, "loss": "importance_vlb"}
    with pytest.raises(ValueError, match="expected a loss without a memory for latent"):
        model_of({"name": "moons", "num": 40}, spec, DDPM[1])


def linear(frozen=lambda rng, batch: {"scale": jnp.zeros(2)}):
    """Regression on 2 numbers that a frozen scale multiplies."""

    def init(rng, batch):
        return jnp.zeros(batch["x"].shape[-1])

    def loss(params, rng, batch):
        value = jnp.mean(jnp.square(batch["x"] @ params - 1))
        return value, {"loss": value}

    def see(memory, rng, batch):
        return {"x": batch["x"] * memory["scale"][None]}

    return train.on_frozen(Objective(init, loss), frozen, see)


def test_a_forgotten_first_stage_trains_nothing():
    """NaN until it is given: every step is skipped. Once given it stays, to the bit."""
    objective, optimizer = linear(), optax.sgd(0.1)
    batch = {"x": jnp.array([[1.0, 2.0], [3.0, -1.0]])}
    state = train.init_state(objective, optimizer, jax.random.key(0), batch)
    after, told = train.train_step(objective, optimizer, state, batch)
    assert int(told["skipped"]) == 1 and np.array_equal(after.params, state.params)
    given = state._replace(memory={"scale": jnp.array([2.0, 3.0])})
    after, told = train.train_step(objective, optimizer, given, batch)
    assert int(told["skipped"]) == 0
    # d/dw mean (x s w - 1)^2 = -2 mean(x s) at w = 0
    np.testing.assert_allclose(after.params, 0.1 * 2 * np.array([4.0, 1.5]), rtol=1e-6)
    np.testing.assert_array_equal(after.memory["scale"], [2.0, 3.0])


def test_a_memory_of_other_shapes_is_refused(tmp_path):
    class Batches:
        def __next__(self):
            return {"x": np.ones((2, 2), np.float32)}

        def get_state(self):
            return 0

        def set_state(self, state):
            pass

    with pytest.raises(ValueError, match=r"expected arrays of shapes .*, got .*; give"):
        train.train(
            linear(),
            optax.sgd(0.1),
            jax.random.key(0),
            Batches(),
            workdir=tmp_path / "run",
            plan=train.Plan(1),
            memory={"scale": np.ones(3)},
        )
