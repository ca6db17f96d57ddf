"""A codebook, the nearest code of a vector, and gradients around the choice."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

from diffjax.core import categorical
from diffjax.core.precision import widen
from diffjax.types import Array

BLOCK = 32
"""Scores looked through at once for the least."""
Reduce = Callable[[Array], Array]
"""[...] -> [], what becomes of the squares of one example: `jnp.sum`, `jnp.mean`."""


def quantize(codebook: Array, z: Array) -> tuple[Array, Array]:
    r"""The nearest code of every vector; the first of equally near ones.

        codes = argmin_k || z - e_k ||^2,    z_q = e_codes

    van den Oord et al. 2017 (VQ-VAE, arXiv:1711.00937), eqs. 1-2. The codebook gets the
    gradient of z_q, z gets none: see `straight_through`.

    Args: codebook: [K, D].  z: [..., D].
    Returns: codes integer [...] (no unit), z_q [..., D] (unit of the codebook).
    """
    matching(codebook, z)
    codes = _nearest(*map(jax.lax.stop_gradient, widen(codebook, z)))
    return codes, _rows(codebook, codes)


def lookup(codebook: Array, codes: Array) -> Array:
    r"""The vectors of given codes; NaN under jit where a code is out of range.

        z_q = e_codes

    Args: codebook: [K, D].  codes: integer [...], 0..K-1.
    Returns: [..., D] (unit of the codebook).
    """
    K, _ = size(codebook)
    categorical.tokens("codes", codes, K)
    return _rows(codebook, codes)


def straight_through(z: Array, z_q: Array) -> Array:
    r"""The quantized vector, with the gradient of the one before.

        value z_q,    d/dz = I,    d/dz_q = 0

    Bengio et al. 2013 (arXiv:1308.3432); van den Oord et al. 2017, section 3.2. So no
    gradient of the reconstruction reaches the codebook.

    Args: z, z_q: [...].
    Returns: [...], bit for bit z_q (its unit).
    """
    if z.shape != z_q.shape:
        raise ValueError(f"expected z and z_q of one shape, got {z.shape}, {z_q.shape}")
    # z - z is exactly 0, while z + (z_q - z) would be rounded.
    return jax.lax.stop_gradient(z_q) + (z - jax.lax.stop_gradient(z))


def codebook_loss(z: Array, z_q: Array, *, reduce: Reduce = jnp.sum) -> Array:
    r"""Draws the codes to the vectors that chose them; no gradient to z.

        || sg[z] - e ||^2

    van den Oord et al. 2017, eq. 3, second term. The sum over the dimensions of one
    example stands beside a log likelihood in nats; with `jnp.mean`, the usual
    implementation, it is N D times smaller for N vectors of D dimensions, and stands
    beside a mean squared error.

    Args: z, z_q: [...], one example.  reduce: of the squares.
    Returns: [] (unit of z, squared).
    """
    return reduce(jnp.square(jax.lax.stop_gradient(z) - z_q))


def commitment_loss(
    z: Array, z_q: Array, *, beta: float = 0.25, reduce: Reduce = jnp.sum
) -> Array:
    r"""Keeps the vectors near the codes that they chose; no gradient to the codes.

        beta || z - sg[e] ||^2

    van den Oord et al. 2017, eq. 3, third term. Beta is relative to the scale of the
    reconstruction: for a Gaussian decoder of variance v, log p = -||x - x_hat||^2 / 2v.

    Args: z, z_q: [...], one example.  beta: weight, not negative.  reduce: of the
        squares; see `codebook_loss`.
    Returns: [] (unit of z, squared).
    """
    if beta < 0:
        raise ValueError(f"expected beta >= 0, got {beta}; the paper's is 0.25")
    return beta * reduce(jnp.square(z - jax.lax.stop_gradient(z_q)))


class Residual(NamedTuple):
    """A vector as a sum of codes, each the nearest to what the ones before left.

    codes: integer [Q, ...].
    inputs: [Q, ..., D], what each level was to quantize; that of the first is z.
    parts: [Q, ..., D], the code of each level.
    """

    codes: Array
    inputs: Array
    parts: Array

    @property
    def z_q(self) -> Array:
        """sum_i parts_i, [..., D] (unit of the codebooks)."""
        return jnp.sum(self.parts, axis=0)

    def first(self, num: Array) -> Array:
        """sum_{i < num} parts_i, [..., D]: quantizer dropout, if num is drawn.

        Args: num: integer [], 0..Q, traced or not.
        Returns: [..., D] (unit of the codebooks).
        """
        kept = jnp.arange(self.parts.shape[0]) < num
        return jnp.tensordot(kept.astype(self.parts.dtype), self.parts, axes=1)


def residual(codebooks: Array, z: Array) -> Residual:
    r"""One quantizer after the other, each on what the ones before it left.

        r_1 = z,    e_i = nearest_i(r_i),    r_{i+1} = r_i - sg[e_i],    z_q = sum_i e_i

    Zeghidour et al. 2021 (SoundStream, arXiv:2107.03312), algorithm 1. A level has its
    own losses and averages: `codebook_loss(inputs, parts)`, and
    `jax.vmap(ema_update)(states, inputs, codes)`.

    Args: codebooks: [Q, K, D].  z: [..., D].
    Returns: Residual (unit of z).
    """
    if codebooks.ndim != 3 or codebooks.shape[0] < 1:
        raise ValueError(
            f"expected codebooks [Q, K, D] with Q >= 1, got {codebooks.shape}; one "
            "codebook alone is codebook[None]"
        )

    def level(left: Array, codebook: Array) -> tuple[Array, Residual]:
        codes, part = quantize(codebook, left)
        return left - jax.lax.stop_gradient(part), Residual(codes, left, part)

    return jax.lax.scan(level, z, codebooks)[1]


def size(codebook: Array) -> tuple[int, int]:
    r"""The size of a codebook, after a look at its shape.

        K >= 2

    Args: codebook: [K, D].
    Returns: K, D (no unit).
    """
    if codebook.ndim != 2 or codebook.shape[0] < 2:
        raise ValueError(
            f"expected a codebook [K, D] with K >= 2, got {codebook.shape}; one code "
            "alone can say nothing"
        )
    return codebook.shape[0], codebook.shape[1]


def matching(codebook: Array, z: Array) -> tuple[int, int]:
    r"""The size of a codebook, after a look at its shape and at that of the vectors.

        z [..., D] for codebook [K, D]

    Args: codebook: [K, D].  z: [..., D].
    Returns: K, D (no unit).
    """
    K, D = size(codebook)
    if z.shape[-1:] != (D,):
        raise ValueError(
            f"expected z [..., {D}] for a codebook {codebook.shape}, got {z.shape}; "
            "channels come last"
        )
    return K, D


def _nearest(codebook: Array, z: Array) -> Array:
    # || z - e ||^2 = || e ||^2 - 2 z e + a constant. Distances do not depend on the
    # origin, digits do: far from it the two terms would cancel, so it is moved.
    centre = jnp.mean(codebook, axis=0, keepdims=True)
    rows, codebook = z.reshape(-1, z.shape[-1]) - centre, codebook - centre
    product = jnp.matmul(rows, codebook.T, precision=jax.lax.Precision.HIGHEST)
    size = jnp.sum(jnp.square(codebook), axis=1)
    return _argmin(size[None] - 2 * product).reshape(z.shape[:-1])


def _argmin(score: Array) -> Array:
    """The place of each row's least entry, the first of equal ones."""
    # On a CPU XLA vectorizes a minimum, but an argmin takes four times as long as the
    # matrix product before it: so the block first, then the place in that block.
    num, K = score.shape
    padding = ((0, 0), (0, -K % BLOCK))
    blocks = jnp.pad(score, padding, constant_values=jnp.inf).reshape(num, -1, BLOCK)
    block = jnp.argmin(jnp.min(blocks, axis=-1), axis=-1)
    inside = jnp.take_along_axis(blocks, block[:, None, None], axis=1)[:, 0]
    return (block * BLOCK + jnp.argmin(inside, axis=-1)).astype(jnp.int32)


def _rows(codebook: Array, codes: Array) -> Array:
    # A negative code would count from the end; K is out of range, and so gives NaN.
    codes = jnp.where(codes < 0, codebook.shape[0], codes)
    return jnp.take(codebook, codes, axis=0, mode="fill")
