"""Memory of a large vocabulary: 8192 tokens at K = 50 257 with bfloat16 logits.

    python experiments/benchmarks/d3pm_vocabulary.py

Ten seconds: the programs are compiled, not run, and the compiler's own account is read.
Expected: the absorbing loss with its gradient, and a sampling step, each need at most
1.2 times the logits' 0.82 GB beyond the logits; the general bound, for comparison,
needs many times more.
"""

import jax
import jax.numpy as jnp
import numpy as np

from diffjax.d3pm import losses, masked, samplers, transitions, unmasking

BATCH, LENGTH, K, T = 8, 1024, 50_257, 1000
LOGITS = jax.ShapeDtypeStruct((BATCH, LENGTH, K), jnp.bfloat16)
SIZE = 2 * BATCH * LENGTH * K


def beyond(run):
    """Temporaries and outputs of run(logits, rng), in sizes of the logits."""
    lowered = jax.jit(run).lower(LOGITS, jax.random.key(0))
    memory = lowered.compile().memory_analysis()
    return (memory.temp_size_in_bytes + memory.output_size_in_bytes) / SIZE


def main():
    """Print what each program needs beyond its logits."""
    family = transitions.absorbing(1 / np.arange(T, 0, -1), K, mask=K - 1)
    x_0 = jnp.zeros((BATCH, LENGTH), jnp.int32)

    def absorbing(logits, rng):
        t, x_t = masked.masked_batch(family, rng, x_0)
        return masked.loss_of_logits(family, logits, x_0, x_t, t)

    def general(logits, rng):
        t, x_t = masked.masked_batch(family, rng, x_0)
        return jnp.mean(losses.bound_terms(family, logits, x_0, x_t, t))

    def step(logits, rng):
        def one(logits, rng):
            move = samplers.bind(unmasking.reveal, lambda x, t: logits, family)
            x_t = jnp.full(LENGTH, K - 1)
            return move(x_t, jnp.asarray(500), jnp.asarray(499), rng, None)[0]

        return jax.vmap(one)(logits, jax.random.split(rng, BATCH))

    print(f"logits {SIZE / 1e9:.2f} GB; needed beyond them, in their size")
    print(f"absorbing loss             {beyond(absorbing):6.3f}")
    print(f"absorbing loss, gradient   {beyond(jax.value_and_grad(absorbing)):6.3f}")
    print(f"sampling step              {beyond(step):6.3f}")
    print(f"general loss, gradient     {beyond(jax.value_and_grad(general)):6.3f}")


if __name__ == "__main__":
    main()
