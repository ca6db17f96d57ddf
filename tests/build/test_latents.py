"""Latent-variable models of a configuration: losses, and log p(x) by many draws."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from build.models import batch_of, model_of
from diffjax import vae
from diffjax.core import oracle

KEY = jax.random.key(0)
DIGITS = {"name": "digits", "transforms": ("binarize", "flatten")}
NET = {"name": "mlp", "widths": (4,)}
LOSSES = {
    "elbo": vae.elbo_loss,
    "iwae": lambda *args, **options: vae.iwae_loss(*args, num=3, **options),
    "dreg": lambda *args, **options: vae.dreg_loss(*args, num=3, **options),
    "resampled_iwae": lambda *args, **options: vae.resampled_iwae_loss(
        *args, num=3, kept=2, **options
    ),
}
OPTIONS = {"elbo": {}, "resampled_iwae": {"num": 3, "kept": 2}}


@pytest.fixture(scope="module")
def digits(digits_dir):
    return {**DIGITS, "data_dir": digits_dir}


def mlps(params):
    """The two networks by hand: one hidden layer of GELU."""

    def of(part):
        def apply(x):
            one = part["params"]
            hidden, out = one["hidden_0"]["dense"], one["out"]
            h = jax.nn.gelu(x @ hidden["kernel"] + hidden["bias"])
            return h @ out["kernel"] + out["bias"]

        return apply

    return lambda x: tuple(jnp.split(of(params["enc"])(x), 2)), of(params["dec"])


@pytest.mark.parametrize("name", LOSSES)
def test_a_vae_is_trained_on_the_loss_it_names(name, digits):
    """And on the bound until then; what is reported is the bound all the time."""
    spec = {"name": name, **OPTIONS.get(name, {"num": 3})}
    model = model_of(
        digits, {"name": "vae", "latent": 2, "loss": spec, "elbo_steps": 7}, NET
    )
    batch = batch_of(digits, 6)
    params = model.objective.init(KEY, batch)
    args = *mlps(params), KEY, batch["x"]
    bound = vae.bound(*args)
    for step, loss in ((6, vae.elbo_loss), (7, LOSSES[name])):
        told = {**batch, "step": jnp.full(6, step)}
        value, metrics = model.objective.loss(params, KEY, told)
        np.testing.assert_allclose(value, loss(*args), rtol=1e-5)
        np.testing.assert_allclose(metrics["elbo"], bound.elbo.mean(), rtol=1e-5)


def test_many_draws_give_the_evidence_of_a_linear_vae():
    """A linear decoder is pPCA, whose log p(x) is known, whatever the encoder."""
    moons = {"name": "moons", "num": 40}
    net = {"name": "mlp", "widths": ()}
    spec = {"name": "vae", "latent": 1, "likelihood": "gaussian", "sigma": 0.5}
    model, batch = model_of(moons, spec, net), batch_of(moons, 8)
    params = model.objective.init(KEY, batch)
    out = params["dec"]["params"]["out"]
    linear = oracle.linear_gaussian.LinearGaussian(
        out["kernel"].T, out["bias"], jnp.log(0.25)
    )
    exact = jax.vmap(lambda x: oracle.linear_gaussian.log_evidence(linear, x))
    found = jax.jit(model.nll(20_000))(params, KEY, batch)
    np.testing.assert_allclose(found, -exact(batch["x"]), atol=0.03)
    one = model.nll(1)(params, KEY, batch)
    assert np.mean(one) > np.mean(found)


def test_many_draws_of_a_ladder_are_many_weights_of_one(digits):
    """-log of the mean weight, near that of as many draws one by one, below -log w."""
    images = {**digits, "transforms": ("binarize",)}
    net = {"name": "ladder", "depths": ((1, 1, 1),), "width": 8, "latent": 2}
    model, batch = model_of(images, {"name": "hvae"}, net), batch_of(images, 2)
    params = model.objective.init(KEY, batch)
    found = jax.jit(model.nll(500))(params, KEY, batch)
    tiled = {"x": jnp.tile(batch["x"], (500, 1, 1, 1))}
    ones = jax.jit(model.nll(1))(params, jax.random.key(1), tiled).reshape(500, 2)
    mixed = np.log(500) - jax.nn.logsumexp(-ones, axis=0)
    np.testing.assert_allclose(found, mixed, atol=0.5)
    assert np.all(found < ones.mean(0) - 0.5)


MISTAKES = [
    ({"loss": "iwea"}, "did you mean 'iwae'"),
    ({"loss": "iwae"}, "expected model.loss.num, which 'iwae' needs, got none"),
    ({"loss": {"name": "dreg", "num": 0}}, "expected model.loss.num to be a whole"),
    (
        {"loss": {"name": "resampled_iwae", "num": 5, "kept": 0}},
        "expected model.loss.kept to be a whole number >= 1, got 0",
    ),
    ({"loss": {"name": "elbo", "beta": -1.0}}, "expected model.loss.beta to be a"),
    ({"elbo_steps": -1}, "expected model.elbo_steps to be a whole number >= 0, got -1"),
]


@pytest.mark.parametrize("options, message", MISTAKES, ids=lambda c: str(c)[:40])
def test_mistakes(options, message, digits):
    with pytest.raises(ValueError, match=message):
        model_of(digits, {"name": "vae", "latent": 2, **options}, NET)
