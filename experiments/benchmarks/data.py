"""Whether the input pipeline keeps ahead of the CIFAR-10 network of DDPM.

    python experiments/benchmarks/data.py         (two or three minutes on 2 cores)

Images like CIFAR-10's, 32 x 32 x 3, shuffled, flipped, scaled and batched: crops of
scikit-learn's photographs from memory, and as PNG files of a folder, each decoded every
time it is read. A step of training is forward, backward and Adam of the 35,746,307
parameters. Each is measured by itself; the pipeline's processor time, beside that of a
step, is what it takes away from a network on the same cores.
"""

import functools
import itertools
import os
import pathlib
import statistics
import tempfile
import time

import jax
import numpy as np
import optax
from PIL import Image

from diffjax import build, ddpm, train
from diffjax.core import schedules
from diffjax.data import images
from diffjax.nets import published

BATCH = 16
BATCHES = 200
ROUNDS = 5
STEPS = 3
ASKED = 5
TRANSFORMS = {"transforms": ("flip", "symmetric")}


def now():
    """Of the clock and of the process's processor time, in seconds."""
    return np.array([time.perf_counter(), time.process_time()])


def files(folder):
    """As many PNG files as an epoch of these batches has."""
    source = images.photos().train
    crops = source.read(np.linspace(0, source.num - 1, BATCH * BATCHES).astype(int))
    for i, crop in enumerate(crops["x"]):
        Image.fromarray(crop).save(pathlib.Path(folder) / f"{i:05}.png")


def piped(data):
    """Seconds of an image, by the clock and of the processor; medians over rounds."""
    stream = build.data.batches(build.data.prepare(data), 0, batch_size=BATCH)
    for _ in itertools.islice(stream, 20):  # threads start, files are found
        pass
    found = []
    for _ in range(ROUNDS):
        start = now()
        for _ in itertools.islice(stream, BATCHES):
            pass
        found.append((now() - start) / (BATCH * BATCHES))
    stream.close()
    return [statistics.median(column) for column in zip(*found, strict=True)]


def trained():
    """The same of an image in a step of training."""
    objective = ddpm.objective(published.ddpm_cifar10(), schedules.linear(1000))
    optimizer, rng = optax.adam(2e-4), jax.random.key(0)
    batch = {"x": np.zeros((BATCH, 32, 32, 3), np.float32)}
    make = functools.partial(train.init_state, objective, optimizer)
    like = jax.eval_shape(make, rng, batch)
    step = jax.jit(functools.partial(train.train_step, objective, optimizer))
    compiled = step.lower(like, batch).compile()
    state = jax.tree.map(lambda leaf: jax.numpy.zeros(leaf.shape, leaf.dtype), like)
    state, told = jax.block_until_ready(compiled(state, batch))
    found = []
    for _ in range(STEPS):
        start = now()
        state, told = jax.block_until_ready(compiled(state, batch))
        found.append((now() - start) / BATCH)
    return [statistics.median(column) for column in zip(*found, strict=True)]


def main():
    device, load = jax.devices()[0].device_kind, os.getloadavg()[0]
    rows = {"photos, in memory": piped({"name": "photos", **TRANSFORMS})}
    with tempfile.TemporaryDirectory() as folder:
        files(folder)
        spec = {"name": "folder", "path": folder, "size": 32, **TRANSFORMS}
        rows["a folder of PNG files"] = piped(spec)
    wall, processor = trained()
    print(f"{device}, {os.cpu_count()} cores, load {load:.1f}, batches of {BATCH}\n")
    print("| input | images/s | times what the network takes | processor time |")
    print("|---|---:|---:|---:|")
    for name, (each, busy) in rows.items():
        ratio = wall / each
        told = f"{ratio:.0f}" if ratio >= ASKED else f"{ratio:.1f}: too slow"
        share = f"{busy / processor:.2%} of a step's"
        print(f"| {name} | {1 / each:.0f} | {told} | {share} |")
    print(f"| the network itself | {1 / wall:.2f} | 1 | |")


if __name__ == "__main__":
    main()
