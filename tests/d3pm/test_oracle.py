"""The discrete oracles against sums over the data set, written as loops."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from d3pm import exact, tables
from diffjax.core import oracle
from diffjax.d3pm import predict

T, K, D = 3, 4, 3
POINTS = np.array([[0, 1, 2], [0, 0, 1], [2, 1, 0], [1, 1, 1], [2, 2, 0]])
WEIGHTS = np.array([0.3, 0.1, 0.25, 0.15, 0.2])


def brute(Q, x_t, *, leave_out):
    """p(x_0_i = k | x_t) or without x_t_i, [D, K]; None where impossible."""
    p = np.zeros((D, K))
    for i in range(D):
        for x, w in zip(POINTS, WEIGHTS, strict=True):
            others = [j for j in range(D) if not (leave_out and j == i)]
            p[i, x[i]] += w * np.prod([Q[x[j], x_t[j]] for j in others])
    return None if (p.sum(-1) == 0).any() else p / p.sum(-1, keepdims=True)


@functools.partial(jax.jit, static_argnums=0)
def beliefs(make, family, x_t, t):
    """What an oracle says of each of several x_t, its data weighed."""
    denoise = make(POINTS, family, log_weights=jnp.log(WEIGHTS))
    return jax.vmap(denoise, in_axes=(0, None))(x_t, t)


@pytest.mark.parametrize("law", tables.LAWS)
@pytest.mark.parametrize("leave_out", [False, True])
def test_oracle_is_bayes_rule(law, leave_out, x64):
    family = law(T, K)
    make = oracle.discrete_leave_one_out if leave_out else oracle.discrete_denoiser
    Q, every = tables.products(family)[0], exact.states(K, D)
    checked = 0
    for t in (1, 2, 3):
        each = np.exp(beliefs(make, family, every, t))
        for x_t, got in zip(every, each, strict=True):
            want = brute(Q[t], x_t, leave_out=leave_out)
            np.testing.assert_allclose(got.sum(-1), 1, rtol=1e-12)
            if want is not None:
                np.testing.assert_allclose(got, want, atol=1e-12)
                checked += 1
    assert checked >= 10


@pytest.mark.parametrize("law", [tables.uniform, tables.marginal])
def test_the_two_targets_are_related_by_one_likelihood(law, x64):
    family = law(T, K)

    @jax.jit
    def both(x_t, t):
        full = oracle.discrete_denoiser(POINTS, family)
        alone = oracle.discrete_leave_one_out(POINTS, family)
        again = predict.full_posterior(family, alone(x_t, t), x_t, t)
        return jnp.exp(again), jnp.exp(full(x_t, t))

    np.testing.assert_allclose(*both(np.array([3, 1, 0]), 2), atol=1e-12)


def test_impossible_evidence_leaves_the_data_law(x64):
    family = tables.absorbing(T, K)
    x_t = np.array([[1, 2, 0]])
    p = np.exp(beliefs(oracle.discrete_denoiser, family, x_t, 1))[0]
    want = [[WEIGHTS[POINTS[:, i] == k].sum() for k in range(K)] for i in range(D)]
    np.testing.assert_allclose(p, want, atol=1e-12)


def test_images_have_the_same_oracle(x64):
    family = tables.uniform(T, K)
    square = POINTS[:, None, :, None]
    for make in (oracle.discrete_denoiser, oracle.discrete_leave_one_out):

        @jax.jit
        def both(x_t, t, make=make):
            b = make(square, family)(x_t[None, :, None], t)
            return make(POINTS, family)(x_t, t), b[0, :, 0]

        np.testing.assert_allclose(*both(np.array([3, 1, 0]), 2), atol=1e-12)


def test_weights_of_the_wrong_shape():
    family = tables.uniform(T, K)
    with pytest.raises(ValueError, match=r"expected log_weights \[5\]"):
        oracle.discrete_denoiser(
            jnp.asarray(POINTS), family, log_weights=jnp.zeros((5, 1))
        )
