"""The arrows of the design, and what `import diffjax` may load and cost."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1] / "diffjax"
CHAPTERS = {"ae", "vae", "hvae", "vq", "ddpm", "d3pm"}
MATHS = {"types", "core", *CHAPTERS}
PARTS = {*MATHS, "nets", "train", "data", "evaluate", "interop"}
ARROWS = {
    "types": set(),
    "core": {"types"},
    **{chapter: {"core", "types"} for chapter in CHAPTERS},
    "nets": {"types"},
    "train": {"types"},
    "data": set(),
    "evaluate": {"core", "types"},
    "interop": {"nets", "core", "ddpm", "types"},
    "build": PARTS,
    "cli": {"build", "train", "evaluate"},
    "__init__": MATHS,
    "__main__": {"cli"},
}
"""Importer -> what it may import besides itself. No other part exists."""
MATHS_NEEDS = {"jax", "numpy", "chex"}
HEAVY = "flax optax orbax tensorflow_datasets grain matplotlib tensorflow torch".split()

FILES = sorted(ROOT.rglob("*.py"))
IDS = [str(path.relative_to(ROOT)) for path in FILES]


def part_of(path):
    """The name of the part a file belongs to: the first one below diffjax/."""
    return path.relative_to(ROOT).parts[0].removesuffix(".py")


def imported(path):
    """Dotted names of all that a file imports, also inside functions."""
    package = ("diffjax", *path.relative_to(ROOT).parts[:-1])
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else ()
            base = ".".join([*above, *filter(None, [node.module])])
            yield from (f"{base}.{alias.name}" for alias in node.names)


def test_the_walk_sees_the_library():
    assert {"__init__.py", "types.py", "core/gaussian.py"} <= set(IDS)
    assert "diffjax.core.checks" in set(imported(ROOT / "ddpm" / "process.py"))


@pytest.mark.parametrize("path", FILES, ids=IDS)
def test_arrows(path):
    part = part_of(path)
    assert part in ARROWS, f"{part} has no place in the design"
    inside = {name.split(".")[1] for name in imported(path) if name[:8] == "diffjax."}
    unwanted = inside - ARROWS[part] - {part}
    assert not unwanted, f"{part} may import {sorted(ARROWS[part])}, not {unwanted}"
    assert not {"experiments", "tests"} & {n.split(".")[0] for n in imported(path)}


@pytest.mark.parametrize("path", FILES, ids=IDS)
def test_the_mathematics_needs_jax_numpy_and_chex_alone(path):
    if part_of(path) in MATHS | {"__init__"}:
        packages = {name.split(".")[0] for name in imported(path)} - {"diffjax"}
        unwanted = packages - MATHS_NEEDS - sys.stdlib_module_names
        assert not unwanted, f"{path.name} imports {unwanted}"


def python(code):
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT.parent)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_import_loads_no_training_library():
    loaded = python(
        "import sys, diffjax; print(*{name.split('.')[0] for name in sys.modules})"
    )
    assert "jax" in loaded.split()
    assert not set(HEAVY) & set(loaded.split())


def test_import_is_quick():
    """Processor time, the least of five: it does not depend on what else runs."""
    code = (
        "import time, jax, numpy, chex; start = time.process_time(); import diffjax; "
        "print(time.process_time() - start)"
    )
    seconds = min(float(python(code)) for _ in range(5))
    assert seconds < 0.2, f"import diffjax takes {seconds:.2f} s more than import jax"
