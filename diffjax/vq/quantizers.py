"""Ways from a vector to codes and back, all of one form: what an objective asks for."""

import functools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from diffjax.types import Array
from diffjax.vq import scalar, starts
from diffjax.vq.codebook import (
    codebook_loss,
    commitment_loss,
    lookup,
    quantize,
    residual,
    straight_through,
)
from diffjax.vq.starts import Start


class Quantized(NamedTuple):
    """What a quantizer made of one example.

    codes: integer [...].
    z_q: [..., D], with the gradient of z.
    penalty: [] what the quantizer adds to the loss, beside nats.
    """

    codes: Array
    z_q: Array
    penalty: Array


class Quantizer(NamedTuple):
    """Functions of one example; the codebook is any pytree, trained by gradient.

    K: codes at each position.
    init: (rng, z [..., D]) -> codebook.
    apply: (codebook, z [..., D]) -> Quantized.
    lookup: (codebook, codes) -> z_q [..., D].
    """

    K: int
    init: Callable[[Array, Array], Any]
    apply: Callable[[Any, Array], Quantized]
    lookup: Callable[[Any, Array], Array]


def vector(
    K: int, *, beta: float = 0.25, start: Start = starts.init_from_data
) -> Quantizer:
    r"""A codebook trained by gradient.

        penalty = || sg[z] - e ||^2 + beta || z - sg[e] ||^2

    van den Oord et al. 2017 (VQ-VAE, arXiv:1711.00937), eq. 3.

    Args: K: codes.  beta: weight of the commitment.  start: of the codebook.
    Returns: Quantizer; codes are as z without its last axis (no unit).
    """

    def apply(codebook: Array, z: Array) -> Quantized:
        codes, z_q = quantize(codebook, z)
        penalty = codebook_loss(z, z_q) + commitment_loss(z, z_q, beta=beta)
        return Quantized(codes, straight_through(z, z_q), penalty)

    return Quantizer(K, functools.partial(_started, start, K), apply, lookup)


def residual_vector(
    Q: int, K: int, *, beta: float = 0.25, start: Start = starts.init_from_data
) -> Quantizer:
    r"""Codebooks trained by gradient, each on what the ones before left.

        penalty = sum_i || sg[r_i] - e_i ||^2 + beta || r_i - sg[e_i] ||^2

    Zeghidour et al. 2021 (SoundStream, arXiv:2107.03312), algorithm 1.

    Args: Q: codebooks.  K: codes of each.  beta: weight of the commitment.  start: of
        each codebook, on the vectors left to it.
    Returns: Quantizer; codes are [Q, ...], z without its last axis (no unit).
    """
    if Q < 1:
        raise ValueError(f"expected Q >= 1 codebooks, got {Q}")

    def init(rng: Array, z: Array) -> Array:
        def level(left: Array, rng: Array) -> tuple[Array, Array]:
            codebook = start(rng, left, K)
            return left - quantize(codebook, left)[1], codebook

        return jax.lax.scan(level, z, jax.random.split(rng, Q))[1]

    def apply(codebooks: Array, z: Array) -> Quantized:
        levels = residual(codebooks, z)
        inputs, parts = levels.inputs, levels.parts
        penalty = codebook_loss(inputs, parts) + commitment_loss(
            inputs, parts, beta=beta
        )
        return Quantized(levels.codes, straight_through(z, levels.z_q), penalty)

    def look(codebooks: Array, codes: Array) -> Array:
        return jnp.sum(jax.vmap(lookup)(codebooks, codes), axis=0)

    return Quantizer(K, init, apply, look)


def finite_scalar(levels: Sequence[int]) -> Quantizer:
    r"""A grid, with nothing to train and no penalty.

        penalty = 0

    Mentzer et al. 2023 (FSQ, arXiv:2309.15505).

    Args: levels: d integers, each at least 3; the encoder gives d channels.
    Returns: Quantizer, its codebook an empty pytree; codes are as z without its last
        axis (no unit).
    """

    def apply(codebook: Any, z: Array) -> Quantized:
        return Quantized(*scalar.fsq(z, levels), jnp.zeros(()))

    return Quantizer(
        scalar.fsq_size(levels),
        lambda rng, z: (),
        apply,
        lambda codebook, codes: scalar.fsq_lookup(codes, levels),
    )


def _started(start: Start, K: int, rng: Array, z: Array) -> Array:
    return start(rng, z, K)
