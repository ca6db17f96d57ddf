"""Rank-one families over long chains, at the ends of [0, 1], and their size."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from diffjax.core import schedules
from diffjax.d3pm import transitions
from diffjax.d3pm.transitions import survival as survivals

T = 1000
CHAINS = {
    "tiny": np.full(T, 1e-6),
    "linear": np.linspace(1e-4, 0.02, T),
    "inverse": 1 / np.arange(T, 0, -1),
    "cosine": np.asarray(schedules.cosine_d3pm(T).beta[1:], np.float64),
    "heavy": np.full(T, 0.9),
    "wild": np.random.default_rng(0).uniform(0, 0.5, T) ** 6,
}
PAIRS = [(0, 1), (0, 2), (3, 5), (499, 501), (500, 900), (997, 999), (0, 999)]


@pytest.mark.parametrize("name", CHAINS)
@pytest.mark.parametrize("x64", [False, True])
def test_every_stretch_keeps_its_digits(name, x64):
    """alpha and 1 - alpha, both to the last digits, for near and far s and t."""
    betas = CHAINS[name].astype(np.longdouble)
    keeps = np.log1p(-betas[:-1])  # the last may be 1
    with jax.enable_x64(x64):
        tables = survivals.survival(CHAINS[name])
        for s, t in PAIRS:
            log_alpha = np.sum(keeps[s:t])
            expected = np.float64(np.exp(log_alpha)), np.float64(-np.expm1(log_alpha))
            rtol = (2e-15 if x64 else 5e-7) * (1 + (t - s) * 1e-3 * x64)
            values = survivals.between(tables, s, t)
            np.testing.assert_allclose(values, expected, rtol=rtol, atol=1e-36)
            log_values = survivals.log_between(tables, s, t)
            # Below e^-999 nothing is kept, as after a step with beta = 1.
            kept = np.float64(log_alpha) if log_alpha > -999 else -np.inf
            log_expected = kept, np.log(expected[1])
            np.testing.assert_allclose(log_values, log_expected, rtol=rtol, atol=rtol)


def test_one_step_gives_the_betas_back(x64):
    for betas in CHAINS.values():
        tables = survivals.survival(betas)
        np.testing.assert_allclose(
            survivals.one_step(tables), betas, rtol=1e-11, atol=1e-25
        )


def test_steps_that_replace_nothing_or_everything():
    family = transitions.absorbing([0, 1, 0.5, 1, 0, 0.25], 3, mask=0)
    expected = {(0, 1): 1, (0, 2): 0, (1, 2): 0, (2, 3): 0.5, (2, 4): 0, (4, 5): 1}
    expected |= {(4, 6): 0.75, (0, 6): 0, (3, 3): 1, (5, 6): 0.75}
    for (s, t), alpha in expected.items():
        kept, replaced = family.between(s, t)
        np.testing.assert_allclose([kept, replaced], [alpha, 1 - alpha], rtol=1e-6)
        assert (kept == 0) == (alpha == 0) and (replaced == 0) == (alpha == 1)
        # Structural zeros: nothing leaves the mask, and with alpha = 0 nothing stays.
        row = np.exp(family.row(jnp.asarray([0, 1]), s, t))
        np.testing.assert_allclose(row, [[1, 0, 0], [1 - alpha, alpha, 0]], rtol=1e-6)
        assert (row[0, 1:] == 0).all() and row[1, 2] == 0


def test_mask_inside_or_as_an_extra_token():
    inside = transitions.absorbing([0.5], 3, mask=1)
    np.testing.assert_allclose(
        inside.matrix(0, 1), [[0.5, 0.5, 0], [0, 1, 0], [0, 0.5, 0.5]]
    )
    extra = transitions.absorbing([0.5], 3, mask=2)
    np.testing.assert_allclose(extra.log_prior(), [-np.inf, -np.inf, 0])


@pytest.mark.parametrize("K", [2, 50_257])
def test_state_does_not_grow_with_the_vocabulary(K):
    def size(family):
        return sum(leaf.nbytes for leaf in jax.tree.leaves(family))

    betas, weights = CHAINS["linear"], np.full(T, 0.5)
    uniform, absorbing = (
        transitions.uniform(betas, K),
        transitions.absorbing(betas, K, mask=K - 1),
    )
    assert size(uniform) == size(absorbing) == 8 * (T + 1)
    assert size(transitions.mixture(uniform, absorbing, weights)) <= 16 * 1024


def test_a_large_vocabulary_is_one_pass_over_the_logits():
    K = 50_257
    family = transitions.absorbing(1 / np.arange(8, 0, -1), K, mask=K - 1)
    log_p = jnp.full((2, K), -jnp.log(K))

    def step(family, log_p, x):
        return family.forward(log_p, 0, 3) + family.column(x, 3, 4)

    compiled = jax.jit(step).lower(family, log_p, jnp.zeros(2, int)).compile()
    assert compiled.memory_analysis().temp_size_in_bytes <= 2.5 * log_p.nbytes
