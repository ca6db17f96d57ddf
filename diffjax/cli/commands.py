"""What the commands do."""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from diffjax.build import tables


class Hosts(NamedTuple):
    """Where the other hosts are, if JAX cannot find out.

    coordinator: host:port of host 0, or None.
    num: how many, or None.
    number: of this one, or None.
    """

    coordinator: str | None
    num: int | None
    number: int | None


class Wish(NamedTuple):
    """What is wanted of `sample`.

    num: samples.
    seed: of all of them.
    chunk: drawn at once.
    model: options of the model to set otherwise, None to leave them: steps of the
        chain, its step, label and guidance.
    """

    num: int
    seed: int
    chunk: int
    model: Mapping[str, Any]


class Wanted(NamedTuple):
    """What is wanted of `evaluate`.

    split: of the data, None for that of the configuration.
    seed: of the noise.
    batch_size: examples at once.
    num: only the first so many, all if None.
    draws: of each example for log p(x), None for the bound alone.
    """

    split: str | None
    seed: int
    batch_size: int
    num: int | None
    draws: int | None


def train(file: str, workdir: str, overrides: Sequence[str], hosts: Hosts) -> None:
    r"""Train a configuration, or go on with the run in `workdir`.

        workdir/{config.json, checkpoints/, metrics.jsonl, samples/}

    Args: file: Python, with get_config().  workdir: of the run.  overrides: words
        "--config.a.b=value".  hosts: Hosts.
    Returns: nothing (no unit).
    """
    from diffjax import train as engine
    from diffjax.cli import configs

    config = configs.load(file, overrides)
    engine.connect(coordinator=hosts.coordinator, num=hosts.num, index=hosts.number)
    import jax

    from diffjax import build
    from diffjax.cli import events

    experiment = build.experiment(config)
    batches: Any = build.data.batches(
        experiment.data,
        config["seed"],
        batch_size=config["batch_size"],
        host=jax.process_index(),
        hosts=jax.process_count(),
    )
    engine.train(
        experiment.model.objective,
        experiment.optimizer,
        jax.random.key(config["seed"]),
        batches,
        workdir=workdir,
        plan=experiment.plan,
        config=config,
        layout=experiment.devices.layout,
        averages=experiment.averages,
        micro_batches=experiment.devices.micro_batches,
        events=events.of_config(config, experiment, Path(workdir)),
    )
    batches.close()


def sample(directory: str, wish: Wish, out: str | None) -> None:
    r"""Draw from a trained run.

        out/samples.{npz, png, txt}, out/samples.gif of the chain

    Args: directory: of the run.  wish: Wish.  out: directory, else that of the run.
    Returns: nothing (no unit).
    """
    _check(wish)
    from diffjax.cli import pictures, runs

    given = {key: value for key, value in wish.model.items() if value is not None}
    run = runs.read(directory, model=given)
    model, shown = run.experiment.model, run.experiment.data
    if model.sampler is None:
        raise ValueError(
            f"expected a model to draw from, got {run.config['model']['name']}, which "
            "has no prior; `diffjax evaluate` says how well it reconstructs"
        )
    mesh = run.experiment.devices.layout.mesh
    draw = runs.by_example(mesh, model.sampler, min(wish.chunk, wish.num))
    parts = runs.chunks(draw, run.params, wish.seed, wish.num)
    x = np.concatenate(list(_shown(parts, wish.num, "sample")))
    chain = None
    if model.chain is not None:
        few = min(wish.num, 16)
        chain = runs.by_example(mesh, model.chain, few)(run.params, wish.seed, 0)[:few]
    folder = Path(out) if out else Path(directory) / "samples"
    folder.mkdir(parents=True, exist_ok=True)
    np.savez(folder / "samples.npz", x=x)
    paths = pictures.save(folder, "samples", shown, x, chain)
    _written([folder / "samples.npz", *paths])


def sample_pretrained(directory: str, wish: Wish, out: str | None) -> None:
    r"""Draw from a published network of Hugging Face diffusers.

        out/samples.{npz, png}

    Args: directory: of a DDPM or DDIM pipeline.  wish: Wish.  out: directory, else
        samples/ here.
    Returns: nothing (no unit).
    """
    _check(wish)
    from diffjax.build import pretrained
    from diffjax.cli import pictures, runs

    for key in ("label", "guidance"):
        if wish.model[key] is not None:
            raise ValueError(
                f"expected no --{key} with --from-diffusers, got {wish.model[key]}; "
                "these networks know of no classes"
            )
    steps, step = wish.model["steps"], wish.model["step"]
    found = pretrained.load(directory, steps=steps, step=step)
    draw = runs.by_example(found.mesh, found.sampler, min(wish.chunk, wish.num))
    parts = runs.chunks(draw, found.params, wish.seed, wish.num)
    x = np.concatenate(list(_shown(parts, wish.num, "sample")))
    folder = Path(out or "samples")
    folder.mkdir(parents=True, exist_ok=True)
    np.savez(folder / "samples.npz", x=x)
    tiles = np.clip(np.round((x + 1) * 127.5), 0, 255).astype(np.uint8)
    _written([folder / "samples.npz", pictures.save_png(folder / "samples.png", tiles)])


