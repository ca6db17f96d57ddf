"""The notebooks run as a reader would run them, and the page of names is true."""

import ast
import os
import pathlib
import re
import subprocess
import sys

import jax
import pytest

FOLDER = pathlib.Path(__file__).parents[1] / "experiments" / "notebooks"
FILES = sorted(FOLDER.glob("*.py"))
PAGE = (FOLDER / "coming_from.md").read_text()
README = (FOLDER.parents[1] / "README.md").read_text()


def cells(file):
    """The text of each cell, its first line telling its kind."""
    return re.split(r"^# %%", file.read_text(), flags=re.MULTILINE)[1:]


def test_there_are_six_and_the_readme_has_them():
    assert [file.name[0] for file in FILES] == list("123456")
    for path in (*FILES, FOLDER / "coming_from.md"):
        assert f"(experiments/notebooks/{path.name})" in README


@pytest.mark.parametrize("file", FILES, ids=lambda f: f.stem)
def test_a_notebook_begins_with_a_title_and_tells_before_it_shows(file):
    """jupytext's percent format: two kinds of cells, and text before most code."""
    assert file.read_text().startswith("# %% [markdown]\n# # ")
    kinds = [cell.split("\n", 1)[0].strip() for cell in cells(file)]
    assert set(kinds) == {"", "[markdown]"}
    for cell, kind in zip(cells(file), kinds, strict=True):
        lines = cell.split("\n")[1:]
        if kind:
            assert all(line.startswith("#") for line in lines if line)
        else:
            ast.parse("\n".join(lines))
    assert kinds.count("[markdown]") >= kinds.count("") / 2


@pytest.mark.parametrize("file", FILES, ids=lambda f: f.stem)
def test_what_a_notebook_claims_it_asserts(file):
    names = [
        node.func.attr
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)
    ]
    asserts = len(re.findall(r"^ *assert ", file.read_text(), re.MULTILINE))
    equalities = sum(name.startswith("assert_") for name in names)
    assert asserts + equalities >= 4
    assert "subplots" in names  # a picture


RUN = """
import runpy, sys
import matplotlib.pyplot as plt
runpy.run_path(sys.argv[1], run_name="__main__")
assert plt.get_fignums(), "no picture was drawn"
"""


@pytest.mark.slow
@pytest.mark.parametrize("file", FILES, ids=lambda f: f.stem)
def test_a_notebook_runs(file, tmp_path):
    """In a process of its own, warnings as errors."""
    pytest.importorskip("matplotlib")
    if "import equinox" in file.read_text():
        pytest.importorskip("equinox")
    if "interop" in file.read_text():
        pytest.importorskip("safetensors")
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", RUN, str(file)],
        env={**os.environ, "MPLBACKEND": "Agg", "TMPDIR": str(tmp_path)},
        cwd=FOLDER.parents[1],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-3000:]


@pytest.fixture(scope="module")
def setting():
    (code,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    names = {}
    exec(compile(code, "coming_from.md", "exec"), names)
    return names


def rows():
    """(theirs, ours) of the three tables of names."""
    found = re.findall(r"^\| (.+?) \| `(.+?)` \| .*\|$", PAGE, re.MULTILINE)
    return [pytest.param(ours, id=theirs) for theirs, ours in found]


def test_every_row_is_looked_at():
    tables = PAGE[PAGE.index("## improved-diffusion") :]
    lines = [line for line in tables.split("\n") if line.startswith("|")]
    assert len(rows()) == len(lines) - 2 * 3  # a heading and a rule each


@pytest.mark.parametrize("ours", rows())
def test_our_expression_for_their_name(ours, setting):
    """Traced: names, arguments and shapes; the values are other tests' business."""
    if ours.startswith("interop."):
        from diffjax.interop import diffusers

        assert callable(getattr(diffusers, ours.split(".")[-1]))
        return
    found = []
    jax.eval_shape(lambda: found.append(eval(ours, setting)))
    assert found[0] is not None


def test_what_the_notes_say(setting):
    """Names in notes exist; the numbers of the respacing strings are those told."""
    for dotted in re.findall(r"`((?:ddpm|schedules|bounds)\.[\w.]+)`", PAGE):
        assert eval(dotted, setting) is not None
    respace, T = setting["schedules"].respace_steps, setting["T"]
    assert len(respace(T, "ddim10")) == 10 and len(respace(T, "5,3,2")) == 10
    assert min(respace(T, "ddim10")) == 1
