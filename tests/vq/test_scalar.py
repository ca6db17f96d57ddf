"""Finite scalar quantization against its formula in NumPy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from diffjax import vq

LEVELS = [8, 5, 3, 4]  # even and odd
Z = np.random.default_rng(0).normal(size=(2000, 4)) * 2


def formula(z, levels):
    """The paper's, with atanh, dimension by dimension."""
    values, codes, basis = [], 0, 1
    for i, L in enumerate(levels):
        half, offset = (L - 1) * 1.001 / 2, 0.5 if L % 2 == 0 else 0.0
        rounded = np.round(np.tanh(z[:, i] + np.arctanh(offset / half)) * half - offset)
        values.append(rounded / (L // 2))
        codes = codes + (rounded.astype(int) + L // 2) * basis
        basis *= L
    return codes, np.stack(values, -1)


def test_codes_and_values(x64):
    codes, z_q = vq.fsq(jnp.asarray(Z), LEVELS)
    want_codes, want = formula(Z, LEVELS)
    np.testing.assert_array_equal(codes, want_codes)
    np.testing.assert_array_equal(z_q, want)
    assert codes.dtype == jnp.int32
    assert len(set(np.asarray(codes))) > 400  # nearly all of the 480


def test_first_level_is_the_fastest():
    codes, _ = vq.fsq(jnp.asarray([[9.0, -9, -9, -9], [-9, 9, -9, -9]]), LEVELS)
    np.testing.assert_array_equal(codes, [7, 4 * 8])


def test_every_digit_is_reached_and_none_is_missed():
    """One dimension swept from end to end: each level once, in order."""
    line = jnp.linspace(-20, 20, 4001)[:, None]
    for L in (3, 4, 5, 8, 9, 16):
        codes, z_q = vq.fsq(line, [L])
        steps = np.diff(np.asarray(codes))
        assert codes[0] == 0 and codes[-1] == L - 1
        assert steps.min() == 0 and steps.max() == 1
        assert np.abs(z_q).max() <= 1


@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float32])
def test_many_levels_have_whole_codes_in_any_dtype(dtype):
    """prod(L) = 64 000: in bfloat16, sums of digits would be off by hundreds."""
    levels = [8, 8, 8, 5, 5, 5]
    z = jnp.asarray(np.random.default_rng(1).normal(size=(500, 6)) * 3, dtype)
    codes, z_q = vq.fsq(z, levels)
    np.testing.assert_array_equal(codes, formula(np.asarray(z, np.float64), levels)[0])
    np.testing.assert_array_equal(vq.fsq_lookup(codes, levels), z_q)


def test_the_gradient_passes_the_rounding_and_not_the_tanh(x64):
    z = jnp.asarray(Z[:50])
    slope = jax.grad(lambda z: jnp.sum(vq.fsq(z, LEVELS)[1]))(z)
    L = np.array(LEVELS)
    half, offset = (L - 1) * 1.001 / 2, np.where(L % 2 == 0, 0.5, 0)
    want = half / np.cosh(Z[:50] + np.arctanh(offset / half)) ** 2 / (L // 2)
    # JAX's is 1 - tanh^2: near the ends it has the rounding of 1, not of its own size.
    np.testing.assert_allclose(slope, want, rtol=1e-12, atol=1e-15)


def test_extreme_vectors_are_finite():
    z = jnp.asarray([[1e4, -1e4, 1e30, -1e30]])
    value, slope = jax.value_and_grad(lambda z: jnp.sum(vq.fsq(z, LEVELS)[1]))(z)
    assert np.isfinite(value) and np.isfinite(slope).all()


def test_a_code_out_of_range_is_nan_under_jit():
    rows = jax.jit(lambda c: vq.fsq_lookup(c, [3, 4]))(jnp.asarray([12, -1, 11]))
    np.testing.assert_array_equal(np.isnan(rows), [[True] * 2, [True] * 2, [False] * 2])
