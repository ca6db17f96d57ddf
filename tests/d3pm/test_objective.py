"""The seam to a network: two functions in a NamedTuple are one."""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from d3pm import exact, toys
from diffjax import d3pm
from diffjax.d3pm import losses, masked, predict, transitions
from diffjax.d3pm.objective import bound, example_net, sampler

K = toys.K


class Table(NamedTuple):
    """A network that is a table of logits for each whole state, x_t of 3 tokens."""

    def init(self, rng, x, t):
        return jnp.zeros((K**3, 3, K))

    def apply(self, params, x, t):
        return params[(x[:, 0] * K + x[:, 1]) * K + x[:, 2]]


FAMILY = transitions.absorbing(1 / np.arange(8, 0, -1), K, mask=K - 1)
GUIDE = functools.partial(predict.zero_masked, mask=K - 1)


@functools.partial(jax.jit, static_argnums=1)
def batch(rng, num=256):
    index = jax.random.choice(rng, 5, (num,), p=jnp.asarray(toys.WEIGHTS))
    return {"x": toys.POINTS[index]}


@pytest.mark.slow
def test_training_reaches_the_bound_of_the_oracle():
    """Plain gradient descent on a table: near entropy plus the factorization gap."""
    model = d3pm.objective(Table(), FAMILY, loss=masked.absorbing_loss)
    data = batch(jax.random.key(0))
    params = model.init(jax.random.key(1), data)

    def step(params, rng):
        value, slope = jax.value_and_grad(lambda p: model.loss(p, rng, batch(rng))[0])(
            params
        )
        return params - 4.0 * slope, value

    params, values = jax.jit(
        lambda p: jax.lax.scan(step, p, jax.random.split(jax.random.key(2), 400))
    )(params)
    evaluate = bound(Table(), FAMILY, guide=GUIDE)
    many = batch(jax.random.key(3), 4000)
    reached = -np.mean(jax.jit(evaluate)(params, jax.random.key(4), many).elbo)
    oracle = toys.three_tokens(FAMILY)
    best = exact.expected_terms(
        oracle, FAMILY, np.asarray(toys.POINTS), toys.WEIGHTS, predict=predict.joint
    ).sum()
    assert values[0] > 1.5 * best
    assert best - 0.1 < reached < 1.1 * best
    draw = jax.jit(sampler(Table(), FAMILY, (3,), guide=GUIDE), static_argnums=2)
    x = draw(params, jax.random.key(5), 2000)
    law = toys.data_law()
    assert law[np.ravel_multi_index(tuple(np.asarray(x).T), (K,) * 3)].mean() > 0.1


@pytest.mark.parametrize(
    "loss", [losses.vb_loss, losses.cross_entropy, losses.hybrid_loss]
)
def test_loss_and_metrics(loss):
    model = d3pm.objective(Table(), FAMILY, loss=loss, guide=GUIDE)
    data = batch(jax.random.key(0), 16)
    params = model.init(jax.random.key(1), data)

    @jax.jit
    def run(params, rng, data):
        denoise = GUIDE(example_net(Table(), params))
        want = loss(denoise, FAMILY, rng, data["x"])
        return model.loss(params, rng, data), want

    (value, metrics), want = run(params, jax.random.key(2), data)
    np.testing.assert_allclose(value, want, rtol=1e-6)
    assert set(metrics) == {"loss", "bits_per_dim"}
    np.testing.assert_allclose(metrics["bits_per_dim"], value / 3 / np.log(2))
