"""The seam to two networks: parameters, metrics, learned sigma, annealing, sampling."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from scipy import stats

from diffjax import vae
from diffjax.core import oracle

from .networks import Mlp

KEY = jax.random.key(0)
RNG = np.random.default_rng(0)
BITS = {"x": np.float32(RNG.integers(2, size=(8, 6)))}
ENC, DEC = Mlp((6, 5, 4)), Mlp((2, 5, 6))


def test_the_objective_is_the_loss_of_its_networks():
    """params {"enc", "dec"}; the metrics are the bound's, whatever the loss weights."""
    objective = vae.objective(ENC, DEC, loss=partial(vae.elbo_loss, beta=3.0))
    params = objective.init(KEY, BITS)
    assert set(params) == {"enc", "dec"}
    value, metrics = jax.jit(objective.loss)(params, KEY, BITS)
    bound = jax.jit(vae.net_bound(ENC, DEC))(params, KEY, BITS)
    rate, distortion = bound.rate.mean(), bound.distortion.mean()
    np.testing.assert_allclose(value, distortion + 3 * rate, rtol=1e-5)
    np.testing.assert_allclose(metrics["loss"], value)
    for name, wanted in (("rate", rate), ("distortion", distortion)):
        np.testing.assert_allclose(metrics[name], wanted, rtol=1e-5)
    np.testing.assert_allclose(metrics["elbo"], bound.elbo.mean(), rtol=1e-5)
    # By hand, through the network's own batched call.
    mean, log_var = np.split(np.asarray(ENC.apply(params["enc"], BITS["x"])), 2, axis=1)
    kl = 0.5 * (np.exp(log_var) + mean**2 - 1 - log_var).sum(1)
    np.testing.assert_allclose(bound.prior, kl, rtol=1e-4)


@pytest.mark.parametrize("name", ["iwae", "dreg", "free_bits"])
def test_any_loss_may_be_bound(name):
    loss = {
        "iwae": partial(vae.iwae_loss, num=3),
        "dreg": partial(vae.dreg_loss, num=3),
        "free_bits": partial(vae.free_bits_loss, lam=0.5, groups=2),
    }[name]
    objective = vae.objective(ENC, DEC, loss=loss)
    params = objective.init(KEY, BITS)
    gradient, metrics = jax.jit(jax.grad(objective.loss, has_aux=True))(
        params, KEY, BITS
    )

    @jax.jit
    def of_bound_networks(params):
        return loss(*vae.bind(ENC, DEC, params), KEY, BITS["x"])

    value = of_bound_networks(params)
    np.testing.assert_allclose(metrics["loss"], value, rtol=1e-5)
    assert all(np.abs(g).max() > 0 for g in jax.tree.leaves(gradient))


def test_a_batched_output_is_its_halves_and_may_be_bounded():
    output = jnp.array([1.0, -2.0, 3.0, -100.0])
    mean, log_var = vae.halves(output)
    np.testing.assert_array_equal(mean, [1, -2])
    np.testing.assert_array_equal(log_var, [3, -100])
    bounded = vae.bounded_halves(limit=5.0)
    np.testing.assert_allclose(bounded(output)[1], 5 * np.tanh([0.6, -20]), rtol=1e-6)
    small = bounded(jnp.array([0.0, 1e-3]))[1]
    np.testing.assert_allclose(small, 1e-3, rtol=1e-6)
    params = vae.objective(ENC, DEC).init(KEY, BITS)
    params["enc"][-1] = params["enc"][-1][0] * 1e4, params["enc"][-1][1]
    wild = jax.jit(vae.net_bound(ENC, DEC, posterior=bounded))(params, KEY, BITS)
    assert np.isfinite(wild.elbo).all()


def linear(inputs, outputs):
    return Mlp((inputs, outputs))


def ppca_data(num=2000):
    weight = np.array([[2.0, 0.0], [0.0, 1.0], [1.0, -1.0], [0.5, 0.5]])
    x = RNG.normal(size=(num, 2)) @ weight.T + 0.5 * RNG.normal(size=(num, 4))
    return x.astype(np.float32) + 1


def train(objective, x, steps=4000):
    optimizer = optax.adam(optax.cosine_decay_schedule(3e-2, steps))

    @jax.jit
    def run(params):
        def step(carry, rng):
            params, state = carry
            grads, metrics = jax.grad(objective.loss, has_aux=True)(
                params, rng, {"x": x}
            )
            updates, state = optimizer.update(grads, state)
            return (optax.apply_updates(params, updates), state), metrics

        start = params, optimizer.init(params)
        return jax.lax.scan(step, start, jax.random.split(KEY, steps))

    (params, _), metrics = run(objective.init(KEY, {"x": x}))
    return params, metrics


