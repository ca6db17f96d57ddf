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


def test_there_are_experiments():
    names = {file.stem for file in FILES}
    assert {"ddpm_digits", "vqvae_digits", "d3pm_absorbing_text"} <= names


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
    if config["model"]["name"] in ("ddpm", "d3pm"):
        config["model"]["schedule"]["T"] = 5  # fewer noise tables to make
        config["model"].pop("steps", None)  # of samples, more than that
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
