"""Quantizers of this library, pythae and vector-quantize-pytorch on a CPU.

Command:   make bench-vq      (its own environment: extra `bench`)
Cost:      a minute on two cores.
Expected:  an EMA step (quantize, straight-through, commitment, update; forward and
           backward) of 8192 vectors of 64 dimensions, K = 512, at least 5 times sooner
           than pythae's and 10 times sooner than vector-quantize-pytorch's; FSQ
           [8, 5, 5, 5] of 8192 vectors, forward and backward, at least on par. The
           peers run with one thread and with one a core: the better row counts.
           The 10 is not met by every run; measured numbers are in the README.

Each framework has a process of its own, so that their threads never meet; all are
warmed up, the runs alternate, float32 on the CPU. The table has medians, and the least
and the largest ratio of runs made side by side. The peers' modules are asked for what
the papers have: decay 0.99, commitment 0.25, no rotation trick, no k-means.
"""

import functools
import itertools
import os
import types

import numpy as np
import processes

NUM, WIDTH, K, LEVELS, ROUNDS = 8192, 64, 512, [8, 5, 5, 5], 15
EMA, FSQ = "EMA step, 8192 x 64, K = 512", "FSQ [8, 5, 5, 5], 8192 x 4"
RATIOS = {(EMA, "pythae"): 5, (EMA, "vector-quantize-pytorch"): 10}
RATIOS[FSQ, "vector-quantize-pytorch"] = 1


def inputs(width: int) -> tuple[np.ndarray, np.ndarray]:
    """Vectors, and the gradient that a decoder would send back."""
    rng = np.random.default_rng(0)
    return tuple(
        rng.normal(size=(32, NUM // 32, width)).astype(np.float32) for _ in "12"
    )


def ours() -> dict:
    """Task -> a function of no arguments, compiled."""
    import jax
    import jax.numpy as jnp

    from diffjax import vq

    def averages(state, z, slope):
        def loss(z):
            codes, z_q = vq.quantize(state.codebook, z)
            through = vq.straight_through(z, z_q)
            value = jnp.sum(through * slope) + vq.commitment_loss(z, z_q)
            return value, codes

        (value, codes), grad = jax.value_and_grad(loss, has_aux=True)(z)
        return value, grad, vq.ema_update(state, z, codes, decay=0.99)

    def grid(z, slope):
        def loss(z):
            codes, z_q = vq.fsq(z, LEVELS)
            return jnp.sum(z_q * slope), codes

        return jax.value_and_grad(loss, has_aux=True)(z)

    def run(compiled, *args):
        jax.block_until_ready(compiled(*args))

    state = vq.ema_init(jax.random.normal(jax.random.key(0), (K, WIDTH)))
    wide, narrow = (
        map(jnp.asarray, inputs(WIDTH)),
        map(jnp.asarray, inputs(len(LEVELS))),
    )
    return {
        EMA: functools.partial(run, jax.jit(averages), state, *wide),
        FSQ: functools.partial(run, jax.jit(grid), *narrow),
    }


def backward(quantize, width: int):
    """A function of no arguments: forward and backward of a torch module."""
    import torch

    z, slope = map(torch.from_numpy, inputs(width))
    z.requires_grad_(True)

    def run():
        z.grad = None
        z_q, penalty = quantize(z)
        ((z_q * slope).sum() + penalty).backward()

    return run


def pythae() -> dict:
    """Its EMA quantizer, which returns channels first."""
    from pythae.models.vq_vae.vq_vae_utils import QuantizerEMA

    config = types.SimpleNamespace(
        embedding_dim=WIDTH, num_embeddings=K, commitment_loss_factor=0.25, decay=0.99
    )
    module = QuantizerEMA(config).train()

    def quantize(z):
        output = module(z[:, None])  # an image of one row
        return output.quantized_vector[:, :, 0].transpose(1, 2), output.loss

    return {EMA: backward(quantize, WIDTH)}


def lucidrains() -> dict:
    """vector-quantize-pytorch: its EMA quantizer and its FSQ."""
    from vector_quantize_pytorch import FSQ as Grid
    from vector_quantize_pytorch import VectorQuantize

    averages = VectorQuantize(
        dim=WIDTH,
        codebook_size=K,
        decay=0.99,
        commitment_weight=0.25,
        rotation_trick=False,
        kmeans_init=False,
    ).train()
    grid = Grid(LEVELS)

    def quantize(z):
        z_q, _, penalty = averages(z)
        return z_q, penalty.sum()

    return {
        EMA: backward(quantize, WIDTH),
        FSQ: backward(lambda z: (grid(z)[0], 0.0), len(LEVELS)),
    }


PEERS = {"pythae": pythae, "vector-quantize-pytorch": lucidrains}


def main() -> None:
    """Print a table of ratios; every ratio is of runs made side by side."""
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f} at the start")
    mine, counts = processes.start(ours), sorted({1, os.cpu_count() or 1})
    peers = {(p, n): processes.start(PEERS[p], n) for p in PEERS for n in counts}
    print(f"{'task':30s}{'peer (threads)':28s}ours ms  theirs ms  ratio (min .. max)")
    for ((task, peer), asked), threads in itertools.product(RATIOS.items(), counts):
        ends = mine, peers[peer, threads]
        pairs = [[processes.run(e, task)[0] for e in ends] for _ in range(ROUNDS)]
        fast, slow = 1e3 * np.median(pairs, axis=0)
        ratios = [b / a for a, b in pairs]
        print(
            f"{task:30s}{f'{peer} ({threads})':28s}{fast:7.2f}  {slow:9.2f}  "
            f"{slow / fast:5.1f} ({min(ratios):.1f} .. {max(ratios):.1f})  >= {asked}?"
        )
    print(f"load {os.getloadavg()[0]:.1f} at the end")


if __name__ == "__main__":
    main()
