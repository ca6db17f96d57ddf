"""A learned variance costs an output of the network, not more calls of it."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from diffjax import ddpm, train
from diffjax.core import schedules
from diffjax.ddpm import times
from diffjax.nets import mlp

SCHEDULE = schedules.cosine(5)
X_0 = jnp.linspace(-1, 1, 24).reshape(8, 3, 1)
KEYS = jax.random.split(jax.random.key(3), 8)


def net(channels, *, width=64, depth=4):
    return mlp.ResidualMLP(shape=(3, channels), width=width, depth=depth)


def flops(objective, batch):
    """Of the gradient of a loss, compiled."""
    objective = train.stateful(objective)
    params, memory = jax.jit(objective.init)(jax.random.key(0), batch)

    def loss(params):
        return objective.loss(params, memory, KEYS, batch)[0]

    return jax.jit(jax.grad(loss)).lower(params).compile().cost_analysis()["flops"]


@pytest.mark.parametrize(
    "objective_of", [ddpm.hybrid_objective, ddpm.importance_objective]
)
def test_the_network_is_differentiated_once(objective_of):
    """XLA merges equal calls, but not their gradients, which differ."""
    plain = flops(ddpm.objective(net(1), SCHEDULE), {"x": X_0})
    found = flops(objective_of(net(2), SCHEDULE), {"x": X_0})
    assert found < 1.2 * plain


def test_the_losses_are_those_of_two_functions(x64):
    """In value and gradient, of the same noise: the pair that `split_net` returns."""
    schedule = schedules.cosine(5)
    x_0 = jnp.asarray(np.asarray(X_0), jnp.float64)
    small = net(2, width=4, depth=1)
    hybrid = ddpm.hybrid_objective(small, schedule, lam=0.5)
    params = jax.jit(hybrid.init)(jax.random.key(0), {"x": x_0})
    rng = np.random.default_rng(0)
    params = jax.tree.map(lambda p: jnp.asarray(rng.normal(size=p.shape) / 4), params)
    history = times.history_init(5)
    importance = ddpm.importance_objective(small, schedule)

    def own(params):
        bound, _ = importance.loss(params, history, KEYS, {"x": x_0})
        return bound + 100 * hybrid.loss(params, KEYS, {"x": x_0})[0]

    def of_two(params):
        denoise, variance = ddpm.split_net(small, schedule, params)
        decoder = ddpm.likelihood.discretized_decoder(variance=variance)
        args, options = (denoise, schedule, KEYS, x_0), {"variance": variance}
        bound, _ = ddpm.importance_vlb_loss(*args, history, decoder=decoder, **options)
        return bound + 100 * ddpm.hybrid_loss(*args, lam=0.5, **options)

    found = jax.jit(jax.value_and_grad(own))(params)
    wanted = jax.jit(jax.value_and_grad(of_two))(params)
    chex.assert_trees_all_close(found, wanted, rtol=1e-9, atol=1e-12)
