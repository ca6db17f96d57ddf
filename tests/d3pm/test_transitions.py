"""Every family against products of its one-step matrices, written out in NumPy."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from d3pm import families
from d3pm.families import FAMILIES, PAIRS, T
from diffjax.d3pm import transitions

NAMES = list(FAMILIES)
CANCELS = "from_eigenbasis"  # its error is relative to 1, not to the entry
TRACES = []


@jax.jit
def operators(family, log_p, x, s, t):
    """All four, for any family: compiled once for each."""
    TRACES.append(type(family))
    law = family.forward(log_p, s, t)
    return family.matrix(s, t), family.row(x, s, t), family.column(x, s, t), law


def built(name):
    """A family and its steps; made once in each precision."""
    return _built(name, jax.config.jax_enable_x64)


@functools.cache
def _built(name, x64):
    build, steps = FAMILIES[name]
    return build(), steps()


def evidence(K):
    """Laws, one of them with an impossible token, and every token."""
    p = np.random.default_rng(1).dirichlet(np.ones(K), (2, 3))
    p[0, 0, 0] = 0
    return p / p.sum(-1, keepdims=True), np.arange(2 * K).reshape(2, K) % K


def evaluate(family, s, t):
    p, x = evidence(family.K)
    # Of one dtype, also where they are Python's integers: one program for all.
    return operators(family, families.log(p), x, np.asarray(s), np.asarray(t))


@pytest.fixture(params=[False, True], ids=["float32", "float64"])
def precision(request):
    with jax.enable_x64(request.param):
        yield 1e-12 if request.param else 1e-6


@pytest.mark.parametrize("name", NAMES)
def test_matrix_is_the_product_of_its_steps(name, precision):
    family, Q = built(name)
    assert (family.T, family.K) == Q.shape[:2]
    atol = 100 * precision if name == CANCELS else 0
    for s, t in PAIRS:
        expected = families.product(Q, s, t)
        value = np.asarray(evaluate(family, s, t)[0])
        np.testing.assert_allclose(value, expected, rtol=precision, atol=atol)
        assert ((value == 0) == (expected == 0)).all()
        np.testing.assert_allclose(value.sum(1), 1, rtol=precision)
        assert (value >= 0).all()
        if name in families.DOUBLY_STOCHASTIC:
            np.testing.assert_allclose(value.sum(0), 1, rtol=2 * precision)


@pytest.mark.parametrize("name", NAMES)
def test_chapman_kolmogorov(name, precision):
    family, _ = built(name)
    draws = np.random.default_rng(0).integers(0, T + 1, (8, 3))
    atol = 100 * precision if name == CANCELS else 0
    for r, s, t in np.sort(draws):
        first, second, both = (
            np.asarray(evaluate(family, *pair)[0], np.float64)
            for pair in ((r, s), (s, t), (r, t))
        )
        np.testing.assert_allclose(first @ second, both, rtol=precision, atol=atol)


@pytest.mark.parametrize("name", NAMES)
def test_row_column_and_forward_are_logs_of_the_matrix(name, precision):
    family, Q = built(name)
    p, x = evidence(family.K)
    atol = (1e3 if name == CANCELS else 3) * precision
    for s, t in PAIRS:
        Q_st = families.product(Q, s, t)
        expected = (
            families.log(Q_st[x]),
            families.log(Q_st.T[x]),
            families.log(p @ Q_st),
        )
        for value, truth in zip(evaluate(family, s, t)[1:], expected, strict=True):
            np.testing.assert_allclose(value, truth, rtol=3 * precision, atol=atol)


@pytest.mark.parametrize("name", NAMES)
def test_s_and_t_are_traced_and_one_program_serves_all(name):
    family, _ = built(name)
    before = len(TRACES)
    for s, t in PAIRS:
        evaluate(family, s, t)
    assert len(TRACES) <= before + 1


@pytest.mark.parametrize("name", ["banded", "nearest"])
def test_operators_agree_in_eager_mode(name):
    family, _ = built(name)
    x = jnp.asarray([0, family.K - 1])
    Q = families.product(built(name)[1], 2, 5)
    np.testing.assert_allclose(np.exp(family.row(x, 2, 5)), Q[x], rtol=1e-5)
    np.testing.assert_allclose(np.exp(family.column(x, 2, 5)), Q.T[x], rtol=1e-5)
    law = family.forward(jnp.log(jnp.full(family.K, 1 / family.K)), 2, 5)
    np.testing.assert_allclose(np.exp(law), Q.mean(0), rtol=1e-5)


@pytest.mark.parametrize("name", [n for n in NAMES if n != "masks and uniform"])
def test_prior_is_what_the_chain_leaves_as_it_is(name, x64):
    family, _ = built(name)
    pi = np.exp(family.log_prior())
    np.testing.assert_allclose(pi.sum(), 1, rtol=1e-12)
    Q_bar = np.asarray(evaluate(family, 0, T)[0])
    np.testing.assert_allclose(pi @ Q_bar, pi, atol=1e-12)


def test_prior_of_a_changing_mixture_is_where_its_replaced_tokens_are(x64):
    family, Q = built("masks and uniform")
    Q_bar = families.product(Q, 0, T)
    kept = np.asarray(family.between(0, T)[0])
    expected = (Q_bar - kept * np.eye(family.K)) / (1 - kept)
    np.testing.assert_allclose(
        np.tile(np.exp(family.log_prior()), (family.K, 1)), expected, atol=1e-13
    )


@pytest.mark.parametrize("name", ["marginal", "gaussian", "nearest"])
def test_a_batch_of_times_is_a_vmap(name):
    family, _ = built(name)
    s, t = np.array([0, 3, 4, 2]), np.array([5, 4, 19, 2])
    x = np.array([[0], [1], [2], [3]])
    batched = np.asarray(jax.jit(jax.vmap(family.row))(x, s, t))
    alone = jax.jit(family.row)
    for i in range(4):
        expected = alone(x[i], s[i], t[i])
        np.testing.assert_allclose(batched[i], expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", NAMES)
def test_gradient_is_finite_at_impossible_entries_and_right_elsewhere(name, x64):
    family, _ = built(name)
    impossible = np.arange(family.K) == 1
    logits = np.random.default_rng(2).normal(size=family.K)
    weight = np.random.default_rng(3).normal(size=family.K)

    def loss(logits, t):
        log_p = jax.nn.log_softmax(jnp.where(impossible, -jnp.inf, logits))
        law = family.forward(log_p, 0, t)
        return jnp.sum(jnp.where(law > -jnp.inf, law, 0) * weight)

    both = jax.jit(lambda *args: (loss(*args), jax.grad(loss)(*args)))
    for t in (0, 1, 7):
        _, gradient = both(logits, t)
        assert np.isfinite(gradient).all()
        ends = [both(logits + 1e-6 * sign * weight, t)[0] for sign in (1, -1)]
        expected = (ends[0] - ends[1]) / 2e-6
        np.testing.assert_allclose(np.sum(gradient * weight), expected, rtol=1e-6)


@pytest.mark.parametrize("name", ["banded", "nearest", "from_matrices"])
def test_what_underflows_is_bounded_from_below_and_has_a_gradient(name):
    family, steps = built("banded")
    on_a_line = np.stack([np.cos(np.arange(6) / 4), np.sin(np.arange(6) / 4)], axis=1)
    if name == "nearest":
        family = transitions.nearest(on_a_line, families.BETAS, neighbours=1)
        steps = families.lazy(families.jump_matrix(on_a_line, 1))
    elif name == "from_matrices":
        family = transitions.from_matrices(steps)
    logits = np.where(np.arange(6) == 0, 0.0, -300.0)

    def far(logits):  # one step does not get from 0 to 5
        return family.forward(jax.nn.log_softmax(logits), 0, 1)[5]

    exact = families.log(np.exp(logits) @ steps[0])[5]
    value, gradient = jax.jit(jax.value_and_grad(far))(logits)
    np.testing.assert_allclose(value, exact, atol=0.02)
    assert value <= exact + 1e-3
    np.testing.assert_allclose(gradient, np.eye(6)[5] - np.eye(6)[0], atol=1e-6)


def test_the_program_holds_no_tables():
    family = transitions.gaussian(np.full(50, 0.01), 64)  # 200 kB a step
    log_p, x = jnp.zeros((4, 64)), jnp.zeros(4, int)

    def both(family, log_p, x, s, t):
        return family.forward(log_p, 0, s) + family.column(x, s, t)

    lowered = jax.jit(both).lower(family, log_p, x, 3, 4).as_text()
    assert len(lowered) < 200_000
    baked = jax.jit(lambda s: both(family, log_p, x, s, 4)).lower(3).as_text()
    assert len(baked) > 1_000_000  # so this test would see a constant


def test_families_are_pytrees():
    for name in NAMES:
        family, _ = built(name)
        leaves, tree = jax.tree.flatten(family)
        again = jax.tree.unflatten(tree, leaves)
        assert (again.K, again.T) == (family.K, family.T)
        assert all(isinstance(leaf, jax.Array) for leaf in leaves)
