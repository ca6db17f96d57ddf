"""Quantization against brute force; whose gradient goes where."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from diffjax import vq

RNG = np.random.default_rng(0)
CODEBOOK = RNG.normal(size=(6, 3))
Z = RNG.normal(size=(2, 5, 3))
quantize = jax.jit(vq.quantize)


def brute(codebook, z):
    """Squared distances in float64, [..., K]."""
    codebook, z = np.asarray(codebook, np.float64), np.asarray(z, np.float64)
    return np.square(z[..., None, :] - codebook).sum(-1)


@pytest.mark.parametrize("z", [Z[0, 0], Z[0], Z], ids=["one", "row", "image"])
def test_the_nearest_code_of_any_leading_shape(z, x64):
    codes, z_q = quantize(CODEBOOK, z)
    want = brute(CODEBOOK, z).argmin(-1)
    np.testing.assert_array_equal(codes, want)
    np.testing.assert_array_equal(z_q, CODEBOOK[want])
    assert codes.dtype == jnp.int32


def test_of_equally_near_codes_the_first():
    codebook = np.float32([[5.0], [1.0], [-1.0], [1.0]])
    codes, _ = quantize(codebook, np.float32([[0.0], [1.0], [3.0]]))
    np.testing.assert_array_equal(codes, [1, 1, 0])
    once = np.arange(60, dtype=np.float32)[:, None]
    codes, _ = quantize(np.tile(once, (2, 1)), once)
    np.testing.assert_array_equal(codes, np.arange(60))


@pytest.mark.parametrize("K", [2, 31, 32, 33, 100])
def test_any_number_of_codes(K, x64):
    codebook, z = RNG.normal(size=(K, 3)), RNG.normal(size=(200, 3))
    codes, _ = quantize(codebook, z)
    np.testing.assert_array_equal(codes, brute(codebook, z).argmin(-1))


def test_float32_is_right_far_from_the_origin():
    """At 1e3 with a spread of 1, |e|^2 - 2 z e alone has errors of about 1."""
    codebook = (1e3 + RNG.normal(size=(64, 4))).astype(np.float32)
    z = (1e3 + RNG.normal(size=(500, 4))).astype(np.float32)
    codes, _ = quantize(codebook, z)
    distance = brute(codebook, z)
    chosen = np.take_along_axis(distance, np.asarray(codes)[:, None], -1)[:, 0]
    np.testing.assert_allclose(chosen, distance.min(-1), atol=1e-4)


def test_bfloat16_vectors_are_compared_in_float32():
    z = jnp.asarray(Z, jnp.bfloat16)
    codes, z_q = quantize(np.float32(CODEBOOK), z)
    np.testing.assert_array_equal(codes, brute(CODEBOOK, z).argmin(-1))
    assert z_q.dtype == jnp.float32


def test_lookup_is_the_inverse_and_has_no_silent_code():
    codebook, lookup = np.float32(CODEBOOK), jax.jit(vq.lookup)
    codes, _ = quantize(codebook, lookup(codebook, np.arange(6)))
    np.testing.assert_array_equal(codes, np.arange(6))
    rows = lookup(codebook, np.array([6, -1, 5]))
    np.testing.assert_array_equal(np.isnan(rows), [[True] * 3, [True] * 3, [False] * 3])


def test_no_gradient_of_the_reconstruction_reaches_the_codebook():
    """And the encoder gets, bit for bit, what the decoder's input would."""
    codebook, z = jnp.asarray(CODEBOOK), jnp.asarray(Z)
    decode = lambda z_q: jnp.sum(jnp.sin(3 * z_q) + z_q**3)  # noqa: E731

    def reconstruction(codebook, z):
        return decode(vq.straight_through(z, vq.quantize(codebook, z)[1]))

    to_codebook, to_z = jax.grad(reconstruction, argnums=(0, 1))(codebook, z)
    np.testing.assert_array_equal(to_codebook, np.zeros_like(CODEBOOK))
    _, z_q = vq.quantize(codebook, z)
    np.testing.assert_array_equal(to_z, jax.grad(decode)(z_q))


