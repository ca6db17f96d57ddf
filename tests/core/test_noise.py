"""JAX's own generator is the oracle: every number must be the same."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.extend.random import threefry_2x32

from diffjax.core import noise


@pytest.mark.parametrize("seed", [0, 7, 2**31 - 1])
@pytest.mark.parametrize("make", [jax.random.key, jax.random.PRNGKey])
@pytest.mark.parametrize("shape", [(), (1,), (7,), (3, 4, 5), (1000,)])
def test_the_same_bits(seed, make, shape):
    rng = make(seed)
    for dtype in (jnp.uint32, jnp.uint16, jnp.uint8):
        chex.assert_trees_all_equal(
            jax.random.bits(noise.swift(rng), shape, dtype),
            jax.random.bits(rng, shape, dtype),
        )


@pytest.mark.parametrize(
    "draw",
    [
        lambda k: jax.random.normal(k, (5, 6)),
        lambda k: jax.random.normal(k, (5, 6), jnp.bfloat16),
        lambda k: jax.random.gumbel(k, (7,), mode="high"),
        lambda k: jax.random.uniform(jax.random.split(k, 3)[1], (4,)),
        lambda k: jax.random.permutation(jax.random.fold_in(k, 5), 10),
        lambda k: jax.vmap(jax.random.normal)(jax.random.split(k, 4)),
    ],
)
def test_the_same_numbers(draw):
    rng = jax.random.key(3)
    for transform in (lambda f: f, jax.jit):
        got, want = transform(draw)(noise.swift(rng)), transform(draw)(rng)
        chex.assert_trees_all_close(got, want, rtol=1e-6)


def test_the_same_double_precision_numbers():
    with jax.enable_x64(True):
        rng = jax.random.key(3)
        draw = jax.random.normal
        chex.assert_trees_all_equal(draw(noise.swift(rng), (5,)), draw(rng, (5,)))


def test_threefry_is_the_hash_of_jax():
    key = jax.random.bits(jax.random.key(0), (2,))
    count = jax.random.bits(jax.random.key(1), (2, 100))
    got = jnp.concatenate(noise.threefry(tuple(key), tuple(count)))
    chex.assert_trees_all_equal(got, threefry_2x32(tuple(key), count.ravel()))


def test_threefry_has_the_published_values():
    """The known answers that Salmon et al. publish with their code, 20 rounds."""
    ones, zero = np.uint32(0xFFFFFFFF), np.uint32(0)
    assert [int(w) for w in noise.threefry((zero, zero), (zero, zero))] == [
        0x6B200159,
        0x99BA4EFE,
    ]
    with np.errstate(over="ignore"):
        got = noise.threefry((jnp.asarray(ones),) * 2, (jnp.asarray(ones),) * 2)
    assert [int(w) for w in got] == [0x1CB996FC, 0xBB002BE7]


def test_a_chosen_generator_is_kept():
    for chosen in ("rbg", "unsafe_rbg"):
        rng = jax.random.key(0, impl=chosen)
        chex.assert_trees_all_equal(noise.swift(rng), rng)
    swift = noise.swift(jax.random.key(0))
    chex.assert_trees_all_equal(noise.swift(swift), swift)
