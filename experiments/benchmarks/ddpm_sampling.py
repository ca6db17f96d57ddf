"""A 1000-step ancestral chain of a small MLP: this library and torch + diffusers.

Command:   make bench         (its own environment: extra `bench`)
Cost:      two minutes on two cores.
Expected:  tables of T = 1000 within 10 ms, and at batch 16 at least ten times the
           samples per second of diffusers' loop. With more units or examples both sides
           wait for the same matrix products and the ratio tends to 1; measured numbers
           are in the README.

The weights are drawn once and copied, both sides run float32 on the CPU, both are
warmed up, and the runs alternate; the table has medians. The peer is
`DDPMScheduler.step` in a Python loop, as its documentation does it, with one thread:
for tensors this small more threads only slow torch down.
"""

import itertools
import os
import time

import diffusers
import jax
import jax.numpy as jnp
import numpy as np
import torch

from diffjax import ddpm
from diffjax.core import schedules

T, WIDTH, ROUNDS = 1000, 16, 7


def draw_weights(hidden: int) -> list[np.ndarray]:
    """Three dense layers: [x, t / T] -> hidden -> hidden -> eps."""
    rng = np.random.default_rng(0)
    sizes = [(WIDTH + 1, hidden), (hidden, hidden), (hidden, WIDTH)]
    return [(rng.normal(size=s) / np.sqrt(s[0])).astype(np.float32) for s in sizes]


def jax_sampler(weights: list[np.ndarray], batch: int):
    """This library: one compiled program; the weights and tables are its arguments."""

    @jax.jit
    def run(weights, schedule, rng):
        def eps(x, t):
            h = jnp.concatenate([x, (t[None] - 1) / T])
            for w in weights[:-1]:
                h = jax.nn.silu(h @ w)
            return h @ weights[-1]

        denoise = ddpm.predict.denoiser_from_eps(schedule, eps)
        clipped = ddpm.guidance.clipped(denoise)
        return ddpm.sample(clipped, schedule, rng, (batch, WIDTH))

    schedule = schedules.linear(T)
    arrays = [jnp.asarray(w) for w in weights]
    return lambda seed: run(arrays, schedule, jax.random.key(seed)).block_until_ready()


def torch_sampler(weights: list[np.ndarray], batch: int):
    """diffusers: the scheduler's own loop, with the same network and clipping."""
    scheduler = diffusers.DDPMScheduler(num_train_timesteps=T, clip_sample=True)
    tensors = [torch.from_numpy(w) for w in weights]

    @torch.inference_mode()
    def run(seed: int):
        generator = torch.Generator().manual_seed(seed)
        x = torch.randn(batch, WIDTH, generator=generator)
        for t in scheduler.timesteps:
            h = torch.cat([x, (t / T).expand(batch, 1)], dim=1)
            for w in tensors[:-1]:
                h = torch.nn.functional.silu(h @ w)
            x = scheduler.step(h @ tensors[-1], t, x, generator=generator).prev_sample
        return x

    return run


def seconds(run, seed: int) -> float:
    """Wall time of one call."""
    start = time.perf_counter()
    run(seed)
    return time.perf_counter() - start


def main() -> None:
    """Print a table of ratios; every ratio is of runs made side by side."""
    print(f"jax {jax.__version__}, torch {torch.__version__}, ", end="")
    print(f"diffusers {diffusers.__version__}, {os.cpu_count()} cores, ", end="")
    print(f"load {os.getloadavg()[0]:.1f} at the start")
    torch.set_num_threads(1)
    print("hidden  batch  ours samples/s  theirs samples/s  ratio (min .. max)")
    for hidden, batch in itertools.product((64, 128), (1, 16, 256)):
        weights = draw_weights(hidden)
        ours, theirs = jax_sampler(weights, batch), torch_sampler(weights, batch)
        ours(0), theirs(0)
        pairs = [(seconds(ours, i), seconds(theirs, i)) for i in range(1, ROUNDS + 1)]
        fast, slow = np.median(pairs, axis=0)
        ratios = [b / a for a, b in pairs]
        print(
            f"{hidden:6d}  {batch:5d}  {batch / fast:14.0f}  {batch / slow:16.1f}  "
            f"{slow / fast:5.1f} ({min(ratios):.1f} .. {max(ratios):.1f})"
        )
    for name in ("linear", "cosine", "sigmoid_alpha_bar"):
        make = getattr(schedules, name)
        make(T)
        best = min(seconds(make, T) for _ in range(20))
        print(f"table build, {name}({T}): {1e3 * best:.2f} ms")
    print(f"load {os.getloadavg()[0]:.1f} at the end")


if __name__ == "__main__":
    main()