def test_straight_through_gives_the_code_itself():
    """z + (z_q - z) would be rounded: here it is off by a hundred."""
    z = jnp.asarray([1e10, -1e10, 3.0])
    z_q = jnp.asarray([0.1, 1e-30, 3.0])
    np.testing.assert_array_equal(vq.straight_through(z, z_q), z_q)


def test_each_loss_moves_one_side(x64):
    codes = brute(CODEBOOK, Z).argmin(-1)
    gap = Z - CODEBOOK[codes]

    def both(loss):
        def value(codebook, z):
            return loss(z, vq.quantize(codebook, z)[1])

        return jax.jit(jax.value_and_grad(value, argnums=(0, 1)))(CODEBOOK, Z)

    pull = np.zeros_like(CODEBOOK)
    np.add.at(pull, codes, -2 * gap)
    value, (to_codebook, to_z) = both(vq.codebook_loss)
    np.testing.assert_allclose(value, np.square(gap).sum(), rtol=1e-12)
    np.testing.assert_allclose(to_codebook, pull, atol=1e-12)
    np.testing.assert_array_equal(to_z, np.zeros_like(Z))
    value, (to_codebook, to_z) = both(vq.commitment_loss)
    np.testing.assert_allclose(value, 0.25 * np.square(gap).sum(), rtol=1e-12)
    np.testing.assert_array_equal(to_codebook, np.zeros_like(CODEBOOK))
    np.testing.assert_allclose(to_z, 0.5 * gap, atol=1e-12)


def test_the_sum_is_n_d_times_the_papers_mean():
    z, z_q = jnp.asarray(Z[0]), jnp.zeros((5, 3))
    for loss in (vq.codebook_loss, vq.commitment_loss):
        np.testing.assert_allclose(
            loss(z, z_q), 15 * loss(z, z_q, reduce=jnp.mean), rtol=1e-6
        )


def test_residual_quantization_is_greedy(x64):
    codebooks = RNG.normal(size=(3, 6, 3)) * np.array([1, 0.5, 0.25])[:, None, None]
    levels = jax.jit(vq.residual)(codebooks, Z)
    left, total = Z, np.zeros_like(Z)
    for i, codebook in enumerate(codebooks):
        codes = brute(codebook, left).argmin(-1)
        np.testing.assert_array_equal(levels.codes[i], codes)
        np.testing.assert_allclose(levels.inputs[i], left, atol=1e-15)
        left, total = left - codebook[codes], total + codebook[codes]
        np.testing.assert_allclose(levels.first(i + 1), total, atol=1e-15)
    np.testing.assert_allclose(levels.z_q, total, atol=1e-15)
    np.testing.assert_array_equal(levels.first(0), np.zeros_like(Z))


def test_no_level_of_a_residual_trains_another():
    """The losses of level 2 leave the codes of level 1 alone, and reach the encoder."""
    codebooks = np.float32(RNG.normal(size=(2, 6, 3)))

    def second(codebooks, z):
        levels = vq.residual(codebooks, z)
        pair = levels.inputs[1], levels.parts[1]
        return vq.codebook_loss(*pair) + vq.commitment_loss(*pair)

    slopes = jax.jit(jax.grad(second, argnums=(0, 1)))
    slope, to_z = slopes(codebooks, np.float32(Z))
    np.testing.assert_array_equal(slope[0], np.zeros((6, 3)))
    assert np.abs(slope[1]).max() > 0 and np.abs(to_z).max() > 0


class Variants(chex.TestCase):
    """The public functions under jit, pmap, and neither."""

    @chex.variants(with_jit=True, without_jit=True)
    def test_quantize(self):
        codebook = jnp.asarray(CODEBOOK, jnp.float32)
        codes, _ = self.variant(vq.quantize)(codebook, jnp.asarray(Z, jnp.float32))
        np.testing.assert_array_equal(codes, brute(CODEBOOK, Z).argmin(-1))
