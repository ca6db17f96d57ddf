"""A causal network as a model: its likelihood by hand, its draws where certain."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np

from diffjax import vq
from diffjax.vae.objective import Functions

K, SHAPE = 3, (2, 2)
N = 4
START = np.array([0.5, -1.0, 0.2])
STATES = np.array(list(itertools.product(range(K), repeat=N))).reshape(-1, *SHAPE)


def apply(table, x):
    """An entry's logits are the table's row of the one before it, in raster order."""
    flat = x.reshape(len(x), -1)
    start = jnp.broadcast_to(jnp.asarray(START, table.dtype), (len(x), 1, K))
    logits = jnp.concatenate([start, table[flat[:, :-1]]], axis=1)
    return logits.reshape(*x.shape, K)


def by_hand(table):
    """log p of every state of a Markov chain, a loop at a time."""
    rows = np.vstack([START, table])
    log_q = rows - np.log(np.exp(rows).sum(axis=1, keepdims=True))
    found = []
    for state in STATES.reshape(-1, N):
        before = [0, *(state[:-1] + 1)]
        found.append(sum(log_q[b, k] for b, k in zip(before, state, strict=True)))
    return np.array(found)


def net(table):
    return Functions(lambda rng, x: jnp.asarray(table), apply)


def test_the_likelihood_is_that_of_a_markov_chain(x64):
    table = np.random.default_rng(0).normal(size=(K, K))
    objective, batch = vq.autoregressive_objective(net(table)), {"x": STATES}
    params = objective.init(jax.random.key(0), batch)
    want = by_hand(table)
    np.testing.assert_allclose(np.exp(want).sum(), 1, rtol=1e-12)
    loss, metrics = objective.loss(params, jax.random.key(0), batch)
    np.testing.assert_allclose(loss, -want.mean(), rtol=1e-12)
    np.testing.assert_allclose(metrics["bits_per_dim"], loss / (N * np.log(2)))
    bound = vq.autoregressive_bound(net(table))(params, jax.random.key(0), batch)
    np.testing.assert_allclose(bound.elbo, want, rtol=1e-12)
    np.testing.assert_array_equal(bound.rate, np.zeros(len(STATES)))
    assert bound.divergences.shape == (len(STATES), 0)


def test_where_the_network_is_certain_so_are_the_samples():
    """After 0 comes 1, after 1 comes 2, after 2 comes 0: only the first is free."""
    table = jnp.where(jnp.roll(jnp.eye(K), 1, axis=1) == 1, 0.0, -jnp.inf)
    draw = vq.autoregressive_sampler(net(table), SHAPE)
    x = np.asarray(jax.jit(lambda rng: draw(table, rng, 30))(jax.random.key(0)))
    assert x.shape == (30, *SHAPE)
    first = x[:, 0, :1]
    np.testing.assert_array_equal(x.reshape(30, N), (first + np.arange(N)) % K)
    assert set(first.ravel()) == {0, 1, 2}
