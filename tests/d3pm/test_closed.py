"""The closed form against the general divergence, which forms both laws."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from diffjax.d3pm import likelihood, predict, transitions

K, T = 6, 5
BETAS = np.array([0.1, 0.2, 0, 0.6, 1])
LINEAR = np.linspace(0.1, 0.6, T)


def families():
    """Made when asked for: their tables have the precision of that moment."""
    pi = np.array([0.5, 0, 0.2, 0, 0.3, 0])
    masks = transitions.absorbing(LINEAR, K, mask=5)
    alike = transitions.uniform(LINEAR / 2, K)
    return {
        "uniform": transitions.uniform(LINEAR, K),
        "marginal": transitions.marginal(BETAS, pi),
        "absorbing": transitions.absorbing(BETAS, K, mask=2),
        "blend": transitions.mixture(masks, alike, np.linspace(0.2, 0.9, T)),
    }


STEPS = jnp.asarray([(0, 1), (0, 5), (1, 2), (2, 5), (4, 5), (2, 3)])


def in_general(*args, s):
    return predict.joint(*args, s=s)  # another function: no closed form is known


def pairs():
    return (jnp.asarray(v).ravel() for v in np.mgrid[:K, :K])


def both(family, logits, x_0, x_t, s, t):
    return [
        likelihood.divergence(family, logits, x_0, x_t, t, s, predict=p)
        for p in (predict.joint, in_general)
    ]


@pytest.mark.parametrize("name", ["uniform", "marginal", "absorbing", "blend"])
def test_it_is_the_general_divergence(name, x64):
    """Every pair of tokens, at once possible and not; a model that rules some out."""
    family = families()[name]
    assert isinstance(family, transitions.rank_one.RankOne)
    x_0, x_t = pairs()
    logits = 3 * jax.random.normal(jax.random.key(0), (K * K, K), jnp.float64)
    certain = jnp.where(jnp.arange(K) < 3, logits, -jnp.inf)

    @jax.jit
    @jax.vmap
    def compare(s, t):
        each = jax.vmap(lambda *a: both(family, *a, s, t))
        slopes = [
            jax.grad(lambda v, i=i: both(family, v, x_0, x_t, s, t)[i])(logits)
            for i in range(2)
        ]
        return each(logits, x_0, x_t), each(certain, x_0, x_t), slopes

    for got, want in compare(STEPS[:, 0], STEPS[:, 1]):
        assert not np.isnan(got).any()
        np.testing.assert_allclose(got, want, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("name", ["uniform", "marginal", "absorbing", "blend"])
def test_float32(name):
    """Logits far out: probabilities below the least float32 are not called zero."""
    family = families()[name]
    x_0, x_t = pairs()
    logits = 100 * jax.random.normal(jax.random.key(0), (K * K, K))

    @jax.jit
    @jax.vmap
    def compare(s, t):
        def slope(v):
            return likelihood.divergence(family, v, x_0, x_t, t, s)

        each = jax.vmap(lambda *a: both(family, *a, s, t))(logits, x_0, x_t)
        return each, jax.grad(slope)(logits)

    (got, want), slopes = compare(STEPS[:, 0], STEPS[:, 1])
    np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-4)
    assert np.isfinite(slopes).all()
    assert got[np.isfinite(got)].max() > 200
