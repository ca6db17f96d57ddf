"""Walks over similar tokens: neighbours, memory, mixtures, and rates."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from d3pm import families
from diffjax.d3pm import transitions
from diffjax.d3pm.transitions.dense import Dense
from diffjax.d3pm.transitions.nearest import nearest_neighbours, walk
from diffjax.d3pm.transitions.restart import Restart

RNG = np.random.default_rng(0)
matrix = jax.jit(lambda family, s, t: family.matrix(s, t))


@pytest.mark.parametrize("K", [27, 600])
def test_neighbours_are_exact_in_every_block_of_rows(K):
    """27 is what the published code gets wrong; 600 takes two blocks."""
    unit = RNG.normal(size=(K, 5)).astype(np.float32)
    unit /= np.linalg.norm(unit, axis=1, keepdims=True)
    found = nearest_neighbours(unit, 4)
    for i in range(K):
        others = sorted(
            (j for j in range(K) if j != i), key=lambda j: -unit[i] @ unit[j]
        )
        assert set(found[i]) == set(others[:4])


def test_a_step_moves_with_probability_beta_on_a_ring():
    angle = 2 * np.pi * np.arange(8) / 8 + 0.001 * np.arange(8)
    ring = 5 * np.stack([np.cos(angle), np.sin(angle)], axis=1)
    Q = np.asarray(matrix(transitions.nearest(ring, [0.3], neighbours=2), 0, 1))
    np.testing.assert_allclose(np.diag(Q), 0.7, rtol=1e-6)
    np.testing.assert_allclose(Q[0, [1, 7]], 0.15, rtol=1e-6)
    assert (Q[0, 2:7] == 0).all()


def test_hubs_leave_with_probability_beta_and_others_less_often():
    star = np.array([[1.0, 0], [1, 0.1], [1, -0.1], [1, 0.3], [1, -0.3]])
    Q = np.asarray(matrix(transitions.nearest(star, [0.4], neighbours=1), 0, 1))
    np.testing.assert_allclose(np.diag(Q).min(), 0.6, rtol=1e-6)
    np.testing.assert_allclose([Q.sum(0), Q.sum(1)], 1, rtol=1e-6)
    np.testing.assert_array_equal(Q, Q.T)


def test_law_of_the_number_of_jumps(x64):
    betas = np.array([0.2, 1.0, 0.0, 0.5])
    family = transitions.nearest(families.EMBEDDINGS, betas, neighbours=2)
    for s in range(5):
        for t in range(s, 5):
            law = np.array([1.0])
            for b in betas[s:t]:
                law = np.convolve(law, [1 - b, b])
            value = np.asarray(family.jump_law(s, t))
            np.testing.assert_allclose(value[: len(law)], law[: len(value)], atol=1e-15)
            np.testing.assert_allclose(value.sum(), 1, rtol=1e-14)


def test_gradient_of_a_walk_is_the_walk(x64):
    family = transitions.nearest(families.EMBEDDINGS, families.BETAS, neighbours=2)
    w = family.jump_law(2, 9)
    jacobian = jax.jit(jax.jacrev(lambda p: walk(family.graph, w, p)))(np.ones(6))
    np.testing.assert_allclose(jacobian, matrix(family, 2, 9), rtol=1e-13)


def test_memory_is_of_order_K_k():
    K, k = 2000, 5
    embeddings = RNG.normal(size=(K, 8))
    family = transitions.nearest(embeddings, np.full(100, 0.05), neighbours=k)
    state = sum(leaf.nbytes for leaf in jax.tree.leaves(family))
    assert state <= 4 * K * (k + 1) + 4 * 101 * 103 + 4
    log_p = jnp.full(K, -jnp.log(K))
    run = jax.jit(lambda family, log_p: family.forward(log_p, 3, 50))
    compiled = run.lower(family, log_p).compile()
    assert (
        compiled.memory_analysis().temp_size_in_bytes < K * K
    )  # a K x K has 4 times it


def test_retimed_shares_the_graph():
    family = transitions.nearest(families.EMBEDDINGS, families.BETAS, neighbours=2)
    other = transitions.retimed(family, families.FALLING)
    assert other.graph.neighbours is family.graph.neighbours
    expected = families.product(families.lazy(families.WALK, families.FALLING), 1, 4)
    np.testing.assert_allclose(matrix(other, 1, 4), expected, rtol=1e-6)


def test_a_mixture_keeps_the_structure_it_can():
    betas, w = families.BETAS, families.WEIGHTS
    near = transitions.nearest(families.EMBEDDINGS, betas, neighbours=2)
    uniform, absorbing = (
        transitions.uniform(betas, 6),
        transitions.absorbing(betas, 6, mask=1),
    )
    assert isinstance(transitions.mixture(near, uniform, w), Restart)
    # The walk moves masks: their law is not left alone, so this one needs matrices.
    assert isinstance(transitions.mixture(near, absorbing, w), Dense)
    steps = families.mixed(families.lazy(families.WALK), families.toward(families.FLAT))
    np.testing.assert_allclose(
        matrix(transitions.mixture(near, uniform, w), 1, 9),
        families.product(steps, 1, 9),
        rtol=1e-6,
    )


def test_weights_of_0_and_1_give_back_the_parts(x64):
    a = transitions.absorbing(families.BETAS, 6, mask=2)
    b = transitions.uniform(families.FALLING, 6)
    for weight, part in ((1.0, a), (0.0, b)):
        both = transitions.mixture(a, b, np.full(families.T, weight))
        got, want = matrix(both, 2, 9), matrix(part, 2, 9)
        np.testing.assert_allclose(got, want, rtol=1e-12)


def test_the_rates_of_a_uniform_family_give_it_back(x64):
    rate = np.full((6, 6), 1 / 6) - np.eye(6)
    betas = np.append(families.BETAS[:-1], 1.0)
    uniform = transitions.uniform(betas, 6)
    for make in (transitions.from_rate, transitions.from_eigenbasis):
        family = make(rate, betas)
        for s, t in families.PAIRS:
            expected = matrix(uniform, s, t)
            np.testing.assert_allclose(matrix(family, s, t), expected, rtol=1e-11)


def test_rates_need_no_factor_T():
    sizes = []
    for T in (10, 1000):
        family = transitions.from_rate(families.RATE, np.full(T, 1 / T))
        sizes.append(sum(leaf.nbytes for leaf in jax.tree.leaves(family)))
    assert sizes[1] - sizes[0] == 8 * 990