def evaluate(directory: str, wanted: Wanted) -> None:
    r"""The bound on log p(x) of a run, on the test split, and log p(x) by many draws.

        mean and standard error of each term; directory/evaluation.json

    An autoencoder has no likelihood: of it, the error of its reconstructions.

    Args: directory: of the run.  wanted: Wanted.
    Returns: nothing (no unit).
    """
    _, seed, batch_size, num, draws = wanted
    tables.number("--batch-size", batch_size, least=1, whole=True)
    for name, value, least in (("num", num, 2), ("importance-samples", draws, 1)):
        if value is not None:
            tables.number(f"--{name}", value, least=least, whole=True)
    from diffjax.cli import results, runs

    split = {} if wanted.split is None else {"test": wanted.split}
    run = runs.read(directory, data=split)
    data = run.experiment.data
    total = min(num or data.test.num, data.test.num)
    print(f"{data.name}: {total} {wanted.split or 'test'} examples, step {run.step}")
    about = {
        "step": run.step,
        "examples": total,
        **({"split": wanted.split} if split else {}),
        "seed": seed,
        "data": data.name,
        "dims": math.prod(data.shape),
        "parameters": runs.num_parameters(run),
    }
    has_bound = run.experiment.model.error is None
    look = _bound if has_bound else _reconstructions
    found, more = look(run, seed, batch_size, total)
    if draws is not None:
        nll = _likelihood(run, seed, batch_size, total, draws)
        found, more = {**found, "nll": nll}, {**more, "importance_samples": draws}
    _written([results.save_evaluation(Path(directory), {**about, **more}, found)])


def _bound(run: Any, seed: int, batch_size: int, num: int) -> tuple[Any, Any]:
    """The bound's terms by name, and the usage of codes if there are any."""
    from diffjax import build
    from diffjax.cli import bounds

    steps = bounds.over(run, seed, batch_size=batch_size, num=num)
    *_, seen = _counted(steps, num, lambda seen: seen.terms.elbo)
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


def _likelihood(run: Any, seed: int, batch_size: int, num: int, draws: int) -> Any:
    """-log p(x) by importance sampling, with its unit."""
    from diffjax.cli import bounds
    from diffjax.evaluate import summary

    steps = bounds.likelihoods(run, seed, batch_size=batch_size, num=num, draws=draws)
    *_, seen = _counted(steps, num, lambda seen: seen)
    nll = (summary.estimate(seen), "nats")
    _tell({"nll": nll})
    return nll


def _reconstructions(run: Any, seed: int, batch_size: int, num: int) -> tuple[Any, Any]:
    """The error of a model without a likelihood, by name."""
    from diffjax.cli import bounds
    from diffjax.evaluate import summary

    steps = bounds.errors(run, seed, batch_size=batch_size, num=num)
    *_, seen = _counted(steps, num, lambda seen: seen)
    unit = run.experiment.model.error.unit
    found = {"reconstruction error": (summary.estimate(seen), unit)}
    print("  an autoencoder has no likelihood; how well it reconstructs:")
    _tell(found)
    return found, {}


def _tell(found: Mapping[str, Any]) -> None:
    for name, ((mean, error), unit) in found.items():
        print(f"  {name:<12} {mean:12.4f} +- {error:.4f} {unit}")


def report(directories: Sequence[str], html: str | None) -> None:
    r"""The last metrics of runs, side by side.

        the last line of each metrics.jsonl; all there is to see, as a page

    Args: directories: of runs.  html: file to write the page to, or None.
    Returns: nothing (no unit).
    """
    from diffjax.cli import results

    if html is not None:  # "runs/*" may hold the page of last time
        directories = [d for d in directories if Path(d) != Path(html)]
    rows = [results.last(results.metrics(Path(d))) for d in directories]
    names = list(dict.fromkeys(name for row in rows for name in row))
    table = [["run", *names]]
    for directory, row in zip(directories, rows, strict=True):
        table.append([directory, *(_cell(row.get(name)) for name in names)])
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    for line in table:
        cells = [line[0].ljust(widths[0])]
        cells += [c.rjust(w) for c, w in zip(line[1:], widths[1:], strict=True)]
        print("  ".join(cells).rstrip())
    if html is not None:
        from diffjax.cli import page

        _written([page.save(Path(html), directories)])


def listing() -> None:
    r"""The names that a configuration can use, and their options.

        name: option=default, ...

    Returns: nothing (no unit).
    """
    from diffjax.build import catalogue

    for title, entries in catalogue.entries().items():
        print(f"{title}:")
        for name, options in entries.items():
            print(f"  {name:<24} {options}".rstrip())
        print()


def _check(wish: Wish) -> None:
    tables.number("--num", wish.num, least=1, whole=True)
    tables.number("--chunk", wish.chunk, least=1, whole=True)
    tables.number("--seed", wish.seed, least=0, whole=True)


def _shown(parts: Iterable[Any], total: int, unit: str) -> Iterable[Any]:
    from tqdm import tqdm

    with tqdm(total=total, unit=unit, disable=None, leave=False) as bar:
        for part in parts:
            bar.update(len(part))
            yield part


def _counted(
    steps: Iterable[Any], total: int, moments_of: Callable[[Any], Any]
) -> Iterable[Any]:
    from tqdm import tqdm

    with tqdm(total=total, unit="example", disable=None, leave=False) as bar:
        for seen in steps:
            bar.update(int(moments_of(seen).num) - bar.n)
            yield seen


def _written(paths: Sequence[Path]) -> None:
    print("wrote " + ", ".join(map(str, paths)))


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    is_whole = isinstance(value, int) or (math.isfinite(value) and value == int(value))
    return str(int(value)) if is_whole else f"{value:.4g}"
