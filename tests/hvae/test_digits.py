"""A real data set: what layers are worth at equal parameters."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from diffjax import hvae
from diffjax.core import likelihoods
from diffjax.core.bounds import importance_bound
from diffjax.types import Objective
from hvae.nets import MLP, count, ladder, pair

SEEDS, STEPS, BATCH = (0, 1, 2), 2000, 100


def digits():
    """sklearn's 8x8 digits, binarised: 1500 to train on, 297 to test."""
    data = pytest.importorskip("sklearn.datasets").load_digits().data
    x = jnp.asarray(data / 16 > 0.5, jnp.float32)
    return x[:1500], x[1500:]


class Model(NamedTuple):
    """objective, and (params, rng, x) -> log weights [500, B], mean KLs [L]."""

    objective: Objective
    evaluate: object


def flat():
    """The VAE 64-512-8, as an HVAE of one layer."""
    enc = hvae.own_nets(MLP((512, 16), pair))
    dec = hvae.own_nets(MLP((512, 64)))

    def evaluate(params, rng, x):
        layers = enc.bind(params["enc"]), dec.bind(params["dec"])
        args = *layers, rng, x
        options = dict(likelihood=likelihoods.bernoulli)
        log_w = hvae.log_weights(*args, num=500, **options)
        return log_w, hvae.kl_report(hvae.bound(*args, **options))

    return Model(hvae.objective(enc, dec, likelihood=likelihoods.bernoulli), evaluate)


def deep():
    """Three layers from the top down, residual posteriors that start at the prior."""
    nets = ladder(204, (24, 8, 4))
    options = dict(likelihood=likelihoods.bernoulli, posterior=hvae.RESIDUAL)

    def evaluate(params, rng, x):
        encode, decode, features = hvae.ladder_of(nets, params)
        args = encode, decode, rng, x
        log_w = hvae.ladder.log_weights(*args, num=500, features=features, **options)
        bound = hvae.ladder.bound(*args, features=features, **options)
        return log_w, hvae.kl_report(bound)

    return Model(hvae.ladder_objective(nets, **options), evaluate)


def fit(objective, x, seed):
    """Adam 1e-3, every epoch in a new order, one scan."""
    optimizer = optax.adam(1e-3)
    of_init, of_order, of_noise = jax.random.split(jax.random.key(seed), 3)
    epochs = -(-STEPS * BATCH // len(x))
    order = jax.vmap(lambda k: jax.random.permutation(k, len(x)))(
        jax.random.split(of_order, epochs)
    )
    rows = order.reshape(-1, BATCH)[:STEPS]

    def step(carry, row_and_key):
        params, state = carry
        row, rng = row_and_key
        slope, _ = jax.grad(objective.loss, has_aux=True)(params, rng, {"x": x[row]})
        updates, state = optimizer.update(slope, state)
        return (optax.apply_updates(params, updates), state), None

    params = objective.init(of_init, {"x": x[:1]})
    keys = jax.random.split(of_noise, STEPS)
    start = params, optimizer.init(params)
    return jax.lax.scan(step, start, (rows, keys))[0][0]


@pytest.mark.optimized
@pytest.mark.slow
def test_three_layers_beat_one_at_equal_parameters():
    """NLL of 500 importance samples on the test set: 0.3 nats better, no layer dead.

    Mean over three seeds, the flat VAE trained with the same budget: 16.81 / 16.88 /
    16.90 against 17.21 / 17.32 / 17.36.
    """
    train, test = digits()
    nll, size = {}, {}
    for name, model in (("flat", flat()), ("deep", deep())):
        learn = jax.jit(lambda seed, m=model: fit(m.objective, train, seed))
        evaluate = jax.jit(model.evaluate)
        nll[name] = []
        for seed in SEEDS:
            params = learn(seed)
            log_w, kls = evaluate(params, jax.random.key(100 + seed), test)
            nll[name].append(float(-jnp.mean(importance_bound(log_w))))
            assert np.all(kls > 0.01), f"{name}, seed {seed}: KLs {kls}"
        size[name] = count(params)
    assert size["deep"] <= size["flat"] == 78_928
    assert 16.9 < np.mean(nll["flat"]) < 17.5, nll
    assert np.mean(nll["deep"]) < np.mean(nll["flat"]) - 0.3, nll
