"""Every mistake in the inputs of a family is named, with what to do about it."""

import jax.numpy as jnp
import numpy as np
import pytest

from d3pm import families
from diffjax.d3pm import transitions

BETAS = [0.1, 0.2, 0.3]
FAMILY = transitions.uniform(BETAS, 4)
EYE = np.eye(3)[None]
POINTS = families.EMBEDDINGS
WALK = transitions.nearest(POINTS, BETAS, neighbours=2)
LEFT = np.array([[0.5, 0.5], [0.5, 0.5]]) * [[1.2], [0.9]]
WRONG = {
    "betas above 1": (lambda: transitions.uniform([0.1, 1.1], 4), "in .0, 1."),
    "betas below 0": (lambda: transitions.gaussian([-0.1], 4), "in .0, 1."),
    "betas not finite": (lambda: transitions.uniform([0.1, np.nan], 4), "at t = 2"),
    "betas of the wrong shape": (lambda: transitions.uniform([[0.1]], 4), r"\[T\]"),
    "no betas": (lambda: transitions.uniform([], 4), "shape"),
    "one category": (lambda: transitions.uniform(BETAS, 1), "K >= 2"),
    "K not an integer": (lambda: transitions.banded(BETAS, 4.0, width=1), "K >= 2"),
    "mask too large": (lambda: transitions.absorbing(BETAS, 4, mask=4), "0..3, got 4"),
    "mask negative": (lambda: transitions.absorbing(BETAS, 4, mask=-1), "0..3, got -1"),
    "pi sums to 2": (lambda: transitions.marginal(BETAS, [1.0, 1.0]), "sum to 1"),
    "pi negative": (lambda: transitions.marginal(BETAS, [1.5, -0.5]), "not negative"),
    "pi a matrix": (lambda: transitions.marginal(BETAS, np.eye(2)), r"shape \[K\]"),
    "rows": (lambda: transitions.from_matrices(LEFT[None]), "1.2 in row 0 at t = 1"),
    "Q negative": (lambda: transitions.from_matrices(2 * EYE - 1), "probabilities"),
    "Q of one step": (lambda: transitions.from_matrices(np.eye(3)), r"\[T, K, K\]"),
    "Q not square": (lambda: transitions.from_matrices(EYE[:, :2]), r"\[T, K, K\]"),
    "width 0": (lambda: transitions.banded(BETAS, 4, width=0), "1..3, got 0"),
    "width K": (lambda: transitions.banded(BETAS, 4, width=4), "1..3, got 4"),
    "k": (lambda: transitions.nearest(POINTS, BETAS, neighbours=6), "1..5, got 6"),
    "a zero vector": (
        lambda: transitions.nearest(0 * POINTS, BETAS, neighbours=2),
        "not zero",
    ),
    "one embedding": (
        lambda: transitions.nearest(POINTS[0], BETAS, neighbours=2),
        r"\[K, D\]",
    ),
    "mixture of two K": (
        lambda: transitions.mixture(FAMILY, WALK, [0.5] * 3),
        "one K, got 4 and 6; with_mask",
    ),
    "mixture of two T": (
        lambda: transitions.mixture(FAMILY, FAMILY, [0.5] * 2),
        "one T, got 3, 3 and 2",
    ),
    "weights": (lambda: transitions.mixture(FAMILY, FAMILY, [2] * 3), "weights in"),
    "a mixture too large": (
        lambda: transitions.mixture(
            transitions.with_mask(transitions.uniform(BETAS, 20_000)),
            transitions.uniform(BETAS, 20_001),
            [0.5] * 3,
        ),
        "without matrices",
    ),
    "rates": (lambda: transitions.from_rate(np.ones((3, 3)), BETAS), "sum to 0"),
    "no rates": (lambda: transitions.from_rate(np.zeros((3, 3)), BETAS), "not all 0"),
    "rates of one state": (lambda: transitions.from_rate([[0.0]], BETAS), "K >= 2"),
    "rates in a circle": (
        lambda: transitions.from_eigenbasis(
            np.roll(np.eye(3), 1, 1) - np.eye(3), BETAS
        ),
        "from_rate takes any",
    ),
    "s after t": (lambda: FAMILY.matrix(2, 1), "s <= t, got s = 2, t = 1"),
    "t above T": (lambda: FAMILY.between(0, 4), "T = 3, got t = 4"),
    "s below 0": (lambda: WALK.matrix(-1, 2), "got s = -1"),
    "t a fraction": (lambda: FAMILY.matrix(0, 0.5), "integer t"),
    "a token of K": (lambda: FAMILY.row(jnp.asarray([4]), 0, 1), "0..3"),
    "a token below 0": (lambda: WALK.column(jnp.asarray([-1]), 0, 1), "0..5"),
    "a token that is not one": (lambda: FAMILY.row(jnp.ones(2), 0, 1), "integer"),
    "a law over others": (lambda: FAMILY.forward(jnp.zeros(5), 0, 1), "K = 4"),
    "tokens as a law": (lambda: WALK.forward(jnp.zeros(6, int), 0, 1), "floating|log"),
}


@pytest.mark.parametrize("mistake", WRONG)
def test_mistakes_are_named(mistake):
    run, message = WRONG[mistake]
    with pytest.raises(ValueError, match=f"expected .*got.*|{message}") as error:
        run()
    assert error.match(message)
