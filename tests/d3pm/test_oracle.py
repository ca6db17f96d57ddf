"""The discrete oracles against sums over the data set, written as loops."""

import jax.numpy as jnp
import numpy as np
import pytest

from d3pm import tables
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


@pytest.mark.parametrize("law", tables.LAWS)
@pytest.mark.parametrize("leave_out", [False, True])
def test_oracle_is_bayes_rule(law, leave_out, x64):
    family = law(T, K)
    make = oracle.discrete_leave_one_out if leave_out else oracle.discrete_denoiser
    denoise = make(jnp.asarray(POINTS), family, log_weights=jnp.log(WEIGHTS))
    checked = 0
    for t in (1, 2, 3):
        for x_t in np.ndindex(*(K,) * D):
            want = brute(tables.products(family)[0, t], x_t, leave_out=leave_out)
            got = np.exp(denoise(jnp.asarray(x_t), jnp.asarray(t)))
            np.testing.assert_allclose(got.sum(-1), 1, rtol=1e-12)
            if want is not None:
                np.testing.assert_allclose(got, want, atol=1e-12)
                checked += 1
    assert checked >= 10


@pytest.mark.parametrize("law", [tables.uniform, tables.marginal])
def test_the_two_targets_are_related_by_one_likelihood(law, x64):
    family = law(T, K)
    args = jnp.asarray(POINTS), family
    full, alone = oracle.discrete_denoiser(*args), oracle.discrete_leave_one_out(*args)
    x_t, t = jnp.asarray([3, 1, 0]), jnp.asarray(2)
    np.testing.assert_allclose(
        np.exp(predict.full_posterior(family, alone(x_t, t), x_t, t)),
        np.exp(full(x_t, t)),
        atol=1e-12,
    )


def test_impossible_evidence_leaves_the_data_law(x64):
    family = tables.absorbing(T, K)
    denoise = oracle.discrete_denoiser(
        jnp.asarray(POINTS), family, log_weights=jnp.log(WEIGHTS)
    )
    p = np.exp(denoise(jnp.asarray([1, 2, 0]), jnp.asarray(1)))
    want = [[WEIGHTS[POINTS[:, i] == k].sum() for k in range(K)] for i in range(D)]
    np.testing.assert_allclose(p, want, atol=1e-12)


def test_images_have_the_same_oracle(x64):
    family = tables.uniform(T, K)
    flat, square = jnp.asarray(POINTS), jnp.asarray(POINTS)[:, None, :, None]
    x_t, t = jnp.asarray([3, 1, 0]), jnp.asarray(2)
    for make in (oracle.discrete_denoiser, oracle.discrete_leave_one_out):
        a, b = make(flat, family)(x_t, t), make(square, family)(x_t[None, :, None], t)
        np.testing.assert_allclose(a, b[0, :, 0], atol=1e-12)


def test_weights_of_the_wrong_shape():
    family = tables.uniform(T, K)
    with pytest.raises(ValueError, match=r"expected log_weights \[5\]"):
        oracle.discrete_denoiser(
            jnp.asarray(POINTS), family, log_weights=jnp.zeros((5, 1))
        )
