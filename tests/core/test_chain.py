"""The shared scan against a Python loop, and the size of its program."""

from functools import partial

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from diffjax.core import chain

TS = jnp.array([11, 9, 8, 5, 4, 2, 1, 0])


def step(x_t, t, s, noise, memory):
    """Depends on each argument, and remembers the last x and how many there were."""
    last, count = (jnp.zeros_like(x_t), 0) if memory is None else memory
    x_s = 0.9 * x_t + 0.1 * last * count + jnp.sqrt(t - s) * noise + s / 10
    return x_s, (x_t, jnp.asarray(count + 1))


def python_loop(rng, x, ts):
    """Every x passed, with the keys that `reverse` documents."""
    path, memory = [np.asarray(x)], (np.zeros_like(x), 0)
    for i, (t, s) in enumerate(zip(ts[:-1], ts[1:], strict=True)):
        noise = np.asarray(jax.random.normal(jax.random.fold_in(rng, i), x.shape))
        (last, count), x_t = memory, path[-1]
        x_s = 0.9 * x_t + 0.1 * last * count + np.sqrt(t - s) * noise + s / 10
        path.append(np.asarray(x_s, x.dtype))
        memory = x_t, count + 1
    return np.stack(path)


@pytest.fixture
def start():
    return jax.random.key(3), jnp.linspace(-1, 1, 6).reshape(2, 3)


class Variants(chex.TestCase):
    @chex.variants(with_jit=True, without_jit=True, with_pmap=True)
    def test_reverse_is_a_python_loop(self):
        rng, x = jax.random.PRNGKey(3), jnp.linspace(-1, 1, 6).reshape(2, 3)
        end = self.variant(partial(chain.reverse, step))(rng, x, TS)
        np.testing.assert_allclose(end, python_loop(rng, x, TS)[-1], 1e-5, 1e-6)


@pytest.mark.parametrize("every", [1, 2, 3, 5, 7, 100])
def test_trajectory_records_the_loop(start, every):
    """N = 7 steps: whole blocks, a rest, one block, and less than one block."""
    observe = lambda x, t: {"x": x, "t": t}  # noqa: E731
    end, records = chain.trajectory(step, *start, TS, every=every, observe=observe)
    path = python_loop(*start, TS)
    np.testing.assert_allclose(records["x"], path[:-1:every], 1e-5, 1e-6)
    np.testing.assert_array_equal(records["t"], TS[:-1:every])
    assert len(records["t"]) == -(-7 // every)
    np.testing.assert_allclose(end, path[-1], 1e-5, 1e-6)
    np.testing.assert_array_equal(end, chain.reverse(step, *start, TS))


def test_trajectory_records_x_unless_told_otherwise(start):
    _, records = chain.trajectory(step, *start, TS, every=4)
    np.testing.assert_allclose(records, python_loop(*start, TS)[[0, 4]], 1e-5, 1e-6)
    with pytest.raises(ValueError, match="expected every >= 1, got 0"):
        chain.trajectory(step, *start, TS, every=0)


def test_one_step_is_a_chain(start):
    end = chain.reverse(step, *start, jnp.array([4, 0]))
    np.testing.assert_allclose(end, python_loop(*start, [4, 0])[-1], 1e-5, 1e-6)


def test_a_chain_without_memory(start):
    halve = lambda x_t, t, s, noise, memory: (x_t / 2, None)  # noqa: E731
    np.testing.assert_allclose(chain.reverse(halve, *start, TS), start[1] / 2**7)


def test_the_noise_of_a_step_may_be_drawn_otherwise(start):
    """Each step has a key of its own, and sees where it is."""
    add = lambda x_t, t, s, noise, memory: (x_t + noise, None)  # noqa: E731
    draw = lambda key, x: jax.random.randint(key, x.shape, 0, 1000) + 0 * x  # noqa: E731
    end, records = chain.trajectory(add, *start, TS, every=1, draw=draw)
    noises = jnp.diff(jnp.concatenate([records, end[None]]), axis=0)
    keys = [jax.random.fold_in(start[0], i) for i in range(7)]
    np.testing.assert_allclose(noises, [draw(k, start[1]) for k in keys], atol=1e-3)


@pytest.mark.parametrize("every", [None, 5])
def test_the_program_does_not_grow_with_the_grid(start, every):
    """13 and 1003 steps lower to the same text but for numbers in it."""

    def run(ts):
        if every is None:
            return chain.reverse(step, *start, ts)
        return chain.trajectory(step, *start, ts, every=every)

    short, long = (
        len(jax.jit(run).lower(jnp.arange(num, -1, -1)).as_text()) for num in (13, 1003)
    )
    assert long <= 1.1 * short


def test_the_grid_is_data(start):
    """Other keys, data and steps of the same number compile nothing new."""

    @jax.jit
    @chex.assert_max_traces(n=1)
    def run(rng, x, ts):
        return chain.reverse(step, rng, x, ts)

    for i, ts in enumerate([TS, TS + 5, 2 * TS]):
        run(jax.random.key(i), start[1] + i, ts)


@pytest.mark.parametrize("make", [jax.random.key, jax.random.PRNGKey])
def test_example_keys(make):
    """Example i has the same key in any batch, and keys made elsewhere are kept."""
    rng = make(7)
    keys = chain.example_keys(rng, 5)

    def draw(key):
        return jax.random.normal(key, (3,))

    for i in range(5):
        chex.assert_trees_all_equal(draw(keys[i]), draw(jax.random.fold_in(rng, i)))
    chex.assert_trees_all_equal(chain.example_keys(rng, 3), keys[:3])
    chex.assert_trees_all_equal(chain.example_keys(keys[2:4], 2), keys[2:4])
    with pytest.raises(ValueError, match="expected one key or 4 keys, got 5 keys"):
        chain.example_keys(keys, 4)


def test_normal():
    noise = chain.normal(jax.random.key(0), jnp.zeros((100, 100), jnp.bfloat16))
    assert noise.dtype == jnp.bfloat16
    noise = chain.normal(jax.random.key(0), jnp.zeros((100, 100)))
    assert abs(noise.mean()) < 0.04 and abs(noise.std() - 1) < 0.04
