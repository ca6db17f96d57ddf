"""Betas from survivals, and from measured information under a unigram."""

import functools

import jax
import numpy as np
import pytest

from diffjax.core import schedules as core_schedules
from diffjax.d3pm import schedules, transitions

K = 5
RNG = np.random.default_rng(0)
UNIGRAM = RNG.dirichlet(np.ones(K))
PI = RNG.dirichlet(np.ones(K))
EMBEDDINGS = RNG.normal(size=(K, 3))
FAMILIES = {
    "uniform": (lambda b: transitions.uniform(b, K), 0),
    "marginal": (lambda b: transitions.marginal(b, PI), 0),
    "gaussian": (lambda b: transitions.gaussian(b, K), 0.2),
    "banded": (lambda b: transitions.banded(b, K, width=2), 0.5),
    "nearest": (lambda b: transitions.nearest(EMBEDDINGS, b, neighbours=2), 0.3),
}


def information(family, unigram, t):
    """I(x_0; x_t) / H(x_0), from three entropies in NumPy."""
    joint = unigram[:, None] * np.asarray(family.matrix(0, t), np.float64)

    def entropy(p):
        p = p[p > 0]
        return -np.sum(p * np.log(p))

    before, after = entropy(joint.sum(1)), entropy(joint.sum(0))
    return (before + after - entropy(joint)) / entropy(unigram)


@pytest.mark.parametrize("T", [1, 2, 25])
def test_information_schedule_of_the_mask_is_inverse(T):
    with_mask = np.append(UNIGRAM, 0)

    def family(betas):
        return transitions.absorbing(betas, K + 1, mask=K)

    betas = schedules.mutual_information(family, with_mask, T)
    np.testing.assert_allclose(betas, 1 / np.arange(T, 0, -1), rtol=1e-9)
    np.testing.assert_allclose(betas, core_schedules.inverse(T).beta[1:], rtol=1e-6)


@pytest.mark.parametrize("name", FAMILIES)
def test_information_falls_on_a_line(name, x64):
    family, remaining = FAMILIES[name]
    T = 12
    betas = schedules.mutual_information(family, UNIGRAM, T, remaining=remaining)
    chain = family(betas)
    measured = [information(chain, UNIGRAM, t) for t in range(T + 1)]
    np.testing.assert_allclose(measured, np.linspace(1, remaining, T + 1), atol=1e-10)


def test_information_is_what_three_entropies_say():
    family = transitions.marginal(np.linspace(0.1, 0.5, 4), PI)
    entropy = -np.sum(UNIGRAM * np.log(UNIGRAM))
    run = jax.jit(functools.partial(schedules.information, family, UNIGRAM))
    for t in range(5):
        value = run(t) / entropy
        np.testing.assert_allclose(value, information(family, UNIGRAM, t), atol=1e-6)


@pytest.mark.parametrize(
    "betas, alpha_bar",
    [
        (schedules.log_linear(8), lambda u: 1 - 0.999 * u),
        (schedules.log_linear(8, alpha_min=0), lambda u: 1 - u),
        (schedules.polynomial(8, power=2.5), lambda u: 1 - u**2.5),
        (schedules.geometric(8), lambda u: np.exp(1e-4 - 1e-4 ** (1 - u) * 20**u)),
        (schedules.from_survival(lambda u: np.cos(u), 8), np.cos),
    ],
)
def test_survivals_are_met(betas, alpha_bar):
    expected = alpha_bar(np.arange(1, 9) / 8)
    np.testing.assert_allclose(np.cumprod(1 - betas), expected, rtol=1e-9, atol=1e-15)
    assert betas.dtype == np.float64 and (betas >= 0).all() and (betas <= 1).all()


def test_a_line_to_zero_is_inverse():
    expected = 1 / np.arange(8, 0, -1)
    np.testing.assert_allclose(schedules.polynomial(8, power=1), expected)
    np.testing.assert_allclose(schedules.log_linear(8, alpha_min=0), expected)


def test_a_survival_may_end_early():
    betas = schedules.from_survival(lambda u: np.maximum(1 - 2 * u, 0), 4)
    np.testing.assert_allclose(betas, [0.5, 1, 1, 1])


WRONG = {
    "from 2": (lambda: schedules.from_survival(lambda u: 2 - u, 4), "fall from 1"),
    "rising": (lambda: schedules.from_survival(lambda u: 1 + u, 4), "fall from 1"),
    "negative": (lambda: schedules.from_survival(lambda u: 1 - 2 * u, 4), "least -1"),
    "one value": (lambda: schedules.from_survival(lambda u: 1.0, 4), "5 finite values"),
    "T": (lambda: schedules.log_linear(0), "T >= 1"),
    "alpha_min": (lambda: schedules.log_linear(4, alpha_min=1.0), "alpha_min in"),
    "power": (lambda: schedules.polynomial(4, power=0), "power > 0"),
    "sigma": (lambda: schedules.geometric(4, sigma_min=0), "0 < sigma_min"),
    "certainty": (
        lambda: schedules.mutual_information(FAMILIES["uniform"][0], np.eye(K)[0], 4),
        "entropy > 0",
    ),
    "remaining": (
        lambda: schedules.mutual_information(
            FAMILIES["uniform"][0], UNIGRAM, 4, remaining=1
        ),
        "remaining in",
    ),
    "cannot forget": (
        lambda: schedules.mutual_information(FAMILIES["banded"][0], UNIGRAM, 2),
        "more `remaining`",
    ),
}


@pytest.mark.parametrize("mistake", WRONG)
def test_mistakes_are_named(mistake):
    run, message = WRONG[mistake]
    with pytest.raises(ValueError, match=message):
        run()
