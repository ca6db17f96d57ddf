"""Variational diffusion with oracles for networks, and importance-sampled bounds."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from diffjax import ddpm
from diffjax.core import oracle, schedules
from diffjax.ddpm import continuous, likelihood, times, variational

LEVELS = 8
POINTS = (2 * jnp.asarray([[0.0, 7.0], [5.0, 5.0], [3.0, 0.0]]) + 1) / LEVELS - 1
KEYS = jax.random.split(jax.random.key(0), 3)


class Oracle(NamedTuple):
    """The best eps of three points, as a network that is told of gamma on [0, 1]."""

    gamma_min: float
    gamma_max: float

    def init(self, rng, x, t):
        return {"scale": jnp.ones(())}

    def apply(self, params, z, told):
        g = self.gamma_min + told * (self.gamma_max - self.gamma_min)

        def one(z, g):
            scale, var = jnp.sqrt(jax.nn.sigmoid(-g)), jax.nn.sigmoid(g)
            weights = oracle.source_weights(POINTS, z, scale=scale, var=var)
            x = jax.nn.softmax(weights) @ POINTS
            return (z - scale * x) / jnp.sqrt(var)

        return params["scale"] * jax.vmap(one)(z, g)


ENDS = {"gamma_min": -10.0, "gamma_max": 6.0}
NET = Oracle(-10.0, 6.0)
KINDS = {
    "fixed": variational.fixed(**ENDS),
    "learned_ends": variational.learned_ends(**ENDS),
    "monotone": variational.monotone(**ENDS, width=8),
}


def params_of(gammas):
    objective = variational.objective(NET, gammas, levels=LEVELS)
    return objective.init(KEYS[0], {"x": POINTS})


@pytest.mark.parametrize("name", KINDS)
def test_the_best_network_pays_what_three_points_cost(name):
    """log 3 nats: in continuous time the bound has no gap, whatever the curve."""
    gammas = KINDS[name]
    params, x = params_of(gammas), jnp.tile(POINTS, (2000, 1))

    @jax.jit
    def both(rng):
        batch = {"x": x}
        bound = variational.net_bound(NET, gammas, levels=LEVELS)(params, rng, batch)
        loss = variational.objective(NET, gammas, levels=LEVELS).loss
        return bound.elbo, loss(params, rng, batch)

    elbo, (loss, metrics) = both(jax.random.key(1))
    error = float(jnp.std(elbo)) / np.sqrt(len(elbo))
    assert abs(float(-jnp.mean(elbo)) - np.log(3)) < 4 * error + 2e-3
    np.testing.assert_allclose(loss, -jnp.mean(elbo), rtol=1e-5)
    np.testing.assert_allclose(metrics["bits_per_dim"], loss / 2 / np.log(2), rtol=1e-6)


def test_the_ends_are_learned_and_a_fixed_schedule_is_not():
    assert jax.tree.leaves(params_of(KINDS["fixed"])["gamma"]) == []
    gammas = KINDS["learned_ends"]
    loss = variational.objective(NET, gammas, levels=LEVELS).loss
    batch = {"x": POINTS}
    grad = jax.jit(jax.grad(lambda p: loss(p, KEYS, batch)[0]))
    slopes = grad(params_of(gammas))["gamma"]
    assert all(float(jnp.abs(leaf)) > 0 for leaf in jax.tree.leaves(slopes))
    turned = {"start": jnp.asarray(-10.0), "rise": jnp.asarray(-16.0)}
    gamma = gammas.bind(turned)
    assert [float(gamma(jnp.asarray(t))) for t in (0.0, 0.5, 1.0)] == [-10, -2, 6]


def test_samples_are_levels_and_as_often_as_they_should_be():
    gammas = KINDS["learned_ends"]
    params = params_of(gammas)

    @jax.jit
    def draw(rng):
        denoise, gamma = variational.bind(NET, gammas, params)
        reverse = variational.discrete(denoise, gamma, 100, levels=LEVELS)
        return ddpm.sample(*reverse, rng, (3000, 2))

    x = np.asarray(draw(jax.random.key(2)))
    hits = np.abs(x[:, None] - np.asarray(POINTS)).max(-1) < 1e-5
    assert (hits.sum(1) == 1).all()
    expected = 1000
    chi_squared = float(np.sum((hits.sum(0) - expected) ** 2 / expected))
    assert chi_squared < 13.8  # 1 in 1000 for two degrees of freedom


def test_the_last_step_is_the_nearest_level_and_asks_no_network():
    """Of z_0 / alpha_0; the others ask at (t - 1) / T."""
    gamma = continuous.linear_gamma(-1.0, 6.0)

    def clock(z, t):
        return jnp.full_like(z, t)

    denoise, schedule = variational.discrete(clock, gamma, 4, levels=LEVELS)
    assert schedule.T == 5
    z = jnp.sqrt(1 / (1 + jnp.exp(-1.0))) * jnp.asarray([0.22, -3.0, 0.99, 0.30])
    found = denoise(z, jnp.asarray(1))
    np.testing.assert_allclose(found, [0.125, -0.875, 0.875, 0.375], atol=1e-6)
    for t in range(2, 6):
        np.testing.assert_allclose(denoise(z, jnp.asarray(t)), np.full(4, (t - 1) / 4))


def test_variational_mistakes():
    for make in (variational.fixed, variational.learned_ends, variational.monotone):
        with pytest.raises(ValueError, match="expected gamma_min < gamma_max, got 1.0"):
            make(gamma_min=1.0, gamma_max=0.0)
    gamma = continuous.linear_gamma()
    with pytest.raises(ValueError, match="expected T >= 1 steps, got 0"):
        variational.discrete(lambda z, t: z, gamma, 0)


SCHEDULE = schedules.linear(6, beta_max=0.3)
IMAGES = jnp.asarray(np.random.default_rng(0).integers(0, 256, (4, 3)) / 127.5 - 1)
IMAGES = IMAGES.astype(jnp.float32)
BATCH = {"x": IMAGES}


class Linear(NamedTuple):
    """(x, t) -> [w x, v x], of one weight each."""

    def init(self, rng, x, t):
        return jnp.asarray([0.3, 0.5])

    def apply(self, w, x, t):
        return jnp.concatenate([w[0] * x, w[1] * x + t[:, None] / 9], axis=-1)


class Dropped(NamedTuple):
    rng: jax.Array

    def init(self, rng, x, t):
        return Linear().init(rng, x, t)

    def apply(self, w, x, t):
        kept = 2.0 * jax.random.bernoulli(self.rng, 0.5, x.shape)
        return Linear().apply(w, kept * x, t)


def known(seed=0):
    """A history that is full, and not the same for every step."""
    every = jnp.tile(jnp.arange(1, SCHEDULE.T + 1), 10)
    losses = jnp.asarray(np.random.default_rng(seed).uniform(1, 9, len(every)))
    history = times.history_init(SCHEDULE.T)
    return times.history_update(history, every, losses.astype(jnp.float32))


def test_the_objective_is_the_loss_of_its_network_and_remembers():
    objective = ddpm.importance_objective(Linear(), SCHEDULE)
    w, empty = objective.init(KEYS[0], BATCH)
    assert int(empty.counts.sum()) == 0 and empty.losses.shape == (6, 10)
    rng = jax.random.key(3)

    @jax.jit
    def both(w, history):
        value, (metrics, after) = objective.loss(w, history, rng, BATCH)
        denoise, variance = ddpm.split_net(Linear(), SCHEDULE, w)
        decoder = likelihood.discretized_decoder(variance=variance)
        options = {"variance": variance, "decoder": decoder}
        wanted = ddpm.importance_vlb_loss(
            denoise, SCHEDULE, rng, IMAGES, history, **options
        )
        return value, metrics, after, wanted

    value, metrics, after, (loss, wanted) = both(w, known())
    np.testing.assert_allclose(value, loss, rtol=1e-5)
    np.testing.assert_allclose(after.losses, wanted.losses, rtol=1e-5)
    assert int(after.counts.sum()) == int(known().counts.sum()) + len(IMAGES)
    np.testing.assert_allclose(
        metrics["bits_per_dim"], value / 3 / np.log(2), rtol=1e-6
    )


def test_masks_are_of_each_example():
    """Those of half the units: another loss for every key, of the same noise."""
    plain = ddpm.importance_objective(Linear(), SCHEDULE)
    seen = []

    def masked(net, rng):
        seen.append(rng)
        return Dropped(rng)

    dropping = ddpm.importance_objective(Linear(), SCHEDULE, masked=masked)
    w, empty = plain.init(KEYS[0], BATCH)
    rng = jax.random.key(3)
    found = [jax.jit(o.loss)(w, empty, rng, BATCH) for o in (plain, dropping)]
    assert seen[0].shape == () and float(found[0][0]) != float(found[1][0])
    counts = [after.counts for _, (_, after) in found]
    np.testing.assert_array_equal(*counts)  # the same steps were drawn
