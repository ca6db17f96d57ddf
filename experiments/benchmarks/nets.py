"""The U-Net against diffusers' at equal weights, and what networks cost to compile.

Command:   make bench-nets     (its own environment: extra `bench`)
Cost:      ten minutes on two cores, most of it torch.compile and XLA.
Expected:  forward and train step (Adam, mean squared error) of batch 16, 32 x 32, at
           least 1.2 times as fast as diffusers in eager torch; the train step of the
           2.25M U-Net compiled in 25 s, and that of 12 scanned transformer layers in
           at most 1.3 times the time of 2. Measured numbers are in the README.

Each framework has a process of its own; all are warmed up, runs alternate, float32 on
the CPU. The peers run with one thread and with one a core: the better row counts. The
table has medians, and the least and the largest ratio of runs made side by side.
"""

import functools
import itertools
import os
import sys
import tempfile
import time

import numpy as np
import processes

BATCH, SIDE, ROUNDS = 16, 32, 7
THREADED = (
    "--xla_cpu_experimental_ynn_fusion_type=-LIBRARY_FUSION_TYPE_INDIVIDUAL_CONVOLUTION"
)
"""Without it XLA's convolutions run on one core (jaxlib 0.10)."""
KINDS = ("eager", "compile")
WIDTHS = {"2.25M": (32, 64, 64, 64), "8.95M": (64, 128, 128, 128)}
FORWARD, TRAIN = "forward", "train step"


def images() -> tuple[np.ndarray, np.ndarray]:
    """Images [B, H, W, C] and times."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(BATCH, SIDE, SIDE, 3)).astype(np.float32)
    return x, rng.integers(0, 1000, BATCH)


def write(size: str, folder: str) -> None:
    """A network with random weights, as diffusers keeps them."""
    import jax

    from diffjax import nets
    from diffjax.interop import diffusers

    net = nets.published.ddpm_cifar10().clone(widths=WIDTHS[size])
    x, t = images()
    params = jax.jit(net.init)(jax.random.key(0), x, t)
    keys = iter(jax.random.split(jax.random.key(1), 1000))
    params = jax.tree.map(  # no layer may be zero, where a framework could be lucky
        lambda p: p + 0.02 * jax.random.normal(next(keys), p.shape), params
    )
    diffusers.save_unet(folder, net, params, sample_size=SIDE)


def ours(folder: str, flags: str) -> processes.Tasks:
    """Forward and train step, each one program."""
    os.environ["XLA_FLAGS"] = flags
    import jax
    import jax.numpy as jnp
    import optax

    from diffjax.interop import diffusers

    net, params = diffusers.load_unet(folder)
    params, (x, t) = jax.tree.map(jnp.asarray, params), map(jnp.asarray, images())
    optimizer = optax.adam(1e-4)

    def step(params, state, x, t):
        def loss(params):
            return jnp.mean((net.apply(params, x, t) - x) ** 2)

        value, grads = jax.value_and_grad(loss)(params)
        updates, state = optimizer.update(grads, state)
        return optax.apply_updates(params, updates), state, value

    forward = timed(f"{FORWARD} compiles in", jax.jit(net.apply), params, x, t)
    state = optimizer.init(params)
    train = timed(
        f"{TRAIN} compiles in",
        jax.jit(step, donate_argnums=(0, 1)),
        params,
        state,
        x,
        t,
    )
    kept = [jax.tree.map(jnp.copy, params), state]

    def one():
        *kept[:], value = train(*kept, x, t)
        return float(value)

    return {
        FORWARD: lambda: forward(params, x, t).block_until_ready().sum().item(),
        TRAIN: one,
    }


def timed(what: str, function, *args):
    """The compiled function; tells what tracing and compiling took."""
    begun = time.perf_counter()
    compiled = function.lower(*args).compile()
    print(f"  {what} {time.perf_counter() - begun:.1f} s", flush=True)
    return compiled


def theirs(folder: str, *, compiled: bool) -> processes.Tasks:
    """The same in torch, eager or by torch.compile."""
    import torch
    from diffusers import UNet2DModel

    net = UNet2DModel.from_pretrained(folder)
    x, t = images()
    x, t = torch.from_numpy(x.transpose(0, 3, 1, 2).copy()), torch.from_numpy(t)
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-4)
    call = torch.compile(net) if compiled else net

    def forward():
        with torch.no_grad():
            return call(x, t).sample.sum().item()

    def train():
        value = ((call(x, t).sample - x) ** 2).mean()
        optimizer.zero_grad()
        value.backward()
        optimizer.step()
        return value.item()

    return {FORWARD: forward, TRAIN: train}


def compare(size: str, folder: str) -> None:
    """Rows of the table for one network."""
    write(size, folder)
    mine = {
        name: processes.start(functools.partial(ours, folder, flags))
        for name, flags in {"default": "", "threaded": THREADED}.items()
    }
    for kind, threads in itertools.product(KINDS, sorted({1, os.cpu_count() or 1})):
        begun = time.perf_counter()
        make = functools.partial(theirs, folder, compiled=kind == "compile")
        peer = processes.start(make, threads)
        ready = f"ready in {time.perf_counter() - begun:.0f} s"
        for task, (name, here) in itertools.product((FORWARD, TRAIN), mine.items()):
            row = f"{size}  {task:12s}{name:10s}{f'{kind} ({threads})':14s}"
            print(row + ratio(here, peer, task), ready, flush=True)


def ratio(mine, peer, task: str) -> str:
    """Medians of both in ms, their ratio, and its range over runs made side by side."""
    runs = [[processes.run(p, task)[0] for p in (mine, peer)] for _ in range(ROUNDS)]
    fast, slow = 1e3 * np.median(runs, axis=0)
    ratios = [there / here for here, there in runs]
    least, most = min(ratios), max(ratios)
    return f"{fast:8.0f}{slow:11.0f}  {slow / fast:5.2f} ({least:.2f} .. {most:.2f})"


def transformers() -> None:
    """What layers cost to compile: a train step of the text model, scanned."""
    import jax
    import jax.numpy as jnp

    from diffjax.nets.transformer import Transformer

    tokens, t = jnp.zeros((2, 64), jnp.int32), jnp.ones(2, jnp.int32)
    for layers in (2, 12):
        net = Transformer(K=27, width=64, depth=layers)
        params = jax.jit(net.init)(jax.random.key(0), tokens, t)
        slope = jax.jit(jax.grad(lambda p, net=net: net.apply(p, tokens, t).sum()))
        timed(f"gradient of {layers} transformer layers compiles in", slope, params)


def main() -> None:
    """Print a table of ratios; every ratio is of runs made side by side."""
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f} at the start")
    print(
        "size   task        XLA       diffusers      ours ms  theirs ms  ratio (range)"
    )
    for size in sys.argv[1:] or WIDTHS:
        with tempfile.TemporaryDirectory() as folder:
            compare(size, folder)
    transformers()
    print(f"load {os.getloadavg()[0]:.1f} at the end")


if __name__ == "__main__":
    main()
