"""The seam to networks: any pair of `init` and `apply`, no Flax needed."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from diffjax import hvae
from diffjax.core import gaussian, likelihoods, schedules
from diffjax.hvae import losses
from hvae.nets import MLP, ladder, pair

X = (jax.random.uniform(jax.random.key(0), (64, 64)) < 0.3).astype(jnp.float32)
KEY = jax.random.key(1)


def train(objective, x, num=100):
    optimizer = optax.adam(3e-3)

    def step(carry, rng_and_step):
        params, state = carry
        rng, i = rng_and_step
        batch = {"x": x, "step": i}
        slope, metrics = jax.grad(objective.loss, has_aux=True)(params, rng, batch)
        updates, state = optimizer.update(slope, state)
        return (optax.apply_updates(params, updates), state), metrics

    params = jax.jit(objective.init)(KEY, {"x": x})
    inputs = jax.random.split(KEY, num), jnp.arange(num)
    carry = params, optimizer.init(params)
    carry, metrics = jax.jit(lambda c: jax.lax.scan(step, c, inputs))(carry)
    return carry[0], metrics


@pytest.mark.slow
def test_own_nets_train_and_sample():
    enc = hvae.own_nets(MLP((16, 12), pair), MLP((8,), pair))
    dec = hvae.own_nets(MLP((16, 64)), MLP((12,), pair))
    model = hvae.objective(enc, dec, likelihood=likelihoods.bernoulli)
    params, metrics = train(model, X)
    assert [p[0][0].shape for p in params["dec"]] == [(6, 16), (4, 12)]
    wanted = {"loss", "elbo", "distortion", "rate", "kl_1", "kl_2"}
    assert set(metrics) == wanted
    assert metrics["loss"][-20:].mean() < metrics["loss"][:5].mean() - 3
    np.testing.assert_allclose(metrics["loss"], -metrics["elbo"], rtol=1e-5)
    total = metrics["kl_1"] + metrics["kl_2"]
    np.testing.assert_allclose(total, metrics["rate"], rtol=1e-4, atol=1e-4)
    logits = jax.jit(hvae.sampler(dec, (4,)), static_argnums=2)(params, KEY, 5)
    assert logits.shape == (5, 64)


def test_alike_nets_are_own_nets_with_stacked_parameters():
    first, net = MLP((6,), pair), MLP((6,), pair)
    alike = hvae.alike_nets(first, net, 4)
    blank = jnp.zeros((2, 3))
    params = alike.init(KEY, lambda i, said: blank)
    assert params["rest"][0][0].shape == (3, 3, 6)
    own = hvae.own_nets(first, net, net, net)
    split = [jax.tree.map(lambda p, i=i: p[i], params["rest"]) for i in range(3)]
    one, other = alike.bind(params), own.bind((params["first"], *split))
    dec = hvae.own_nets(MLP((3,)), net, net, net)
    decode = dec.bind(dec.init(KEY, lambda i, said: blank))
    x = jax.random.normal(KEY, (2, 3))

    def likelihood(x, mean):
        return gaussian.log_prob(x, mean, jnp.zeros(()))

    a, b = (
        jax.jit(lambda x, e=e: hvae.bound(e, decode, KEY, x, likelihood=likelihood))(x)
        for e in (one, other)
    )
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5), a, b)


def test_a_fixed_encoder_has_nothing_to_train():
    """The objective of a DDPM of 4 steps with a layer's own parameters at each."""
    schedule = schedules.constant(4, beta=0.4)
    enc = hvae.frozen(hvae.fixed_gaussian_encoder(schedule))
    dec = hvae.alike_nets(MLP((3,)), MLP((6,), pair), 4)

    def likelihood(x, mean):
        return gaussian.log_prob(x, mean, jnp.zeros(()))

    model = hvae.objective(enc, dec, likelihood=likelihood)
    x = 0.3 * jax.random.normal(KEY, (64, 3)) + 1
    params, metrics = train(model, x)
    assert jax.tree.leaves(params["enc"]) == []
    assert params["dec"]["rest"][0][0].shape == (3, 3, 6)
    assert metrics["loss"][-20:].mean() < metrics["loss"][:20].mean() - 1


@pytest.mark.slow
def test_ladder_objective_trains_with_any_weighting():
    """The weighting moves the loss, never the reported bound."""
    nets = ladder(16, (5, 3), scale=1.0)

    def weigh(bound, batch):
        beta = hvae.warm_up(batch["step"], num=50)
        return losses.free_bits(bound, lam=0.5, beta=beta)

    def model(**options):
        return hvae.ladder_objective(
            nets,
            likelihood=likelihoods.bernoulli,
            posterior=hvae.RESIDUAL,
            **options,
        )

    params, metrics = train(model(weigh=weigh), X)
    assert metrics["elbo"][-20:].mean() > metrics["elbo"][:5].mean() + 3
    batch = {"x": X, "step": jnp.asarray(10)}
    losses_of = [model(weigh=weigh).loss, model().loss]
    weighed, plain = jax.jit(lambda p: [f(p, KEY, batch) for f in losses_of])(params)
    np.testing.assert_allclose(weighed[1]["elbo"], plain[1]["elbo"], rtol=1e-6)
    np.testing.assert_allclose(plain[0], -plain[1]["elbo"], rtol=1e-6)
    free = sum(max(0.5, float(weighed[1][f"kl_{i}"])) for i in (1, 2))
    wanted = weighed[1]["distortion"] + 0.2 * free
    np.testing.assert_allclose(weighed[0], wanted, rtol=1e-5)

    encode, decode, features = hvae.ladder_of(nets, params)
    h, seen = jnp.zeros(16), features(X[0])
    said = [encode.at(i, h, seen)[0].shape for i in (1, 2)]
    assert said == [(5,), (3,)]
    shape = jax.eval_shape(lambda: hvae.ladder.sample(decode, KEY, 3)).shape
    assert shape == (3, 64)


def test_a_batch_on_two_devices_has_the_loss_of_one_batch():
    """Keys of the global batch: draws do not depend on how it is cut."""
    enc = hvae.own_nets(MLP((6,), pair), MLP((4,), pair))
    dec = hvae.own_nets(MLP((64,)), MLP((6,), pair))
    model = hvae.objective(enc, dec, likelihood=likelihoods.bernoulli)
    params = jax.jit(model.init)(KEY, {"x": X})
    keys = jax.random.split(KEY, 64).reshape(2, -1)
    cut = X.reshape(2, -1, 64)

    def loss(keys, x):
        return jax.lax.pmean(model.loss(params, keys, {"x": x})[0], "i")

    value = jax.pmap(loss, axis_name="i")(keys, cut)[0]
    wanted = jax.jit(model.loss)(params, keys.reshape(-1), {"x": X})[0]
    np.testing.assert_allclose(value, wanted, rtol=1e-5)
