"""Wrappers: discrete inputs and outputs, and a second input."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from diffjax import d3pm, ddpm
from diffjax.core import schedules
from diffjax.d3pm import heads as laws
from diffjax.nets import heads, published

K = 5
X = jnp.array([[[0, 4], [1, 3]], [[2, 2], [4, 0]]])
T = jnp.array([1, 2])


class Constant(nn.Module):
    """A network whose output does not depend on its input."""

    channels: int
    value: float = 0.0

    @nn.compact
    def __call__(self, x, t, label=None, *, rng=None):
        assert x.dtype == jnp.float32
        return jnp.full((*x.shape[:-1], self.channels), self.value)


def test_levels_span_the_interval():
    given = heads.normalised(jnp.arange(K), K)
    np.testing.assert_array_equal(given, [-1, -0.5, 0, 0.5, 1])


def test_logits_start_from_the_input():
    net = heads.Logits(heads.Levels(K), Constant(2 * K, 3.0), K)
    np.testing.assert_array_equal(net.apply({}, X, T), 3 + jax.nn.one_hot(X, K))


def test_channels_of_logits_come_first():
    class Count(nn.Module):
        @nn.compact
        def __call__(self, x, t, label=None, *, rng=None):
            return jnp.broadcast_to(jnp.arange(2.0 * K), (*x.shape[:-1], 2 * K))

    given = heads.Logits(heads.Levels(K), Count(), K).apply({}, X, T)
    counted = jnp.arange(2.0 * K).reshape(2, K)
    np.testing.assert_array_equal(
        given - jax.nn.one_hot(X, K), counted[None, None] + 0 * given
    )


def test_a_logistic_law_around_the_input():
    head = laws.truncated_logistic
    given = heads.Logistic(heads.Levels(K), Constant(4, -0.5), K, head).apply({}, X, T)
    mean = np.tanh(2 * np.asarray(X) / (K - 1) - 1 - 0.5)
    wanted = head(jnp.asarray(mean, jnp.float32), jnp.full(X.shape, -0.5), K)
    np.testing.assert_allclose(given, wanted, rtol=1e-5)


def test_the_channels_must_fit():
    with pytest.raises(ValueError, match="network of 10 output channels, got 7"):
        heads.Logits(heads.Levels(K), Constant(7), K).apply({}, X, T)
    net = heads.Logistic(heads.Levels(K), Constant(7), K, laws.truncated_logistic)
    with pytest.raises(ValueError, match="network of 4 output channels, got 7"):
        net.apply({}, X, T)


def test_tokens_have_vectors():
    net = heads.Tokens(K=K, width=3)
    table = jnp.arange(15.0).reshape(K, 3)
    given = net.apply({"params": {"table": {"embedding": table}}}, X)
    np.testing.assert_array_equal(given, table[X].reshape(2, 2, 6))


class Line(nn.Module):
    """A trained network of the right shape."""

    channels: int

    @nn.compact
    def __call__(self, x, t, label=None, *, rng=None):
        return nn.Dense(self.channels)(x) + t.reshape(-1, 1, 1)


@pytest.mark.parametrize("inputs", [heads.Levels(K), heads.Tokens(K=K, width=3)])
def test_heads_train_as_d3pm(inputs):
    net = heads.Logits(inputs, Line(2 * K), K)
    transitions = d3pm.transitions.uniform(jnp.array([0.1, 0.3]), K)
    objective = d3pm.objective(net, transitions)
    params = objective.init(jax.random.key(0), {"x": X})
    loss = jax.eval_shape(objective.loss, params, jax.random.key(0), {"x": X})[0]
    assert loss.shape == ()


def test_self_conditioning_concatenates():
    net = heads.SelfConditioned(Line(2))
    x = jnp.ones((3, 2, 2))
    objective = ddpm.conditioning.self_conditioned_objective(net, schedules.linear(10))
    params = jax.eval_shape(objective.init, jax.random.key(0), {"x": x})
    assert params["params"]["net"]["Dense_0"]["kernel"].shape == (4, 2)
    loss = jax.eval_shape(objective.loss, params, jax.random.key(0), {"x": x})[0]
    assert loss.shape == ()


@pytest.mark.parametrize(
    ("channels", "size"), [(3 * 2, 35_749_766), (3 * 256, 36_628_352)]
)
def test_d3pm_cifar10_networks(channels, size):
    """35.7 and 36.6 million: Austin et al. 2021, the logistic and the logits head."""
    net = published.ddpm_cifar10().clone(out_channels=channels)
    x = jnp.zeros((1, 32, 32, 3))
    params = jax.eval_shape(net.init, jax.random.key(0), x, jnp.ones(1, int))
    assert sum(leaf.size for leaf in jax.tree.leaves(params)) == size
