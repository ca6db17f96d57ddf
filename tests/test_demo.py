"""The demo from end to end, as small as it gets; stopped and started again."""

import importlib.util
import json
import pathlib
from functools import partial

import pytest

from diffjax.build import judges
from tests.test_report import Page

FOLDER = pathlib.Path(__file__).parents[1] / "experiments"


@pytest.fixture
def demo(digits_dir, monkeypatch):
    """The script as a module, on digits of the tests and with a hasty classifier."""
    spec = importlib.util.spec_from_file_location("demo", FOLDER / "demo.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    plain = module.configuration

    def configuration(file, share, home):
        config = plain(file, share, home)
        config["batch_size"] = 4
        if "data_dir" in config["data"]:
            config["data"]["data_dir"] = digits_dir
        return config

    monkeypatch.setattr(module, "configuration", configuration)
    monkeypatch.setattr(judges, "classifier", partial(judges.classifier, steps=2))
    return module


def test_every_member_of_the_family_is_an_experiment(demo):
    for name in (*demo.FAMILY, *demo.FEW):
        assert (FOLDER / f"{name}.py").is_file()
    assert set(demo.FEW) <= set(demo.FAMILY)


def test_steps_are_a_share_of_those_of_the_experiment(demo, tmp_path):
    config = demo.configuration(FOLDER / "ddpm_digits.py", 0.01, tmp_path)
    steps = config["steps"]
    assert 2 <= steps < 100 and config["checkpoint_every"] == steps
    assert config["optimizer"]["warmup"] < steps and config["sample_every"] == 0
    whole = demo.configuration(FOLDER / "ddpm_digits.py", 1, tmp_path)
    assert whole["steps"] >= 1000 and whole["eval_every"] > 0
    codes = demo.configuration(FOLDER / "d3pm_codes_digits.py", 0.01, tmp_path)
    assert codes["model"]["first"] == str(tmp_path / "vqvae_digits")


@pytest.mark.slow
def test_the_demo_goes_on_where_it_was(demo, tmp_path, capsys):
    """A table, a page; the second time nothing is trained or drawn anew."""
    family = ("ae_digits", "vae_digits")
    size = demo.Size(family, share=0.001, samples=20, examples=8)
    page = demo.demo(tmp_path, size._replace(family=family[:1]))
    assert json.loads((tmp_path / "ae_digits" / "evaluation.json").read_text())
    assert demo.demo(tmp_path, size) == page
    out = capsys.readouterr().out
    names = {line.split()[0] for line in out.splitlines() if line.strip()}
    assert {*family, "training"} <= names
    assert "bits/dim" in out and "Frechet" in out and "samples/s" in out
    assert "0.1649" in out  # log2(1500) / 64
    tree = Page(page.read_text())
    assert len(tree.all("table")) == 1 and len(tree.all("tr", "floor")) == 1
    files = [f for f in tmp_path.rglob("*") if f.name in KEPT]
    before = {f: f.stat().st_mtime_ns for f in files}
    assert len(before) == 3
    demo.demo(tmp_path, size)
    assert {f: f.stat().st_mtime_ns for f in files} == before
    assert "nothing to do: step 2 of 2 is done" in capsys.readouterr().err


KEPT = {"evaluation.json", "scores.jsonl"}
