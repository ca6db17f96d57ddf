"""Padding costs nothing, is never noised, and has no gradient, in every loss."""

import functools

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from diffjax import d3pm
from diffjax.d3pm import continuous, losses, masked, rates, transitions
from diffjax.d3pm.objective import bound as net_bound

K, T, PAD = 5, 6, 0
BETAS = 1 / np.arange(T, 0, -1)
ABSORBING = transitions.absorbing(BETAS, K, mask=K - 1)
UNIFORM = transitions.uniform(BETAS, K)
BANDED = transitions.banded(np.full(T, 0.5), K, width=1)
LOSSES = {
    "vb_loss": (losses.vb_loss, UNIFORM),
    "vb_loss, in general": (losses.vb_loss, BANDED),
    "cross_entropy": (losses.cross_entropy, UNIFORM),
    "hybrid_loss": (losses.hybrid_loss, UNIFORM),
    "absorbing_loss": (masked.absorbing_loss, ABSORBING),
    "continuous absorbing": (
        functools.partial(continuous.absorbing_loss, mask=K - 1),
        continuous.linear,
    ),
    "continuous uniform": (
        functools.partial(continuous.uniform_loss, K=K),
        continuous.cosine,
    ),
    "rates": (
        rates.rate_loss,
        rates.rates(
            np.full((K, K), 0.2) - np.eye(K), np.full(K, 0.2), integral=lambda t: 3 * t
        ),
    ),
}
X_0 = np.array([[1, 2, 3], [3, 2, 1]])
PADDED = np.array([[1, 2, 3, PAD, PAD], [3, 2, 1, PAD, PAD]])
REAL = np.arange(5) < 3
LOGITS = jax.random.normal(jax.random.key(0), (5, K))


def denoiser(logits):
    """Every position by itself, so that padding cannot change the others."""
    return lambda x_t, t: logits[: len(x_t)] * jnp.cos(x_t[:, None] + t)


def value(name, x_0, logits, **options):
    loss, process = LOSSES[name]
    return loss(denoiser(logits), process, jax.random.key(1), x_0, **options)


@pytest.mark.parametrize("name", LOSSES)
def test_a_padded_batch_has_the_loss_of_the_bare_one(name):
    """The noise of a position does not depend on how many follow it."""

    @jax.jit
    def run(short, long, real, logits):
        slope = jax.value_and_grad(value, argnums=2)
        told = slope(name, long, logits, length_mask=real)
        return value(name, short, logits), told, value(name, long, logits)

    bare, (padded, slope), whole = run(X_0, PADDED, REAL, LOGITS)
    np.testing.assert_allclose(padded, bare, rtol=1e-5)
    slope = np.asarray(slope)
    assert (slope[3:] == 0).all() and (slope[:3] != 0).any()
    assert abs(whole - bare) > 0.1  # it would cost something


@pytest.mark.parametrize("family", [UNIFORM, ABSORBING, BANDED])
def test_and_the_bound_too(family):
    run = jax.jit(functools.partial(d3pm.bound, denoiser(LOGITS), family))
    bare = run(jax.random.key(1), X_0)
    real = np.broadcast_to(REAL, PADDED.shape)
    padded = run(jax.random.key(1), PADDED, length_mask=real)
    chex.assert_trees_all_close(padded, bare, rtol=1e-5, atol=1e-6)


def test_the_network_sees_padding_as_it_is():
    def touchy(x_t, t):
        return jnp.where((x_t[3:] == PAD).all(), LOGITS, jnp.nan)

    args = touchy, UNIFORM, jax.random.key(0), PADDED
    loss = jax.jit(losses.vb_loss, static_argnums=0)
    bound = jax.jit(d3pm.bound, static_argnums=0)
    assert np.isfinite(loss(*args, length_mask=REAL))
    assert np.isfinite(bound(*args, length_mask=REAL).elbo).all()
    assert not np.isfinite(bound(*args).elbo).all()


def test_a_batch_brings_its_mask():
    """Its "length_mask" reaches the loss and the bound; bits are of what counts."""

    class Net:
        init = staticmethod(lambda rng, x, t: LOGITS)
        apply = staticmethod(lambda p, x, t: p[None] * jnp.cos(x[..., None]))

    batch = {"x": PADDED, "length_mask": np.broadcast_to(REAL, PADDED.shape)}
    objective = d3pm.objective(Net, UNIFORM)
    params = objective.init(jax.random.key(0), batch)
    loss, metrics = jax.jit(objective.loss)(params, jax.random.key(1), batch)
    args = (lambda x, t: LOGITS[: len(x)] * jnp.cos(x[..., None])), UNIFORM
    bare = jax.jit(functools.partial(losses.vb_loss, *args))(jax.random.key(1), X_0)
    np.testing.assert_allclose(loss, bare, rtol=1e-5)
    np.testing.assert_allclose(metrics["bits_per_dim"], loss / (3 * np.log(2)))
    bound = jax.jit(net_bound(Net, UNIFORM))(params, jax.random.key(1), batch)
    want = jax.jit(functools.partial(d3pm.bound, *args))(jax.random.key(1), X_0)
    np.testing.assert_allclose(bound.elbo, want.elbo, rtol=1e-5)


def test_bad_masks_are_named():
    for mask, message in (
        (np.ones((2, 4), bool), "expected length_mask of shape"),
        (np.ones((2, 5), np.float32), "expected a boolean length_mask, got float32"),
    ):
        for name in LOSSES:
            with pytest.raises(ValueError, match=message):
                value(name, PADDED, LOGITS, length_mask=mask)
        with pytest.raises(ValueError, match=message):
            d3pm.bound(
                denoiser(LOGITS), UNIFORM, jax.random.key(0), PADDED, length_mask=mask
            )


def test_a_network_that_does_not_listen_has_the_same_loss_and_bound():
    """Example by example or all at once: the same keys, so the same numbers."""

    class Deaf:
        init = staticmethod(lambda rng, x, t, *told: LOGITS)
        apply = staticmethod(lambda p, x, t, *told: p[None] * jnp.cos(x[..., None]))

    batch = {"x": PADDED, "length_mask": np.broadcast_to(REAL, PADDED.shape)}
    told = {"inputs": d3pm.label_and_lengths}
    for of_net in (
        lambda **options: d3pm.objective(Deaf, UNIFORM, **options).loss,
        lambda **options: net_bound(Deaf, UNIFORM, **options),
    ):
        apart, whole = (
            jax.jit(of_net(**options))(LOGITS, jax.random.key(1), batch)
            for options in (told, {})
        )
        chex.assert_trees_all_close(apart, whole, rtol=1e-5)
