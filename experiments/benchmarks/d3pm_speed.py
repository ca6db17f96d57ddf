"""Posterior and KL of a batch of images: the closed form against dense matrices.

    python experiments/benchmarks/d3pm_speed.py

One minute on two cores. A batch (2, 32, 32, 3) at K = 256 and T = 1000: one term of the
bound, KL(q(x_{t-1} | x_t, x_0) || p(x_{t-1} | x_t)), of logits and integers, as `bound`
and `vb_loss` take it. Expected: the closed form at least 4 times faster than the same
family as [T, K, K] matrices; the family's operators, which serve any parameterization,
lie between the two. Set-up is that of a family in a process that has used JAX before.
"""

import functools
import os
import time

import jax
import jax.numpy as jnp
import numpy as np

from diffjax.d3pm import likelihood, predict, transitions

K, T, SHAPE = 256, 1000, (2, 32, 32, 3)


def seconds(runs, repeats=15):
    """The median time of each compiled call; the calls alternate."""
    times = {name: [] for name in runs}
    for run in runs.values():
        jax.block_until_ready(run())
    for _ in range(repeats):
        for name, run in runs.items():
            start = time.perf_counter()
            jax.block_until_ready(run())
            times[name].append(time.perf_counter() - start)
    return {name: float(np.median(each)) for name, each in times.items()}


def in_general(*args, s):
    """`predict.joint`, unrecognised: so that no closed form is known for it."""
    return predict.joint(*args, s=s)


@functools.partial(jax.jit, static_argnums=0)
def term(predict, family, logits, x_0, x_t, t):
    """The divergence of every example at its own t."""

    def one(*args):
        return likelihood.divergence(family, *args, args[-1] - 1, predict=predict)

    return jax.vmap(one)(logits, x_0, x_t, t)


def main():
    """Print a table of milliseconds, ratio and set-up times."""
    rng = np.random.default_rng(0)
    betas = 1 / np.arange(T, 0, -1)
    jnp.zeros(()).block_until_ready()
    start = time.perf_counter()
    family = transitions.uniform(betas, K)
    jax.block_until_ready(family)
    set_up = time.perf_counter() - start
    dense_steps = np.eye(K) * (1 - betas[:, None, None]) + betas[:, None, None] / K
    start = time.perf_counter()
    dense = transitions.from_matrices(dense_steps)
    jax.block_until_ready(dense)
    dense_set_up = time.perf_counter() - start
    x_0, x_t = (jnp.asarray(rng.integers(0, K, SHAPE)) for _ in range(2))
    logits = jnp.asarray(rng.normal(size=(*SHAPE, K)), jnp.float32)
    t = jnp.asarray([300, 700])
    args = logits, x_0, x_t, t
    took = seconds(
        {
            "closed form": lambda: term(predict.joint, family, *args),
            "operators": lambda: term(in_general, family, *args),
            "dense": lambda: term(predict.joint, dense, *args),
        }
    )
    exact = term(predict.joint, dense, *args)
    difference = term(predict.joint, family, *args) / exact
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")
    print(f"{'':12}{'set-up ms':>12}{'posterior + KL ms':>20}")
    for name, each in took.items():
        ready = dense_set_up if name == "dense" else set_up
        print(f"{name:12}{ready * 1e3:12.1f}{each * 1e3:20.1f}")
    ratio = took["dense"] / took["closed form"]
    print(f"ratio {ratio:.1f}, results alike to {abs(difference - 1).max():.1e}")


if __name__ == "__main__":
    main()
