"""The whole family on data that need no download, in one table and one page.

    make demo            runs/demo/report.html, in 11 minutes on two idle cores
    make demo QUICK=1    runs/demo-quick/report.html, within 2: a few steps of some

Stopped and started again it goes on: what is trained and evaluated is kept.
"""

import argparse
import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

HERE = Path(__file__).parent
FAMILY = (
    "ae_digits",
    "dae_digits",
    "sparse_ae_digits",
    "k_sparse_ae_digits",
    "contractive_ae_digits",
    "vae_digits",
    "hvae_digits",
    "ddpm_digits",
    "latent_ddpm_digits",
    "vqvae_digits",
    "d3pm_codes_digits",
    "d3pm_uniform_digits",
    "d3pm_absorbing_digits",
    "d3pm_gaussian_digits",
    "d3pm_absorbing_text",
    "d3pm_uniform_text",
    "ar_text",
)
"""In the order of the course; a second stage comes after its first."""
FEW = (
    "ae_digits",
    "vae_digits",
    "ddpm_digits",
    "vqvae_digits",
    "d3pm_codes_digits",
    "d3pm_absorbing_digits",
    "d3pm_absorbing_text",
)
LOOKED_AT = 0.1
"""A share of the steps from which the test loss is worth its time."""


class Size(NamedTuple):
    """How much of everything.

    family: names of experiments.
    share: of the steps that each experiment asks for.
    samples: of each model, held against the data.
    examples: of the test split, for the bound.
    """

    family: Sequence[str]
    share: float
    samples: int
    examples: int | None


WHOLE = Size(FAMILY, share=1.0, samples=1000, examples=297)
QUICK = Size(FEW, share=0.03, samples=200, examples=64)


def main(words: Sequence[str] | None = None) -> None:
    """Train, evaluate and show what the command line asks for."""
    parser = argparse.ArgumentParser("demo", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a few steps of some")
    parser.add_argument("--workdir", help="of all runs: runs/demo or runs/demo-quick")
    args = parser.parse_args(words)
    size = QUICK if args.quick else WHOLE
    demo(Path(args.workdir or f"runs/demo{'-quick' * args.quick}"), size)


def demo(home: Path, size: Size) -> Path:
    """All runs of a size below one directory; returns the path of their page."""
    from diffjax.cli import page, shown, table

    start, references = time.monotonic(), {}
    for number, name in enumerate(size.family, start=1):
        minutes = (time.monotonic() - start) / 60
        print(f"\n[{number}/{len(size.family)}] {name}, {minutes:.1f} min", flush=True)
        config = configuration(HERE / f"{name}.py", size.share, home)
        one(home / name, config, size, references)
    directories = [str(home / name) for name in size.family]
    written = page.save(home / "report.html", directories)
    minutes = (time.monotonic() - start) / 60
    print(f"\n{table.text(shown.read(directories))}\n")
    print(f"{minutes:.1f} minutes; wrote {written}")
    return written


def configuration(file: Path, share: float, home: Path) -> dict[str, Any]:
    """An experiment with a share of its steps, its first stage, if any, in home."""
    from diffjax.cli import configs

    config = configs.load(str(file), [])

    def part(steps: int) -> int:
        return round(share * steps)

    steps = max(2, part(config["steps"]))
    config |= {
        "steps": steps,
        "log_every": -(-steps // 20),
        "eval_every": part(config["eval_every"]) if share >= LOOKED_AT else 0,
        "sample_every": 0,
        "checkpoint_every": steps,
    }
    if "first" in config["model"]:
        config["model"]["first"] = str(home / Path(config["model"]["first"]).name)
    config["optimizer"]["warmup"] = part(config["optimizer"].get("warmup", 0))
    return config


def one(
    directory: Path, config: dict[str, Any], size: Size, references: dict[str, Any]
) -> None:
    """Train a run and evaluate it, as far as that was not done before."""
    from diffjax.cli import evaluating, runs, training

    training.run(config, directory)
    if evaluated(directory) == config["steps"]:
        return
    wish = evaluating.Wish(num=size.examples, samples=size.samples)
    run = runs.read(str(directory))
    if run.experiment.model.sampler is not None:
        data = run.experiment.data.name
        if data not in references:
            references[data] = evaluating.reference(run, wish)
        evaluating.score(directory, run, wish, references[data])
    # Last, for this file says that all is done.
    evaluating.measure(directory, run, wish)


def evaluated(directory: Path) -> int | None:
    """The step that a run was evaluated at, None if it was not."""
    path = directory / "evaluation.json"
    return json.loads(path.read_text())["step"] if path.exists() else None


if __name__ == "__main__":
    main()
