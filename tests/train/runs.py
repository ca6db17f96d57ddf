"""Training runs in processes of their own: a process has its devices for life.

They are forked from a server that has imported everything and started nothing, so that
the twentieth restart of a killed run takes a fraction of a second.
"""

import multiprocessing
import os
import resource
import socket
import sys
from pathlib import Path
from typing import NamedTuple

import jax
import numpy as np
import optax

from diffjax import train
from train import toys

FORKS = multiprocessing.get_context("forkserver")
FORKS.set_forkserver_preload(["train.runs", "orbax.checkpoint", "tensorboardX"])


class Run(NamedTuple):
    """What to train, where, and on how many devices."""

    workdir: str
    devices: int = 1
    layout: str = "mesh"
    objective: str = "linear"
    steps: int = 60
    checkpoint_every: int = 10
    per_dispatch: int = 1
    pause: float = 0.0
    count: int = 1
    index: int = 0
    port: int = 0
    largest_file: int = 0


def start(run):
    """A process; its messages go to log<index>.txt in the run's directory."""
    process = FORKS.Process(target=_child, args=(run,))
    process.start()
    return process


def start_all(run, count):
    """`count` processes of one run, joined by gloo."""
    if count == 1:
        return [start(run)]
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    each = [run._replace(count=count, index=i, port=port) for i in range(count)]
    return [start(one) for one in each]


def finish(*processes, timeout=120):
    """Their exit codes."""
    for process in processes:
        process.join(timeout)
        if process.exitcode is None:
            process.kill()
    return [process.exitcode for process in processes]


def log(workdir, index=0):
    return Path(workdir, f"log{index}.txt").read_text()


def leaves(workdir):
    """Every array of the final state, by name."""
    with np.load(os.path.join(workdir, "state.npz")) as file:
        return dict(file)


def _child(run):
    os.makedirs(run.workdir, exist_ok=True)
    file = open(os.path.join(run.workdir, f"log{run.index}.txt"), "a", buffering=1)
    os.dup2(file.fileno(), 2)
    sys.stderr = file
    # In two different orders, collectives of simulated devices wait for ever.
    os.environ["XLA_FLAGS"] = (
        f"--xla_force_host_platform_device_count={run.devices} "
        "--xla_cpu_enable_concurrency_optimized_scheduler=false"
    )
    jax.config.update("jax_disable_most_optimizations", True)  # compiles sooner
    jax.config.update(
        "jax_compilation_cache_dir", str(Path(run.workdir).parent / "compiled")
    )
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
    jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)
    if run.largest_file:
        resource.setrlimit(resource.RLIMIT_FSIZE, (run.largest_file,) * 2)
    if run.count > 1:
        train.connect(
            coordinator=f"127.0.0.1:{run.port}", num=run.count, index=run.index
        )
    _train(run)


def _train(run):
    layout = {
        "one": lambda: train.devices.mesh(devices=jax.devices()[:1]),
        "pmap": train.devices.pmap,
        "mesh": train.devices.mesh,
        "fsdp": lambda: train.devices.mesh(rule=train.devices.fsdp(smallest=8)),
    }[run.layout]()
    objective = {
        "linear": lambda axis_name: toys.linear(),
        "large": lambda axis_name: toys.with_ballast(toys.linear(), 80_000),
        "chapters": toys.chapters,
    }[run.objective](layout.axis_name)
    state = train.train(
        objective,
        optax.chain(optax.clip_by_global_norm(1.0), optax.adam(1e-2)),
        jax.random.key(7),
        toys.Numbers(count=run.count, index=run.index, pause=run.pause),
        workdir=run.workdir,
        config={"objective": run.objective, "steps": run.steps},
        plan=train.Plan(
            run.steps,
            log_every=run.per_dispatch,
            checkpoint_every=run.checkpoint_every,
            per_dispatch=run.per_dispatch,
        ),
        layout=layout,
        averages={"ema": train.averages.warmed_up(0.99)},
    )
    _write(run, state)


def _write(run, state):
    whole = jax.jit(
        lambda tree: tree,
        out_shardings=jax.sharding.NamedSharding(
            jax.tree.leaves(state)[0].sharding.mesh, jax.sharding.PartitionSpec()
        ),
    )(state)
    named = jax.tree_util.tree_leaves_with_path(jax.device_get(whole))
    if run.index == 0:
        path = os.path.join(run.workdir, "state.npz")
        np.savez(path, **{jax.tree_util.keystr(k): v for k, v in named})
