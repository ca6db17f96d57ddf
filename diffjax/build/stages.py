"""A run that begins where another ended: its configuration, and what stays frozen."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax

from diffjax.build import compositions, data, runs, tables
from diffjax.build.experiments import Experiment, check
from diffjax.build.runs import Run
from diffjax.train import rundir

SAME = "first"
"""The name of data that are those of the first run."""
ELSEWHERE = ("data_dir", "in_memory", "threads", "workers")
"""Where and how data are read, which may differ between the stages."""
NUM, CHUNK = 4096, 256
"""Training examples whose latents are looked at for their scale, and at once."""


def read(config: Mapping[str, Any], workdir: str) -> tuple[dict[str, Any], Run | None]:
    r"""A configuration with the first stage that it names written in.

        model.first = "runs/first"  ->  {"run", "step", "model", "net"}

    So the second run stands alone afterwards. One that goes on has all it needs.

    Args: config: JSON.  workdir: of the second run.
    Returns: config, and the Run of the first stage: None if the model has one stage
        alone, or if the run goes on.
    """
    check(config)
    if tables.name(config["model"]) not in compositions.FIRST:
        return dict(config), None
    first = config["model"].get("first")
    if not isinstance(first, str):
        raise ValueError(
            f"expected model.first to name a run, got {first!r}; set "
            "--config.model.first=DIR"
        )
    begun = _begun(Path(workdir), first)
    if begun is not None:
        told = begun["model"]["first"]
        whole = {**told, "data": begun["data"]}
        return over(config, whole, run=first, step=told["step"]), None
    home = Path(first)
    if not (home / "config.json").is_file():
        raise FileNotFoundError(
            f"expected model.first to name a run with config.json, got {first}; train "
            "one, or set --config.model.first=DIR"
        )
    over(config, rundir.read_config(home), run=first, step=0)  # what is wrong, soon
    found = runs.read(first)
    return over(config, found.config, run=first, step=found.step), found


def over(
    config: Mapping[str, Any], first: Mapping[str, Any], *, run: str, step: int
) -> dict[str, Any]:
    r"""The configuration of a second stage over that of a first.

        config.data = first.data,    config.model.first = {run, step, model, net}

    Args: config: of the second stage, its data named "first" or those of the first.
        first: config of the first stage.  run: its directory.  step: of its checkpoint.
    Returns: config, JSON (no unit).
    """
    compositions.expect_kind(tables.name(config["model"]), tables.name(first["model"]))
    own = dict(config["data"])
    if tables.name(own) == SAME:
        own = {**first["data"], **{k: v for k, v in own.items() if k != "name"}}
    mine, theirs = (json.loads(json.dumps(part)) for part in (own, first["data"]))
    for name, a, b in rundir.changes(theirs, mine, name="data"):
        if name.split(".")[1] not in ELSEWHERE:
            raise ValueError(
                f"expected the data of {run}, got another {name}: {a!r} there, {b!r} "
                'here; data=dict(name="first") takes them as they are'
            )
    told = {"run": run, "step": step, "model": first["model"], "net": first["net"]}
    return {**config, "data": own, "model": {**config["model"], "first": told}}


def memory(experiment: Experiment, run: Run | None) -> Any:
    r"""What the training of a second stage begins with.

        the parameters of the first, and the scale of its latents

    Args: experiment: of the second stage.  run: of the first, of `read`.
    Returns: pytree of arrays of the host; None if there is no such run (no unit).
    """
    begin = experiment.model.frozen
    if run is None or begin is None:
        return None
    batches: Any = data.some(experiment.data, num=NUM, batch_size=CHUNK)
    return jax.device_get(begin(run.params, batches))


def _begun(workdir: Path, first: str) -> Mapping[str, Any] | None:
    """The config of a run that goes on from a checkpoint, over the same first run."""
    if not any((workdir / "checkpoints").glob("[0-9]*")):
        return None
    if not (workdir / "config.json").is_file():
        return None
    config = rundir.read_config(workdir)
    told = config.get("model", {}).get("first")
    same = isinstance(told, Mapping) and told.get("run") == first
    return config if same else None
