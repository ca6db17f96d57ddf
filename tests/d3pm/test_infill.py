"""Every way to sample leaves alone what is given, and puts padding beyond the end."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from diffjax.d3pm import rates, samplers, scud, transitions

K = 4
FAMILY = transitions.uniform(np.array([0.5, 0.5, 1.0]), K)
JUMPS = rates.rates(
    np.full((K, K), 1 / K) - np.eye(K), np.full(K, 1 / K), integral=lambda t: 5 * t
)
TIMES = jnp.linspace(1, 0, 5)


def even(x, t):
    return jnp.zeros((*x.shape, K))


SAMPLERS = {
    "trajectory": lambda *args, **given: samplers.trajectory(
        even, FAMILY, *args, every=2, **given
    )[0],
    "tau-leaping": functools.partial(rates.sample, even, JUMPS, ts=TIMES, correctors=1),
    "scud": functools.partial(scud.sample, even, FAMILY, ts=TIMES),
}


@pytest.mark.parametrize("name", SAMPLERS)
def test_infilling_keeps_what_is_known(name):
    known = jnp.tile(jnp.asarray([1, 0, 0]), (40, 1))
    real = jnp.asarray([[True, True, i % 2 == 0] for i in range(40)])
    run = jax.jit(functools.partial(SAMPLERS[name], pad=2), static_argnums=1)
    x = run(
        jax.random.key(0),
        (40, 3),
        known=known,
        known_mask=jnp.asarray([True, False, False]),
        length_mask=real,
    )
    assert (x[:, 0] == 1).all() and (x[1::2, 2] == 2).all()
    assert len(np.unique(x[:, 1])) == K and len(np.unique(x[::2, 2])) == K
    with pytest.raises(ValueError, match="expected known_mask of shape"):
        SAMPLERS[name](jax.random.key(0), (2, 3), known=known[:2], known_mask=real)
