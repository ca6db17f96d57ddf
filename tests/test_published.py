"""Experiments at the published scale: shapes at full width, two steps at a small."""

import ast
import functools
import math
import pathlib
import re

import jax
import numpy as np
import pytest

from diffjax import build, train
from diffjax.cli import configs, main

FOLDER = pathlib.Path(__file__).parents[1] / "experiments"
MILLIONS = {
    # In full where the published code, or its checkpoint, has as many.
    "ddpm_cifar10": 35_746_307,
    "ddpm_church256": 113_673_219,
    "ddpm_celebahq256": 113_673_219,
    "improved_ddpm_cifar10": 52_546_438,
    "improved_ddpm_vlb_cifar10": 52_546_438,
    "improved_ddpm_imagenet64": 121,
    "vdm_cifar10": 30_577_667 + 2,
    "d3pm_uniform_cifar10": 36.6,
    "d3pm_absorbing_cifar10": 36.6,
    "d3pm_gaussian_cifar10": 36.6,
    "d3pm_logistic_cifar10": 35.7,
    "d3pm_absorbing_text8": 92_424_988,
    "d3pm_uniform_text8": 92.4,
    "d3pm_absorbing_lm1b": 105,
    "masked_text8": 92_424_988,
    "hvae_cifar10": 39_049_380,
    "vqvae_cifar10": 9.5,
    "vae_celebahq256": 6.3,
    "latent_ddpm_celebahq256": 274,
    "d3pm_codes_cifar10": 93.2,
}
"""Parameters, in millions or to the last one, by name of the experiment."""
NAMES = sorted(MILLIONS)


def doc_of(name):
    return ast.get_docstring(ast.parse((FOLDER / f"{name}.py").read_text()))


def test_all_of_them_are_here():
    files = {file.stem for file in FOLDER.glob("*.py")}
    assert {n for n in files if "Published:" in doc_of(n)} == set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_a_target_has_its_source(name):
    doc = " ".join(doc_of(name).split())
    assert re.search(r"Published: .*\d{4}, (MD4, )?arXiv:\d{4}\.\d{5}", doc)
    assert "Not reproduced here" in doc
    steps = configs.load(str(FOLDER / f"{name}.py"), [])["steps"]
    assert f"{steps} steps of" in doc


@pytest.fixture
def config_of(tfds_dir, vocabulary):
    """The configuration, on data of the same shapes that are here."""

    def config_of(name):
        config = configs.load(str(FOLDER / f"{name}.py"), [])
        data = config["data"]
        if data["name"] == "first":
            run = config["model"]["first"]
            first = config_of(run.removeprefix("runs/"))
            return build.stages.over(config, first, run=run, step=0)
        if data["name"] == "text8":
            del data["path"]
            data["name"] = "text"
        else:
            data["data_dir"] = tfds_dir
        if data["name"] == "tfds:celeb_a_hq/256":
            data["train"], data["test"] = "train[:8]", "train[8:]"
        if data["name"] == "lm1b":
            data["vocabulary"] = vocabulary
        return config

    return config_of


WIDE = [
    pytest.param(n, marks=pytest.mark.slow if n == "hvae_cifar10" else ())
    for n in NAMES
]


@pytest.mark.parametrize("name", WIDE)
def test_at_full_width_it_is_as_large_as_its_docstring_says(name, config_of):
    config = config_of(name)
    if "T" in config["model"].get("schedule", {}):
        config["model"]["schedule"]["T"] = 5  # fewer tables to make
    found = build.experiment({**config, "batch_size": jax.device_count()})
    batch = build.data.first(found.data, batch_size=2)
    objective = train.stateful(found.model.objective)
    params, _ = jax.eval_shape(objective.init, jax.random.key(0), batch)
    num = sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(params))
    if name == "d3pm_absorbing_lm1b":  # what is here has fewer pieces
        num += 2 * 768 * (8192 - found.data.levels) + 8192 - found.data.levels
    wanted = MILLIONS[name]
    told = round(num / 1e6) if isinstance(wanted, int) else round(num / 1e6, 1)
    assert wanted == (num if wanted > 1e6 else told)
    assert re.search(
        rf"\b{round(num / 1e6, 1)}|{round(num / 1e6)} million", doc_of(name)
    )


SMALL = {
    "unet": {
        "widths": (8,),
        "attention": (True,),
        "layers": 1,
        "groups": 4,
        "mid_attention": False,
    },
    "flat_unet": {"depth": 1, "width": 8, "groups": 4},
    "transformer": {"width": 16, "depth": 1, "heads": 2, "told": 16},
    "ladder": {"depths": ((1, 1, 2), (1, 1, 1)), "width": 8, "latent": 2},
    "conv": {"widths": (4,), "blocks": 1},
}
SMALL["logistic_unet"] = SMALL["unet"]


