"""Every experiment builds, and its shapes fit, without a single step of it."""

import ast
import json
import pathlib
import re

import jax
import numpy as np
import pytest
from PIL import Image

from diffjax import build, train
from diffjax.cli import configs

FOLDER = pathlib.Path(__file__).parents[1] / "experiments"
FILES = sorted(f for f in FOLDER.glob("*.py") if "def get_config" in f.read_text())
HERE = [file for file in FILES if "\nPublished: " not in file.read_text()]
"""Those of data that are here; `test_published` looks at the others."""


ON_ONE_SCALE = [
    *("vae", "hvae", "ddpm", "vqvae"),
    *("d3pm_uniform", "d3pm_absorbing", "d3pm_gaussian"),
]


def test_there_are_experiments():
    names = {file.stem for file in FILES}
    assert {f"{chapter}_digits" for chapter in ON_ONE_SCALE} <= names
    assert {
        f"{kind}_text" for kind in ("ar", "d3pm_absorbing", "d3pm_uniform")
    } <= names
    kinds = ("", "d", "sparse_", "k_sparse_", "contractive_")
    assert {f"{kind}ae_digits" for kind in kinds} <= names


@pytest.mark.parametrize("chapter", ON_ONE_SCALE)
def test_bits_of_the_digits_compare(chapter, digits_dir):
    """All 64 pixels and 17 levels of every digit, nothing that depends on a draw."""
    config = configs.load(str(FOLDER / f"{chapter}_digits.py"), [])["data"]
    data = build.data.prepare({**config, "data_dir": digits_dir})
    assert (data.name, data.levels, np.prod(data.shape)) == ("digits", 17, 64)
    x = build.data.first(data, batch_size=297)["x"]
    assert len(np.unique(x)) == 17


@pytest.mark.parametrize("file", FILES, ids=lambda f: f.stem)
def test_a_file_says_how_to_run_it_what_it_costs_and_what_comes_out(file):
    doc = ast.get_docstring(ast.parse(file.read_text()))
    command = f"diffjax train experiments/{file.name} --workdir runs/{file.stem}"
    assert command in doc
    cost = re.search(r"\d+ (steps|s|min|h)\b", doc)
    number = re.search(r"\d\.\d+", doc)
    assert cost and number, "say the cost and the expected number"


@pytest.mark.parametrize("file", FILES, ids=lambda f: f.stem)
def test_a_configuration_is_literals_of_the_common_keys(file):
    config = configs.load(str(file), [])
    assert sorted(config) == sorted(build.KEYS)
    assert json.loads(json.dumps(config)) == config


@pytest.fixture
def folder_of_images(tmp_path):
    rng = np.random.default_rng(0)
    for i in range(20):
        pixels = rng.integers(0, 256, (40, 36, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / f"{i}.png")
    return str(tmp_path)


@pytest.fixture
def letters(tmp_path):
    path = tmp_path / "letters.txt"
    path.write_text("words of a text " * 40)
    return str(path)


SLOW = ("ddpm_photos", "ddpm_folder")
MARKED = [
    pytest.param(f, marks=pytest.mark.slow if f.stem in SLOW else ()) for f in HERE
]


def over_the_first(config, digits_dir):
    """A second stage over the experiment whose run it names."""
    run = pathlib.Path(config["model"]["first"])
    first = configs.load(str(FOLDER / f"{run.name}.py"), [])
    first["data"]["data_dir"] = digits_dir
    return build.stages.over(config, first, run=str(run), step=0)


@pytest.mark.parametrize("file", MARKED, ids=lambda f: f.stem)
def test_an_experiment_fits_together(
    file, digits_dir, tfds_dir, folder_of_images, letters
):
    config = configs.load(str(file), [])
    data = config["data"]
    if "path" in data:
        data["path"] = letters if data["name"] == "letters" else folder_of_images
    if data["name"] == "letters":
        data["test"] = letters
    if "data_dir" in data:
        data["data_dir"] = digits_dir if data["name"] == "digits" else tfds_dir
    if config["model"]["name"] in ("ddpm", "d3pm", "latent_ddpm", "d3pm_codes"):
        config["model"]["schedule"]["T"] = 5  # fewer noise tables to make
        config["model"].pop("steps", None)  # of samples, more than that
    if config["data"]["name"] == "first":
        config = over_the_first(config, digits_dir)
    found = build.experiment(config)
    model, num = found.model, 2
    batch = build.data.first(found.data, batch_size=num)
    batch["step"] = np.zeros(num, np.int32)

    def run(rng, batch):
        keys = jax.random.split(rng, num)
        params, memory = train.stateful(model.objective).init(rng, batch)
        _, (metrics, memory) = train.stateful(model.objective).loss(
            params, memory, keys, batch
        )
        params = model.trained(params, memory)
        if model.error:
            return metrics, model.error.of(params, batch), None
        return metrics, model.bound(params, keys, batch).elbo, draw(params, keys, num)

    draw = model.chain or model.sampler
    metrics, elbo, drawn = jax.eval_shape(run, jax.random.key(0), batch)
    assert metrics["loss"].shape == () and elbo.shape == (num,)
    frames = (6,) if model.chain else ()
    assert drawn is None or drawn.shape == (num, *frames, *found.data.shape)