@pytest.mark.slow
def test_a_trained_gaussian_vae_learns_the_sigma_of_ppca():
    """Linear networks and a learned sigma: the likelihood of pPCA, its sigma, its loss.

    The constant D/2 log(2 pi sigma^2) is what keeps sigma from growing for ever.
    """
    x = ppca_data(500)
    mean, cov = x.mean(0), np.cov(x.T, ddof=0)
    best = oracle.linear_gaussian.ppca(jnp.asarray(mean), jnp.asarray(cov), 2)
    marginal = best.weight @ best.weight.T + np.exp(best.log_var) * np.eye(4)
    nll = -stats.multivariate_normal(mean, marginal).logpdf(x).mean()
    enc, dec = linear(4, 4), vae.with_log_sigma(linear(2, 4))
    learned = vae.objective(enc, dec, likelihood=vae.gaussian_moments)
    params, metrics = train(learned, jnp.asarray(x))
    log_sigma = params["dec"]["log_sigma"]
    np.testing.assert_allclose(log_sigma, best.log_var / 2, atol=0.02)
    np.testing.assert_allclose(-metrics["elbo"][-50:].mean(), nll, atol=0.05)
    optimal = vae.sigma_objective(enc, linear(2, 4))
    params, metrics = train(optimal, jnp.asarray(x))
    np.testing.assert_allclose(metrics["loss"][-50:].mean(), nll, atol=0.05)


def test_an_annealed_objective_reads_the_step_of_the_batch():
    def make(step):
        beta = vae.warm_up(step, num=10)
        return vae.objective(ENC, DEC, loss=partial(vae.elbo_loss, beta=beta))

    annealed = vae.annealed(make)
    params = annealed.init(KEY, BITS)
    loss = jax.jit(annealed.loss)
    for step in (0, 5, 30):
        batch = BITS | {"step": np.full(8, step, np.int32)}
        value, metrics = loss(params, KEY, batch)
        wanted = metrics["distortion"] + min(step / 10, 1) * metrics["rate"]
        np.testing.assert_allclose(value, wanted, rtol=1e-5)
    with pytest.raises(ValueError, match=r'"step" in the batch, got \[\'x\'\]'):
        annealed.loss(params, KEY, BITS)


def test_one_objective_replaces_another_at_its_step():
    """Loss, metrics and gradient are those of the one in force."""
    first, then = (
        vae.objective(ENC, DEC, loss=loss)
        for loss in (vae.elbo_loss, partial(vae.iwae_loss, num=3))
    )
    both = vae.replaced(first, then, at=5)
    params = both.init(KEY, BITS)
    slope, of_first, of_then = (
        jax.jit(jax.value_and_grad(objective.loss, has_aux=True))
        for objective in (both, first, then)
    )
    for step, wanted in ((0, of_first), (4, of_first), (5, of_then), (9, of_then)):
        found = slope(params, KEY, BITS | {"step": np.full(8, step, np.int32)})
        right = wanted(params, KEY, BITS)
        for a, b in zip(*map(jax.tree.leaves, (found, right)), strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)
    with pytest.raises(ValueError, match=r'"step" in the batch, got \[\'x\'\]'):
        both.loss(params, KEY, BITS)


def test_the_sampler_draws_with_the_decoder():
    params = vae.objective(ENC, DEC).init(KEY, BITS)
    draw = jax.jit(vae.sampler(DEC, (2,)), static_argnums=2)
    x = draw(params, KEY, 7)
    assert x.shape == (7, 6) and set(np.unique(x)) <= {0.0, 1.0}
    means = vae.sampler(DEC, (2,), draw=lambda rng, logits: jax.nn.sigmoid(logits))
    z = jax.vmap(lambda k: jax.random.normal(jax.random.split(k)[0], (2,)))(
        jax.random.split(KEY, 7)
    )
    decoded = jax.nn.sigmoid(DEC.apply(params["dec"], z))
    got = jax.jit(means, static_argnums=2)(params, jax.random.split(KEY, 7), 7)
    np.testing.assert_allclose(got, decoded, rtol=1e-5)


def test_two_devices_train_as_one():
    """The mean over devices of the gradients is the gradient of the whole batch."""
    objective = vae.objective(ENC, DEC)
    params = objective.init(KEY, BITS)
    keys = jax.random.split(KEY, 8)
    slope = jax.grad(objective.loss, has_aux=True)
    whole, _ = jax.jit(slope)(params, keys, BITS)

    def shard(keys, x):
        gradient, _ = slope(params, keys, {"x": x})
        return jax.lax.pmean(gradient, "devices")

    halves = jax.pmap(shard, axis_name="devices")(
        keys.reshape(2, 4), BITS["x"].reshape(2, 4, 6)
    )
    for a, b in zip(jax.tree.leaves(halves), jax.tree.leaves(whole), strict=True):
        np.testing.assert_allclose(a[0], b, rtol=1e-4, atol=1e-5)
