"""The closed form against the general divergence."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from diffjax.d3pm import closed, likelihood, transitions

K, T = 6, 5
BETAS = np.linspace(0.1, 0.6, T)


@pytest.mark.parametrize("kind", ["uniform", "marginal"])
@pytest.mark.parametrize("s, t", [(0, 1), (0, 5), (1, 2), (2, 5), (4, 5)])
def test_it_is_the_general_divergence(kind, s, t, x64):
    pi = np.arange(1, K + 1) / 21
    family = {
        "uniform": transitions.uniform(BETAS, K),
        "marginal": transitions.marginal(BETAS, pi),
    }[kind]
    x_0, x_t = (jnp.asarray(v).ravel() for v in np.mgrid[:K, :K])
    logits = jax.random.normal(jax.random.key(0), (K * K, K), jnp.float64) * 3
    s, t = jnp.asarray(s), jnp.asarray(t)
    for f in (jax.vmap, lambda g: g):  # position by position, and summed
        one = f(lambda v, a, b: closed.divergence(family, v, a, b, t, s))
        two = f(lambda v, a, b: likelihood.divergence(family, v, a, b, t, s))
        np.testing.assert_allclose(
            one(logits, x_0, x_t), two(logits, x_0, x_t), rtol=1e-9, atol=1e-13
        )
    slope = jax.grad(lambda v: closed.divergence(family, v, x_0, x_t, t, s))(logits)
    want = jax.grad(lambda v: likelihood.divergence(family, v, x_0, x_t, t, s))(logits)
    np.testing.assert_allclose(slope, want, atol=1e-9)
