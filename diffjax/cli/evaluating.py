"""How good a run is: its bound, or its error, and its samples against the data."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from diffjax.build import tables
from diffjax.cli import drawing, told

CHUNK = 256
"""Samples drawn at once, or half of them: the speed is that of the later parts."""
SHOWN = 64
"""Samples in the picture."""
FEWEST = 10
"""Samples that can be compared with anything."""


class Wish(NamedTuple):
    """What is wanted of `evaluate`.

    seed: of the noise in the bound, and of the samples.
    batch_size: examples at once.
    num: only the first so many examples, all if None.
    samples: to hold against the data, None for no such scores.
    features: a Python file with features(x), or a file of Inception's weights; None for
        a classifier trained here.
    split: of the data, None for the one that the configuration tests on.
    draws: of the latents of each example, for log p(x); None for the bound alone.
    """

    seed: int = 0
    batch_size: int = 64
    num: int | None = None
    samples: int | None = None
    features: str | None = None
    split: str | None = None
    draws: int | None = None


def evaluate(directory: str, wish: Wish) -> None:
    r"""The bound on log p(x) of a run, on the test split, and scores of its samples.

        mean and standard error of each term; directory/evaluation.json
        Frechet distance, KID, precision, recall; directory/scores.jsonl

    An autoencoder has no likelihood: of it, the error of its reconstructions.

    Args: directory: of the run.  wish: Wish.
    Returns: nothing (no unit).
    """
    _check(wish)
    from diffjax.cli import runs

    run = runs.read(directory, split=wish.split)
    paths = []
    if wish.samples is not None:
        drawing.sampler_of(run)  # before a classifier is trained for nothing
        paths = score(Path(directory), run, wish, reference(run, wish))
    told.written([*paths, *measure(Path(directory), run, wish)])


def measure(directory: Path, run: Any, wish: Wish) -> list[Path]:
    r"""The bound of a run, or its error, and its forward process, to files.

        directory/{forward.npz, evaluation.json}

    Args: directory: of the run.  run: Run.  wish: Wish.
    Returns: the paths written (no unit).
    """
    from diffjax.cli import forward, results, runs

    data = run.experiment.data
    total = min(wish.num or data.test.num, data.test.num)
    # A batch is filled up with copies, each at the price of an example.
    wish = wish._replace(batch_size=min(wish.batch_size, total))
    split = wish.split or "test"
    print(f"{data.name}: {total} {split} examples, step {run.step}")
    about = {
        "step": run.step,
        "examples": total,
        "split": split,
        "seed": wish.seed,
        "data": data.name,
        "dims": math.prod(data.shape),
        **({"train": data.train.num} if data.levels else {}),
        "parameters": runs.num_parameters(run),
    }
    has_bound = run.experiment.model.error is None
    look = _bound if has_bound else _reconstructions
    found, more = look(run, wish.seed, wish.batch_size, total)
    if wish.draws is not None:
        nll = _likelihood(run, wish, total, wish.draws)
        found, more = {**found, **nll}, {**more, "importance_samples": wish.draws}
    drawn = forward.save(directory, run, wish.seed)
    return [*drawn, results.save_evaluation(directory, {**about, **more}, found)]


def reference(run: Any, wish: Wish) -> Any:
    r"""What the samples of a run are held against; runs on the same data share it.

        scores.reference(data, ...)

    Args: run: Run.  wish: Wish, with a number of samples.
    Returns: scores.Reference.
    """
    from diffjax.cli import scores

    mesh, data = run.experiment.devices.layout.mesh, run.experiment.data
    assert wish.samples is not None
    found = scores.reference(
        data,
        mesh,
        wish.samples,
        file=wish.features,
        split=wish.split or "test",
        batch_size=wish.batch_size,
    )
    print(found.told)
    return found


def score(directory: Path, run: Any, wish: Wish, reference: Any) -> list[Path]:
    r"""Samples of a run, their scores and some of them to look at.

        directory/{scores, floor}.jsonl, directory/samples/samples.{png, txt, gif}

    Args: directory: of the run.  run: Run.  wish: Wish, with a number of samples.
        reference: of `reference`.
    Returns: the paths written (no unit).
    """
    from diffjax.cli import results, scores

    assert wish.samples is not None
    chunk = min(CHUNK, -(-wish.samples // 2))
    drawn = drawing.of_run(run, drawing.Wish(wish.samples, wish.seed, chunk, {}))
    found = scores.of_drawn(reference, run.experiment.data, drawn)
    for each in found:
        print(f"  {each.metric:<12} {each.value:12.4g}  {each.features}".rstrip())
    shown = drawing.save(directory / "samples", run, drawn.x[:SHOWN], wish.seed)
    results.save_scores(directory / "floor.jsonl", reference.floor)
    return [results.save_scores(directory / "scores.jsonl", found), *shown]


def _bound(run: Any, seed: int, batch_size: int, num: int) -> tuple[Any, Any]:
    """The bound's terms by name, and the usage of codes if there are any."""
    from diffjax import build
    from diffjax.cli import bounds

    steps = bounds.over(run, seed, batch_size=batch_size, num=num)
    *_, seen = told.counted(
        steps, num, "example", done=lambda seen: int(seen.terms.elbo.num)
    )
    found = bounds.estimates(seen, math.prod(run.experiment.data.shape))
    _tell({name: found[name] for name in ("bits/dim", "-elbo", "rate", "distortion")})
    if not seen.counts.size:
        return found, {}
    codes = build.latents.usage(np.asarray(seen.counts))
    print(
        f"  {'codes used':<12} {codes['used']:12.1%} of {seen.counts.size}, "
        f"perplexity {codes['perplexity']:.1f}"
    )
    return found, {"codes": codes}


def _likelihood(run: Any, wish: Wish, num: int, draws: int) -> Any:
    """-log p(x) by importance sampling, by name."""
    from diffjax.cli import bounds
    from diffjax.evaluate import summary

    steps = bounds.likelihoods(
        run, wish.seed, batch_size=wish.batch_size, num=num, draws=draws
    )
    *_, seen = told.counted(steps, num, "example", done=lambda seen: int(seen.num))
    found = {"nll": (summary.estimate(seen), "nats")}
    _tell(found)
    return found


def _reconstructions(run: Any, seed: int, batch_size: int, num: int) -> tuple[Any, Any]:
    """The error of a model without a likelihood, by name."""
    from diffjax.cli import bounds
    from diffjax.evaluate import summary

    steps = bounds.errors(run, seed, batch_size=batch_size, num=num)
    *_, seen = told.counted(steps, num, "example", done=lambda seen: int(seen.num))
    unit = run.experiment.model.error.unit
    found = {"reconstruction error": (summary.estimate(seen), unit)}
    print("  an autoencoder has no likelihood; how well it reconstructs:")
    _tell(found)
    return found, {}


def _tell(found: Mapping[str, Any]) -> None:
    for name, ((mean, error), unit) in found.items():
        print(f"  {name:<12} {mean:12.4f} +- {error:.4f} {unit}")


def _check(wish: Wish) -> None:
    tables.number("--batch-size", wish.batch_size, least=1, whole=True)
    if wish.num is not None:
        tables.number("--num", wish.num, least=2, whole=True)
    if wish.draws is not None:
        tables.number("--importance-samples", wish.draws, least=1, whole=True)
    if wish.samples is not None:
        tables.number("--samples", wish.samples, least=FEWEST, whole=True)
    elif wish.features is not None:
        raise ValueError(
            "expected --samples N with --features, got none; add --samples 1000"
        )