def reduced(config):
    """The same kind of everything, little of it."""
    net, model, data = config["net"], config["model"], config["data"]
    net.update(SMALL[net["name"]])
    if "head_dim" in net:
        net["head_dim"] = 4
    if "schedule" in model:
        model["schedule"]["T"] = 5
    model.update({"vdm": {"steps": 4}, "masked": {"T": 5}}.get(model["name"], {}))
    if "first" in model:
        net_of_first = model["first"]["net"]
        net_of_first.update(SMALL[net_of_first["name"]])
    if data["name"] in ("text", "lm1b"):
        data["length"] = 8
    else:
        data["size"] = 8
    optimizer = {**config["optimizer"]}
    if optimizer.get("warmup"):
        optimizer["warmup"] = 1
    return {
        **config,
        "steps": 2,
        "batch_size": 4,
        "optimizer": optimizer,
        "devices": {"name": "mesh"},
    }


def started(found, batch):
    """A state of the right shapes with weights of any kind; nothing is compiled."""
    make = functools.partial(
        train.init_state,
        found.model.objective,
        found.optimizer,
        jax.random.key(0),
        averages=found.averages,
    )
    state = jax.eval_shape(make, batch)
    rng = np.random.default_rng(0)

    def small(leaf):
        return rng.normal(scale=0.1, size=leaf.shape).astype(leaf.dtype)

    zeros = jax.tree.map(lambda leaf: np.zeros(leaf.shape, leaf.dtype), state)
    params = jax.tree.map(small, state.params)
    averages = {name: params for name in state.averages}
    memory = jax.tree.map(lambda leaf: np.abs(small(leaf)), state.memory)
    return zeros._replace(params=params, averages=averages, memory=memory)


CONVOLUTIONS = ("cifar10", "256", "64")
MARKED = [
    pytest.param(n, marks=pytest.mark.slow if n.endswith(CONVOLUTIONS) else ())
    for n in NAMES
]


@pytest.mark.parametrize("name", MARKED)
def test_it_steps_twice_and_is_drawn_from(name, config_of):
    """Compiled: the steps. Traced: the bound and samples of what they left."""
    found = build.experiment(reduced(config_of(name)))
    model, averages = found.model, found.averages
    batches = build.data.batches(found.data, 0, batch_size=4)
    batch = next(batches)
    batches.close()
    step = jax.jit(
        functools.partial(
            train.train_step,
            model.objective,
            found.optimizer,
            averages=averages,
            guard=found.guard,
        ),
        compiler_options={"xla_backend_optimization_level": 0},
    )
    start = started(found, batch)
    state, told = step(start, batch)
    state, told = step(state, batch)
    assert int(state.step) == 2 and int(state.watch.kept) == 2
    assert np.isfinite(float(told["loss"]))
    moved = jax.tree.map(lambda a, b: bool((a != b).any()), state.params, start.params)
    assert sum(jax.tree.leaves(moved)) > 0.8 * len(jax.tree.leaves(moved))

    def use(params, keys, batch):
        return model.bound(params, keys, batch).elbo, model.sampler(params, keys, 4)

    keys = jax.random.split(jax.random.key(0), 4)
    params = model.trained(state.averages.get("ema", state.params), state.memory)
    bound, drawn = jax.eval_shape(use, params, keys, batch)
    assert bound.shape == (4,) and drawn.shape == (4, *found.data.shape)


MISSING = {
    "ddpm_cifar10": "expected cifar10 below",
    "improved_ddpm_imagenet64": "expected imagenet_resized/64x64 below",
    "ddpm_church256": "expected lsun/church_outdoor below",
    "ddpm_celebahq256": "expected celeb_a_hq/256 below",
    "d3pm_absorbing_lm1b": "expected lm1b below",
    "masked_text8": "expected a text file, got text8; give its path",
}


@pytest.mark.parametrize("name", MISSING)
def test_without_its_data_it_says_so_in_one_line(
    name, tmp_path, monkeypatch, capfd, vocabulary
):
    monkeypatch.setattr("diffjax.train.connect", lambda **hosts: None)
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path))
    words = [f"--config.data.data_dir={tmp_path}"]
    words = [] if name == "masked_text8" else words
    if name == "d3pm_absorbing_lm1b":
        words.append(f"--config.data.vocabulary={vocabulary}")
    run = tmp_path / "run"
    file = str(FOLDER / f"{name}.py")
    assert main(["train", file, "--workdir", str(run), *words]) == 2
    said = capfd.readouterr()
    assert said.err.startswith(f"diffjax: {MISSING[name]}")
    assert said.err.count("\n") == 1 and not said.out
    assert not run.exists()
