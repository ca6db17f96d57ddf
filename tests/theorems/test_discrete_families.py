"""One token: every family of the library has the entropy for a bound, at any T."""

import jax.numpy as jnp
import numpy as np
import pytest
from d3pm import exact, tables

from diffjax.core import oracle
from diffjax.d3pm import predict, transitions

P = np.array([0.05, 0.4, 0.25, 0.3])
POINTS = np.arange(4)[:, None]
K = 5


def inverse(T):
    return 1 / np.arange(T, 0, -1)


def rising(T):
    return np.linspace(0.3, 0.9, T)


def matrices(T):
    rng = np.random.default_rng(T)
    return transitions.from_matrices(rng.dirichlet(np.ones(K), size=(T, K)))


FAMILIES = {
    "uniform": lambda T: transitions.uniform(inverse(T), K),
    "uniform, short": lambda T: transitions.uniform(np.full(T, 0.3), K),
    "absorbing": lambda T: transitions.absorbing(inverse(T), K, mask=K - 1),
    "marginal": lambda T: transitions.marginal(inverse(T), np.arange(1, 6) / 15),
    "matrices": matrices,
}
EMBEDDINGS = np.random.default_rng(0).normal(size=(K, 3))
COSTLY = {
    "gaussian": lambda T: transitions.gaussian(rising(T), K),
    "banded": lambda T: transitions.banded(rising(T), K, width=2),
    "nearest": lambda T: transitions.nearest(EMBEDDINGS, rising(T), neighbours=2),
    "masks and uniform": lambda T: transitions.mixture(
        transitions.absorbing(inverse(T), K, mask=K - 1),
        transitions.uniform(rising(T), K),
        rising(T),
    ),
    "masks and moves": lambda T: transitions.mixture(
        transitions.with_mask(transitions.gaussian(rising(T), K - 1)),
        transitions.absorbing(inverse(T), K, mask=K - 1),
        rising(T),
    ),
    "rates": lambda T: transitions.from_eigenbasis(np.eye(K) * -1 + 1 / K, rising(T)),
}
CASES = [(name, T) for name in FAMILIES for T in (1, 2, 3, 10)]
CASES += [(name, T) for name in COSTLY for T in (1, 3)]


@pytest.mark.parametrize("name, T", CASES)
def test_oracle_bound_is_the_entropy(name, T):
    family = (FAMILIES | COSTLY)[name](T)
    q_T = np.append(P, 0) @ tables.from_data(family)[-1]
    log_pi = np.asarray(family.log_prior())
    seen = q_T > 0
    floor = np.sum(q_T[seen] * (np.log(q_T[seen]) - log_pi[seen]))
    if name in ("uniform", "absorbing", "marginal"):
        assert abs(floor) < 1e-12  # all is forgotten at T
    data = jnp.asarray(POINTS), family
    for make, parameterization in (
        (oracle.discrete_leave_one_out, predict.joint),
        (oracle.discrete_denoiser, predict.posterior_mean),
    ):
        denoise = make(*data, log_weights=jnp.log(P))
        terms = exact.expected_terms(
            denoise, family, POINTS, P, predict=parameterization
        )
        total = terms.sum() + exact.expected_prior(family, POINTS, P)
        np.testing.assert_allclose(total, exact.entropy(P) + floor, rtol=1e-9)
