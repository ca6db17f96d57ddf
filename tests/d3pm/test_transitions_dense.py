"""Families known by matrices: equation 8, bands, and products of any length."""

import itertools
import time

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from d3pm import families
from diffjax.d3pm import transitions
from diffjax.d3pm.transitions import products


@pytest.mark.parametrize("K", [2, 3, 16, 27, 256])
@pytest.mark.parametrize("beta", [1e-4, 0.02, 1.0])
def test_gaussian_is_equation_8_for_every_K(K, beta, x64):
    weight = families.eq_8(K)
    i = np.arange(K)
    Q = np.vectorize(lambda n: weight(beta, n))(np.arange(K))[np.abs(i[:, None] - i)]
    np.fill_diagonal(Q, 0)
    np.fill_diagonal(Q, 1 - Q.sum(1))
    family = transitions.gaussian([beta], K)
    np.testing.assert_allclose(family.matrix(0, 1), Q, rtol=1e-12, atol=1e-300)
    np.testing.assert_allclose(np.sum(family.matrix(0, 1), 0), 1, rtol=1e-12)


def test_gaussian_at_256_in_float32():
    weight = families.eq_8(256)
    log_q = jax.jit(transitions.gaussian([0.02], 256).row)(128, 0, 1)
    expected = [weight(0.02, abs(j - 128)) for j in range(256)]
    expected[128] = 1 - sum(expected) + expected[128]
    np.testing.assert_allclose(log_q, np.log(expected), rtol=1e-6)
    np.testing.assert_allclose(np.exp(log_q), expected, rtol=0, atol=1e-7)


def test_a_gaussian_step_has_no_false_zeros():
    """exp(-2660) is no float32, but its log is, and nothing is called impossible."""
    family = transitions.gaussian([1e-3, 1e-3], 27)
    column = jax.jit(family.column)
    for s, t in [(0, 1), (1, 2)]:
        log_q = column(0, s, t)
        exact = -4 * 26**2 / (26**2 * 1e-3)
        np.testing.assert_allclose(log_q[26], exact, rtol=1e-3)


def test_gaussian_stands_still_at_beta_0():
    family = transitions.gaussian([0.0, 0.1], 4)
    np.testing.assert_array_equal(family.matrix(0, 1), np.eye(4))
    np.testing.assert_array_equal(family.matrix(0, 2), family.matrix(1, 2))


def test_band_has_its_zeros_and_grows_by_its_width():
    family = transitions.banded([0.9] * 3, 8, width=2)
    far = np.abs(np.arange(8)[:, None] - np.arange(8))
    for s, t in itertools.combinations(range(4), 2):
        reached = np.asarray(family.matrix(s, t)) > 0
        np.testing.assert_array_equal(reached, far <= 2 * (t - s))
    np.testing.assert_allclose(family.matrix(0, 1)[3, 4], 0.9 / 8, rtol=1e-6)
    np.testing.assert_allclose(family.matrix(0, 1)[0, 0], 1 - 2 * 0.9 / 8, rtol=1e-6)


def test_host_products_and_scan_agree():
    Q = families.MATRICES
    host = transitions.cumulative(Q)
    assert host.dtype == np.float64 and host.shape == (len(Q) + 1, 6, 6)
    np.testing.assert_array_equal(host[0], np.eye(6))
    for t in range(len(Q) + 1):
        np.testing.assert_allclose(host[t], families.product(Q, 0, t), rtol=1e-13)
    scan = jax.jit(transitions.cumulative_scan)
    np.testing.assert_allclose(scan(jnp.asarray(Q)), host, rtol=2e-6)
    with jax.enable_x64(True):
        np.testing.assert_allclose(scan(jnp.asarray(Q)), host, rtol=1e-12)


def test_scan_is_differentiable(x64):
    Q = jnp.asarray(families.MATRICES[:4])

    def corner(scale):
        return transitions.cumulative_scan(Q * scale)[-1, 0, 0]

    value, slope = jax.jit(jax.value_and_grad(corner))(1.0)
    np.testing.assert_allclose(slope, 4 * value, rtol=1e-12)


@pytest.mark.parametrize("T", [1, 3, 4, 5, 16, 21, 70])
def test_every_stretch_of_every_length(T, x64):
    Q = np.random.default_rng(T).dirichlet(np.ones(3), (T, 3))
    family = transitions.from_matrices(Q)
    s, t = np.array(list(itertools.combinations_with_replacement(range(T + 1), 2))).T
    matrices = jax.jit(jax.vmap(family.matrix))(s, t)
    Q_bar = {}
    for i in range(T + 1):
        Q_bar[i, i] = np.eye(3)
        for j in range(i, T):
            Q_bar[i, j + 1] = Q_bar[i, j] @ Q[j]
    expected = np.stack([Q_bar[pair] for pair in zip(s, t, strict=True)])
    np.testing.assert_allclose(matrices, expected, rtol=1e-12)


def test_half_of_the_rows_is_enough_where_a_matrix_reads_the_same_backwards():
    for K in (4, 5):
        Q = families.product(families.by_length(families.eq_8(K), K), 0, 5)
        half = Q[: (K + 1) // 2]
        np.testing.assert_allclose(products.unfold(half, K), Q, rtol=1e-12)
    family = transitions.gaussian(families.BETAS, 5)
    assert family.products.prefix.shape == (families.T, 3, 5)


def test_limit_law_is_the_one_that_is_left_as_it_is():
    pi = products.limit_law(families.product(families.MATRICES, 0, 7))
    np.testing.assert_allclose(pi @ families.product(families.MATRICES, 0, 7), pi)
    absorbing = families.toward(families.POINT)[0]
    np.testing.assert_array_equal(products.limit_law(absorbing), families.POINT)
    np.testing.assert_allclose(products.limit_law(np.eye(4)), np.full(4, 0.25))


@pytest.mark.optimized
@pytest.mark.slow
def test_gaussian_of_images_is_quick_to_set_up_and_small():
    start = time.process_time()  # of all cores, whatever else they do
    family = transitions.gaussian(np.linspace(1e-4, 0.02, 1000), 256)
    jax.block_until_ready(family)
    assert time.process_time() - start < 20
    assert sum(leaf.nbytes for leaf in jax.tree.leaves(family)) <= 262e6
    Q = families.by_length(families.eq_8(256), 256, [family_beta(s) for s in (3, 4)])
    np.testing.assert_allclose(family.matrix(2, 4), Q[0] @ Q[1], rtol=1e-6, atol=1e-30)


def family_beta(t):
    return np.linspace(1e-4, 0.02, 1000)[t - 1]
