"""What the loop costs beyond the steps, and what more devices bring.

    python experiments/benchmarks/engine.py        (two minutes on 2 cores)

The loop's own time is that of a run whose step is next to nothing, less the same steps
called in a bare `for`, in processor time of the thread, which other work on the machine
changes little; it is compared with a step of 20 ms. Devices are simulated on a CPU,
where they share its cores; on other machines the first 1, 2, 4, ... are used.
"""

import os
import tempfile
import time

SIMULATED = (  # scheduled so that collectives come in the same order on all of them
    "--xla_force_host_platform_device_count=4 "
    "--xla_cpu_enable_concurrency_optimized_scheduler=false"
)
if __name__ == "__main__":
    os.environ["XLA_FLAGS"] = os.environ.get("XLA_FLAGS", "") + " " + SIMULATED

import functools  # noqa: E402
import statistics  # noqa: E402

import jax  # noqa: E402
import jax.numpy as jnp  # noqa: E402
import numpy as np  # noqa: E402
import optax  # noqa: E402

from diffjax import train  # noqa: E402
from diffjax.train import devices  # noqa: E402
from diffjax.types import Objective  # noqa: E402

STEP = 20e-3
ROUNDS = 5


class Batches:
    """The same batch for ever."""

    def __init__(self, size, width):
        rng = np.random.default_rng(0)
        self.batch = {"x": rng.normal(size=(size, width)).astype(np.float32)}
        self.number = 0

    def __next__(self):
        self.number += 1
        return self.batch

    def get_state(self):
        return self.number

    def set_state(self, state):
        self.number = state


def autoencoder(width, layers):
    """A stack of `layers` dense layers that gives its input back."""

    def init(rng, batch):
        shape = (layers, width, width)
        return jax.random.normal(rng, shape) / width**0.5

    def loss(params, rng, batch):
        x, _ = jax.lax.scan(lambda x, w: (jnp.tanh(x @ w), None), batch["x"], params)
        value = jnp.mean((x - batch["x"]) ** 2)
        return value, {"loss": value}

    return Objective(init, loss)


def now():
    """Of the clock and of this thread's processor, in seconds."""
    return np.array([time.perf_counter(), time.thread_time()])


def bare(layout, objective, batches, steps):
    """Seconds of a step that is called and nothing else."""
    make = functools.partial(train.init_state, objective, OPTIMIZER, jax.random.key(0))
    state = devices.place(layout, make, batches.batch)
    step = functools.partial(train.train_step, objective, OPTIMIZER)
    advance = layout.advance(step, state)
    batch = layout.feed(jax.tree.map(lambda leaf: leaf[None], batches.batch))
    state, told = jax.block_until_ready(advance(state, batch))
    start = now()
    for _ in range(steps):
        state, told = advance(state, batch)
    jax.block_until_ready(told)
    return (now() - start) / steps


def looped(layout, objective, batches, steps):
    """The same of a step of `train`, between its first and its last line of metrics."""
    times = []
    clock = train.Event(100, lambda state: times.append(now()))
    with tempfile.TemporaryDirectory() as workdir:
        train.train(
            objective,
            OPTIMIZER,
            jax.random.key(0),
            batches,
            workdir=workdir,
            layout=layout,
            plan=train.Plan(steps, log_every=100, checkpoint_every=steps),
            events=[clock],
        )
    return (times[-1] - times[0]) / (steps - 100)


def overhead():
    """The loop's own seconds a step."""
    layout, tiny = devices.mesh(devices=jax.devices()[:1]), autoencoder(8, 1)
    own = []
    for _ in range(ROUNDS):
        loop = looped(layout, tiny, Batches(128, 8), 2100)
        own.append(loop - bare(layout, tiny, Batches(128, 8), 2000))
    return [float(thread) for _, thread in own]


def waits():
    """Transfers from the devices in 10 intervals without checkpoints between."""
    found, device_get = [], jax.device_get
    jax.device_get = lambda tree: found.append(1) or device_get(tree)
    try:
        layout = devices.mesh(devices=jax.devices()[:1])
        looped(layout, autoencoder(8, 1), Batches(128, 8), 1000)
    finally:
        jax.device_get = device_get
    return (len(found) - 1) / 10  # the last step's checkpoint waits once more


def speed_up():
    """Steps a second with 1, 2, 4 devices, relative to one."""
    makers = {
        "pmap": lambda part: devices.pmap(devices=part),
        "mesh": lambda part: devices.mesh(devices=part),
        "fsdp": lambda part: devices.mesh(devices=part, rule=devices.fsdp()),
    }
    counts = [n for n in (1, 2, 4, 8) if n <= jax.device_count()]
    model, batches = autoencoder(512, 8), Batches(512, 512)
    seconds = {(name, n): [] for n in counts for name in makers}
    for _ in range(ROUNDS):
        for name, n in seconds:
            layout = makers[name](jax.devices()[:n])
            seconds[name, n].append(bare(layout, model, batches, 10)[0])
    return {key: statistics.median(found) for key, found in seconds.items()}


OPTIMIZER = optax.adam(1e-3)


def main():
    own = overhead()
    share = [f"{v / STEP:.2%}" for v in (statistics.median(own), min(own), max(own))]
    print(f"{jax.devices()[0].device_kind}, load {os.getloadavg()[0]:.1f}")
    print("| | |\n|---|---:|")
    print(
        "| the loop's own time, of a 20 ms step | "
        f"{share[0]} ({share[1]} – {share[2]}) |"
    )
    print(f"| host waits per log interval | {waits():g} |")
    found = speed_up()
    names = list(dict.fromkeys(name for name, _ in found))
    one = found["mesh", 1]
    print(f"\nspeed relative to one device ({one * 1e3:.1f} ms a step)\n")
    print("| devices | " + " | ".join(names) + " |\n|---:|" + "---:|" * len(names))
    for n in sorted({n for _, n in found}):
        ratios = [f"{one / found[name, n]:.2f}" for name in names]
        print(f"| {n} | " + " | ".join(ratios) + " |")


if __name__ == "__main__":
    main()
