"""The model's own likelihood, by summing over every path, and the bound below it."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from d3pm import exact, tables

from diffjax.d3pm import predict

D, K, T = 2, 3, 3
STATES = exact.states(K, D)
RNG = np.random.default_rng(7)
NETWORK = RNG.normal(size=(T + 1, len(STATES), D, K))  # any function of (x_t, t)


def denoise(x_t, t):
    return jnp.asarray(NETWORK)[t, x_t[0] * K + x_t[1]]


def reverse_matrices(family, parameterization):
    """p(x_{t-1} | x_t) over whole states, [T, K^D, K^D], t = 1..T; NumPy products."""
    laws = []
    for t in range(1, T + 1):
        each = jax.vmap(lambda x, t=t: parameterization(family, denoise(x, t), x, t))
        p = np.exp(np.asarray(each(jnp.asarray(STATES))))  # [K^D, D, K]
        laws.append(np.stack([p[:, i][:, STATES[:, i]] for i in range(D)]).prod(0))
    return np.stack(laws)


def start(family):
    prior = np.exp(np.asarray(family.log_prior()))
    return prior[STATES].prod(-1)


def forward_matrices(family):
    Q = tables.products(family)
    steps = [Q[t - 1, t] for t in range(1, T + 1)]
    return np.stack(
        [q[STATES[:, None], STATES[None]].prod(-1) for q in steps]
    )  # [T, K^D, K^D]


def nelbo(family, parameterization, x_0):
    point, one = x_0[None], np.ones(1)
    terms = exact.expected_terms(denoise, family, point, one, predict=parameterization)
    return terms.sum() + exact.expected_prior(family, point, one)


@pytest.mark.parametrize("law", [tables.uniform, tables.banded, tables.random])
@pytest.mark.parametrize("parameterization", [predict.joint, predict.posterior_mean])
def test_the_bound_is_the_likelihood_less_the_path_divergence(law, parameterization):
    family = law(T, K)
    p, q = reverse_matrices(family, parameterization), forward_matrices(family)
    likelihood = start(family) @ p[2] @ p[1] @ p[0]
    np.testing.assert_allclose(likelihood.sum(), 1, rtol=1e-12)
    paths = np.array(list(itertools.product(range(len(STATES)), repeat=T)))
    x_1, x_2, x_3 = paths.T
    for x_0 in range(len(STATES)):
        model = start(family)[x_3] * p[2][x_3, x_2] * p[1][x_2, x_1] * p[0][x_1, x_0]
        np.testing.assert_allclose(model.sum(), likelihood[x_0], rtol=1e-12)
        noise = q[0][x_0, x_1] * q[1][x_1, x_2] * q[2][x_2, x_3]
        real = noise > 0
        gap = np.sum(noise[real] * np.log(noise[real] * likelihood[x_0] / model[real]))
        cost = nelbo(family, parameterization, STATES[x_0])
        assert cost >= -np.log(likelihood[x_0])
        np.testing.assert_allclose(cost, gap - np.log(likelihood[x_0]), rtol=1e-10)


def test_absorbing_paths():
    """The mask is among the states; what has no mass on it is a law on the data."""
    family = tables.absorbing(T, K)
    masked = predict.carried_over(predict.zero_masked(denoise, mask=2), mask=2)
    laws = []
    for t in range(1, T + 1):
        each = jax.vmap(lambda x, t=t: predict.joint(family, masked(x, t), x, t))
        p = np.exp(np.asarray(each(jnp.asarray(STATES))))
        laws.append(np.stack([p[:, i][:, STATES[:, i]] for i in range(D)]).prod(0))
    # States that hold a token at T have no past; nothing starts there.
    possible = start(family) > 0
    p_0 = np.nan_to_num(start(family)) @ laws[2] @ laws[1] @ laws[0]
    clean = (STATES != 2).all(-1)
    np.testing.assert_allclose(p_0[clean].sum(), 1, rtol=1e-12)
    assert (p_0[~clean] == 0).all() and possible.sum() == 1
    for x_0, likelihood in zip(STATES[clean], p_0[clean], strict=True):
        point, one = x_0[None], np.ones(1)
        terms = exact.expected_terms(masked, family, point, one, predict=predict.joint)
        assert terms.sum() >= -np.log(likelihood)
        assert terms.sum() < -np.log(likelihood) + 1
