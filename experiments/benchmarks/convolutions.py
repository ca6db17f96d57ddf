"""What XLA:CPU makes of convolutions: doubling an image, and gradients in a loop.

Command:   python experiments/benchmarks/convolutions.py
Cost:      one minute on two cores.
Expected:  the gradient of `conv.Doubling` at least twice as fast as that of
           `nn.ConvTranspose`, of which it is another form; a kernel's gradient in a
           `lax.scan` slower than in a row by a factor that tells whether `per_dispatch`
           and `micro_batches` may be more than 1 here. Numbers are in the README.

One process, float32; runs alternate, medians and the range over rounds.
"""

import os
import time

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from diffjax.nets import conv

ROUNDS, BATCH, STEPS = 7, 100, 5


def doubling(net: nn.Module, x: jax.Array):
    """The gradient in parameters and input, compiled."""
    params = net.init(jax.random.key(0), x)
    slope = jax.jit(jax.grad(lambda p, x: (net.apply(p, x) ** 2).sum(), (0, 1)))
    return lambda: jax.block_until_ready(slope(params, x))


def descent(x: jax.Array, *, unroll: int):
    """Steps down the gradient of a 3x3 kernel, in a loop or in a row."""
    net = nn.Conv(x.shape[-1], (3, 3))
    params = net.init(jax.random.key(0), x)

    def step(params, _):
        grads = jax.grad(lambda p: (net.apply(p, x) ** 2).mean())(params)
        return jax.tree.map(lambda p, g: p - 0.01 * g, params, grads), None

    run = jax.jit(lambda p: jax.lax.scan(step, p, length=STEPS, unroll=unroll)[0])
    return lambda: jax.block_until_ready(run(params))


def compare(name: str, slow, fast) -> None:
    """One row of the table; both are warmed up, runs alternate."""
    runs = []
    for _ in range(ROUNDS + 1):
        begun = time.perf_counter()
        slow()
        between = time.perf_counter()
        fast()
        runs.append((between - begun, time.perf_counter() - between))
    there, here = 1e3 * np.median(runs[1:], axis=0)
    ratios = [a / b for a, b in runs[1:]]
    spread = f"{there / here:6.1f} ({min(ratios):.1f} .. {max(ratios):.1f})"
    print(f"{name:46s}{there:9.1f}{here:9.1f}  {spread}", flush=True)


def main() -> None:
    """Print a table of ratios."""
    print(
        f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}, jax {jax.__version__}"
    )
    print(f"{'task':46s}{'ms':>9s}{'ours ms':>9s}   ratio (range)")
    rng = np.random.default_rng(0)
    for side, inputs, width in ((4, 64, 64), (7, 64, 32), (14, 32, 8)):
        x = jnp.asarray(rng.normal(size=(BATCH, side, side, inputs)), jnp.float32)
        pair = nn.ConvTranspose(width, (4, 4), (2, 2)), conv.Doubling(width=width)
        name = f"doubling {side} x {side}, {inputs} -> {width}: gradient"
        compare(name, *(doubling(net, x) for net in pair))
    x = jnp.asarray(rng.normal(size=(16, 16, 16, 64)), jnp.float32)
    name = f"{STEPS} gradients of a 3x3 kernel: loop, row"
    compare(name, descent(x, unroll=1), descent(x, unroll=STEPS))


if __name__ == "__main__":
    main()
