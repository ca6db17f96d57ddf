"""Posterior and KL of a batch of images: the closed form against dense matrices.

    python experiments/benchmarks/d3pm_speed.py

One minute on two cores. A batch (2, 32, 32, 3) at K = 256 and T = 1000: one term of the
bound, KL(q(x_{t-1} | x_t, x_0) || p(x_{t-1} | x_t)), of logits and integers. Expected:
the closed form at least 4 times faster than the same family as [T, K, K] matrices; the
family's operators, which serve any parameterization, lie between the two.
"""

import functools
import time

import jax
import jax.numpy as jnp
import numpy as np

from diffjax.d3pm import closed, likelihood, transitions

K, T, SHAPE = 256, 1000, (2, 32, 32, 3)


def seconds(run, *args, repeats=10):
    """The median time of a compiled call."""
    jax.block_until_ready(run(*args))
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        jax.block_until_ready(run(*args))
        times.append(time.perf_counter() - start)
    return float(np.median(times))


@functools.partial(jax.jit, static_argnums=0)
def term(divergence, family, logits, x_0, x_t, t):
    """The divergence of every example at its own t."""

    def one(logits, x_0, x_t, t):
        return divergence(family, logits, x_0, x_t, t, t - 1)

    return jax.vmap(one)(logits, x_0, x_t, t)


def main():
    """Print a table of milliseconds, ratio and set-up times."""
    rng = np.random.default_rng(0)
    betas = 1 / np.arange(T, 0, -1)
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
    fast = seconds(term, closed.divergence, family, *args)
    middle = seconds(term, likelihood.divergence, family, *args)
    slow = seconds(term, likelihood.divergence, dense, *args)
    exact = term(likelihood.divergence, dense, *args)
    difference = term(closed.divergence, family, *args) / exact
    print(f"{'':12}{'set-up ms':>12}{'posterior + KL ms':>20}")
    print(f"{'closed form':12}{set_up * 1e3:12.1f}{fast * 1e3:20.1f}")
    print(f"{'operators':12}{set_up * 1e3:12.1f}{middle * 1e3:20.1f}")
    print(f"{'dense':12}{dense_set_up * 1e3:12.1f}{slow * 1e3:20.1f}")
    print(f"ratio {slow / fast:.1f}, results alike to {abs(difference - 1).max():.1e}")


if __name__ == "__main__":
    main()
