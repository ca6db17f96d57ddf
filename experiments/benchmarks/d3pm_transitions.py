"""What a family of transitions weighs, and how long it takes to set up.

    python experiments/benchmarks/d3pm_transitions.py

Three minutes on two cores, nearly all of it the search for the neighbours of 50 000
tokens. T = 1000 throughout. Expected: at most 16 KB for the closed forms whatever K, at
most 100 MB for 50 neighbours of 50 000 tokens, at most 262 MB for the Gaussian at
K = 256, and no table inside a compiled program; set-up within 10 ms for the closed
forms, within 10 s for the Gaussian. Exits with 1 if one of these fails.
"""

import re
import sys
import time

import jax
import jax.numpy as jnp
import numpy as np

from diffjax.d3pm import transitions

T, TOKENS, NEIGHBOURS = 1000, 50_000, 50
KB, MB = 1024, 1e6
CONSTANT = re.compile(r"constant dense<\"?([^>]*)>")


def rows():
    """Name, constructor, limit in bytes, limit in seconds; None where there is none."""
    betas = np.linspace(1e-4, 0.02, T)
    weights = np.linspace(0, 1, T)
    embeddings = np.random.default_rng(0).normal(size=(TOKENS, 64))
    uniform = transitions.uniform(betas, TOKENS)
    masks = transitions.absorbing(betas, TOKENS + 1, mask=TOKENS)
    inside = transitions.absorbing(betas, TOKENS, mask=0)

    def walk():
        return transitions.nearest(embeddings, betas, neighbours=NEIGHBOURS)

    def masks_and_walk():
        near = transitions.nearest(embeddings[:5000], betas, neighbours=NEIGHBOURS)
        absorbing = transitions.absorbing(betas, 5001, mask=5000)
        return transitions.mixture(absorbing, transitions.with_mask(near), weights)

    rate = np.diag(np.ones(255), 1) + np.diag(np.ones(255), -1)
    rate -= np.diag(rate.sum(1))
    size, quick, slow = 16 * KB, 0.01, 10
    yield "uniform, K = 50 000", lambda: transitions.uniform(betas, TOKENS), size, quick
    yield (
        "absorbing, K = 50 001",
        lambda: transitions.absorbing(betas, TOKENS + 1, mask=TOKENS),
        size,
        quick,
    )
    yield (
        "masks and uniform, K = 50 000",
        lambda: transitions.mixture(inside, uniform, weights),
        size,
        quick,
    )
    # A law of one's own is itself K numbers.
    law = np.full(TOKENS + 1, 1 / TOKENS)
    law[-1] = 0
    yield (
        "masks and a law, K = 50 001",
        lambda: transitions.mixture(
            masks, transitions.marginal(betas, law / law.sum()), weights
        ),
        size + 4 * len(law),
        quick,
    )
    yield "Gaussian, K = 256", lambda: transitions.gaussian(betas, 256), 262 * MB, slow
    yield "banded, K = 256", lambda: transitions.banded(betas, 256, width=7), None, None
    yield "rates, K = 256", lambda: transitions.from_rate(rate, betas), None, None
    yield "masks and 50 of 5000", masks_and_walk, None, None
    yield "50 neighbours of 50 000", walk, 100 * MB, None


def largest_constant(family):
    """Bytes of the longest constant in the text of a lowered program."""

    def term(family, log_p, x, s, t):
        return family.forward(log_p, 0, s) + family.column(x, s, t)

    log_p = jnp.zeros((1, family.K))
    lowered = jax.jit(term).lower(family, log_p, jnp.zeros(1, int), 3, 4).as_text()
    return max((len(text) for text in CONSTANT.findall(lowered)), default=0)


def main():
    """Print the table, and what is over its limit."""
    failed = []
    jax.block_until_ready(transitions.uniform([0.1], 2))  # what JAX itself sets up
    print(f"{'family':32}{'state':>14}{'set-up':>12}{'constant':>12}")
    for name, build, most_bytes, most_seconds in rows():
        build() if most_seconds == 0.01 else None
        start = time.perf_counter()
        family = jax.block_until_ready(build())
        seconds = time.perf_counter() - start
        state = sum(leaf.nbytes for leaf in jax.tree.leaves(family))
        constant = largest_constant(family)
        print(
            f"{name:32}{state / MB:11.3f} MB{1000 * seconds:9.1f} ms{constant:10d} B",
            flush=True,
        )
        over = (
            (most_bytes is not None and state > most_bytes)
            or (most_seconds is not None and seconds > most_seconds)
            or constant > MB
        )
        failed += [name] if over else []
    print("over the limit:", ", ".join(failed) or "none")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
