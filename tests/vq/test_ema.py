"""Moving averages: against NumPy, dead codes, and what repetition leaves alone."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.cluster.vq import kmeans2

from diffjax import vq

RNG = np.random.default_rng(1)
K, D = 8, 3
CODEBOOK = RNG.normal(size=(K, D))

quantize, restart = jax.jit(vq.quantize), jax.jit(vq.restart)
ema_update = jax.jit(vq.ema_update, static_argnames=("decay", "smoothing"))
init_from_data = jax.jit(vq.init_from_data, static_argnums=2)


def batches(num, size=40):
    return RNG.normal(size=(num, size, D))


def one_hot(codes):
    return np.eye(K)[np.asarray(codes).reshape(-1)]


def test_the_update_is_the_papers(x64):
    """Written with one-hot matrices; every code is used in every batch."""
    state, decay, eps = vq.ema_init(jnp.asarray(CODEBOOK)), 0.9, 1e-2
    n, m, e = np.ones(K), CODEBOOK.copy(), CODEBOOK.copy()
    for z in batches(6, 200):
        codes = np.square(z[:, None] - e).sum(-1).argmin(-1)
        state = ema_update(state, z, codes, decay=decay, smoothing=eps)
        assert len(set(codes)) == K
        n = decay * n + (1 - decay) * one_hot(codes).sum(0)
        m = decay * m + (1 - decay) * one_hot(codes).T @ z
        e = m / ((n + eps) / (n.sum() + K * eps) * n.sum())[:, None]
        np.testing.assert_allclose(state.codebook, e, rtol=1e-12)
    np.testing.assert_allclose(state.n, n, rtol=1e-12)
    np.testing.assert_allclose(state.m, m, rtol=1e-12)


def test_an_unused_code_never_becomes_zero():
    """Not after a step, as with debiased zeros; not after many, by smoothing alone."""
    state = vq.ema_init(jnp.asarray(CODEBOOK, jnp.float32))
    z, codes = np.full((4, D), 3, np.float32), np.zeros(4, np.int32)

    def step(state, _):
        return vq.ema_update(state, z, codes, decay=0.99), None

    for steps in (1, 20_000):
        end = jax.lax.scan(step, state, None, length=steps)[0]
        unused = (np.asarray(s.codebook)[1:] for s in (end, state))
        np.testing.assert_array_equal(*unused)
    np.testing.assert_allclose(end.codebook[0], 3.0, rtol=1e-4)
    again = ema_update(end, z, codes + 5, decay=0.99)  # n had become 0
    np.testing.assert_allclose(again.codebook[5], 3.0, rtol=1e-3)


def test_no_gradient_passes():
    state, z = vq.ema_init(jnp.asarray(CODEBOOK)), np.float32(batches(1)[0])

    @jax.jit
    @jax.grad
    def slope(z):
        codes, _ = vq.quantize(state.codebook, z)
        return jnp.sum(vq.ema_update(state, z, codes, decay=0.5).codebook)

    np.testing.assert_array_equal(slope(z), np.zeros_like(z))


def test_a_batch_eight_times_weighs_eight_times(x64):
    """From (8 n, 8 m) it leads to the same codebook; counts alone are not invariant."""
    z = batches(1)[0]
    once = vq.ema_init(jnp.asarray(CODEBOOK), n=RNG.uniform(1, 5, K))
    eight = vq.ema_init(once.codebook, n=8 * once.n)
    for _ in range(3):
        codes, _ = quantize(once.codebook, z)
        once = ema_update(once, z, codes, decay=0.9, smoothing=1e-5)
        eight = ema_update(
            eight, np.tile(z, (8, 1)), np.tile(codes, 8), decay=0.9, smoothing=8e-5
        )
        np.testing.assert_allclose(eight.codebook, once.codebook, rtol=1e-12)
        np.testing.assert_allclose(eight.n, 8 * once.n, rtol=1e-12)
    counts = vq.counts(codes, K)
    np.testing.assert_allclose(vq.perplexity(8 * counts), vq.perplexity(counts))


@partial(jax.jit, static_argnums=0)
def off_centre(renew, steps=50):
    """Perplexity of every step: 256 vectors of N(3, 0.1^2) in 4 dimensions, K = 64."""
    codebook = jax.random.normal(jax.random.key(0), (64, 4))

    def step(state, rng):
        data, again = jax.random.split(rng)
        z = 3 + 0.1 * jax.random.normal(data, (256, 4))
        codes, _ = vq.quantize(state.codebook, z)
        state = vq.ema_update(state, z, codes, decay=0.99)
        return renew(again, state, z), vq.perplexity(vq.counts(codes, 64))

    keys = jax.random.split(jax.random.key(1), steps)
    return jax.lax.scan(step, vq.ema_init(codebook), keys)


def test_restart_spreads_a_codebook_that_starts_off_centre():
    state, perplexity = jax.tree.map(np.asarray, off_centre(vq.restart))
    assert perplexity[0] < 2
    assert perplexity.max() > 48 and perplexity[-10:].mean() > 48
    assert (np.abs(state.codebook - 3) < 1).all()
    _, stuck = off_centre(vq.no_restart)
    assert stuck.max() < 2  # what happens without


def test_restart_resets_the_averages_of_dead_codes_alone(x64):
    z = batches(1, 32)[0]  # four vectors a code, so least = 1
    n = np.array([5.0, 0.99, 1.0, 0, 3, 0.2, 7, 2])
    old = vq.ema_init(jnp.asarray(CODEBOOK), n=n)
    new = restart(jax.random.key(0), old, z)
    old, new = jax.tree.map(np.asarray, (old, new))
    dead = n < 1
    np.testing.assert_array_equal(new.n, np.where(dead, 1, n))
    np.testing.assert_array_equal(new.m[dead], new.codebook[dead])
    for before, after in zip(old, new, strict=True):
        np.testing.assert_array_equal(after[~dead], before[~dead])
    drawn = new.codebook[dead]
    assert all((z == code).all(-1).any() for code in drawn)
    assert len(np.unique(drawn, axis=0)) == dead.sum()


@pytest.mark.parametrize("size", [8, 32, 800])
def test_the_threshold_is_a_share_of_the_mean_usage(size):
    """Codes used alike are dead in no batch; restarted ones do not die at once."""
    z = np.float32(batches(1, size)[0])
    even = vq.ema_init(jnp.asarray(CODEBOOK), n=size / K)
    same = restart(jax.random.key(0), even, z)
    np.testing.assert_array_equal(same.codebook, even.codebook)
    born = restart(jax.random.key(0), vq.ema_init(even.codebook, n=0.0), z)
    again = restart(jax.random.key(1), born, z)
    np.testing.assert_array_equal(again.codebook, born.codebook)


def test_a_threshold_of_zero_restarts_nothing():
    state = vq.ema_init(jnp.asarray(CODEBOOK), n=0.0)
    never = jax.jit(partial(vq.restart, threshold=0.0))
    same = never(jax.random.key(0), state, np.float32(batches(1)[0]))
    np.testing.assert_array_equal(same.codebook, state.codebook)


def test_codes_from_data_are_distinct_vectors_of_it():
    z = np.float32(batches(1)[0].reshape(5, 8, D))
    codes = np.asarray(init_from_data(jax.random.key(0), z, 40))
    flat = z.reshape(-1, D)
    np.testing.assert_array_equal(np.unique(codes, axis=0), np.unique(flat, axis=0))
    many = np.asarray(init_from_data(jax.random.key(0), z[0], 30))
    assert many.shape == (30, D) and set(many[:, 0]) <= set(z[0, :, 0])


def test_kmeans_start_is_scipys(x64):
    z = RNG.normal(size=(300, D))
    first = init_from_data(jax.random.key(3), z, 5)
    want, _ = kmeans2(z, np.asarray(first), iter=7, minit="matrix")
    got = jax.jit(lambda rng: vq.init_kmeans(rng, z, 5, steps=7))(jax.random.key(3))
    np.testing.assert_allclose(got, want, rtol=1e-10)


def test_uniform_start_is_inside_its_box():
    z = jnp.zeros((3, D), jnp.bfloat16)
    codebook = vq.init_uniform(jax.random.key(0), z, 100)
    assert codebook.shape == (100, D) and codebook.dtype == jnp.float32
    assert 0.009 < np.abs(codebook).max() <= 0.01


def test_residual_codebooks_average_level_by_level(x64):
    """`vmap` of the update over levels: each is an update on what was left to it."""
    z, codebooks = batches(1)[0], RNG.normal(size=(2, K, D))

    @jax.jit
    def all_levels(codebooks, z):
        levels = vq.residual(codebooks, z)
        starts = jax.vmap(vq.ema_init)(codebooks)
        update = jax.vmap(partial(vq.ema_update, decay=0.9))
        return update(starts, levels.inputs, levels.codes)

    states = all_levels(codebooks, z)
    left = z - np.asarray(quantize(codebooks[0], z)[1])
    codes, _ = quantize(codebooks[1], left)
    start = vq.ema_init(jnp.asarray(codebooks[1]))
    want = ema_update(start, left, codes, decay=0.9)
    np.testing.assert_allclose(states.codebook[1], want.codebook, rtol=1e-12)


def test_usage():
    counts = jax.jit(vq.counts, static_argnums=1)(np.array([[0, 0, 3], [3, 3, 1]]), 5)
    perplexity = jax.jit(vq.perplexity)
    np.testing.assert_array_equal(counts, [2, 1, 0, 3, 0])
    p = np.array([2, 1, 3]) / 6
    np.testing.assert_allclose(
        perplexity(counts), np.exp(-(p * np.log(p)).sum()), rtol=1e-6
    )
    np.testing.assert_allclose(vq.used(counts), 0.6)
    assert perplexity(np.full(512, 7)) == pytest.approx(512, rel=1e-5)
    assert perplexity(np.array([0, 9, 0])) == 1
