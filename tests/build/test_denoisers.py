"""Classes and learned variances of a configuration, against the chapter's functions."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from build.models import batch_of, model_of
from diffjax import ddpm
from diffjax.core import schedules
from diffjax.ddpm import conditioning
from diffjax.nets import mlp

PHOTOS = {"name": "photos", "size": 2, "stride": 40, "transforms": ("symmetric",)}
MOONS = {"name": "moons", "num": 40}
BETAS = {"beta_min": 0.1, "beta_max": 0.5}
SPEC = {"name": "ddpm", "schedule": {"name": "linear", "T": 4, **BETAS}}
SCHEDULE = schedules.linear(4, **BETAS)
NET = {"name": "mlp", "width": 8, "depth": 1}
KEYS = jax.random.split(jax.random.key(0), 4)


def weights(model, batch, *, scale):
    """Any; of scale 0 those whose output is 0 and then what "out" is set to."""
    rng = np.random.default_rng(0)
    shapes = jax.eval_shape(model.objective.init, KEYS[0], batch)
    return jax.tree.map(
        lambda leaf: scale * rng.normal(size=leaf.shape).astype(np.float32), shapes
    )


@pytest.mark.parametrize("data", [PHOTOS, MOONS], ids=["photos", "moons"])
@pytest.mark.parametrize("place, name", [(-1.0, "small"), (1.0, "large")])
def test_a_learned_variance_at_an_end_of_its_range_is_that_end(data, place, name):
    """Same mean, same variance: the same divergences, the same samples."""
    batch = batch_of(data, 4)
    learned = model_of(data, {**SPEC, "variance": "learned_range"}, NET)
    fixed = model_of(data, {**SPEC, "variance": name}, NET)
    params = weights(learned, batch, scale=0.0)
    bias = params["params"]["out"]["bias"].reshape(-1, 2, batch["x"].shape[-1])
    bias[:, 1] = place

    @jax.jit
    def both(params, others):
        pairs = (learned, params), (fixed, others)
        bounds = [model.bound(p, KEYS, batch) for model, p in pairs]
        return bounds, [model.sampler(p, KEYS, 4) for model, p in pairs]

    bounds, samples = both(params, weights(fixed, batch, scale=0.0))
    np.testing.assert_allclose(*[b.divergences for b in bounds], rtol=1e-4)
    # Of levels, a fixed one ends in the small variance of t = 2; else as it is.
    same = np.allclose(*[b.reconstruction for b in bounds], rtol=1e-4)
    assert same == (name == "small" or data is MOONS)
    np.testing.assert_allclose(*samples, rtol=1e-4, atol=1e-5)


def test_a_learned_variance_is_trained_for_the_data_s_own_levels(digits_dir):
    """The digits have 17, and the first step's cost says so."""
    digits = {"name": "digits", "data_dir": digits_dir, "transforms": ("symmetric",)}
    batch = batch_of(digits, 4)
    spec = {**SPEC, "variance": "learned_range", "loss": {"name": "hybrid", "lam": 0.5}}
    model = model_of(digits, spec, NET)
    params = weights(model, batch, scale=0.3)
    net = mlp.ResidualMLP(shape=(8, 8, 2), width=8, depth=1)

    @jax.jit
    def losses(params):
        denoise, variance = ddpm.split_net(net, SCHEDULE, params)
        decoder = ddpm.likelihood.discretized_decoder(variance=variance, levels=17)
        options = {"variance": variance, "lam": 0.5, "decoder": decoder}
        wanted = ddpm.hybrid_loss(denoise, SCHEDULE, KEYS, batch["x"], **options)
        return model.objective.loss(params, KEYS, batch)[0], wanted

    np.testing.assert_allclose(*losses(params), rtol=1e-5)


def test_classes_are_trained_and_drawn_as_the_chapter_does():
    batch = batch_of(PHOTOS, 4)
    batch["label"] = jnp.asarray([0, 1, 0, 1])
    spec = {**SPEC, "classes": True, "drop": 0.3}
    plain = model_of(PHOTOS, spec, NET)
    guided = model_of(PHOTOS, {**spec, "label": 1, "guidance": 3.0}, NET)
    params = weights(plain, batch, scale=0.3)
    net = mlp.ResidualMLP(shape=(2, 2, 3), width=8, depth=1, num_classes=3)

    @jax.jit
    def found(params):
        sampler = conditioning.conditional_sampler
        options = {"null_label": 2, "label": 1}
        objective = conditioning.conditional_objective(
            net, SCHEDULE, null_label=2, drop=0.3
        )
        deaf = type("Deaf", (), {})()
        deaf.apply = lambda p, x, t: net.apply(p, x, t, jnp.full(len(t), 2))
        shape = (2, 2, 3)
        return {
            "loss": [
                plain.objective.loss(params, KEYS, batch)[0],
                objective.loss(params, KEYS, batch)[0],
            ],
            "guided": [
                guided.sampler(params, KEYS, 4),
                sampler(net, SCHEDULE, shape, scale=3.0, **options)(params, KEYS, 4),
            ],
            "anything": [
                plain.sampler(params, KEYS, 4),
                sampler(net, SCHEDULE, shape, scale=0.0, **options)(params, KEYS, 4),
            ],
            "bound": [
                guided.bound(params, KEYS, batch).elbo,
                ddpm.net_bound(deaf, SCHEDULE)(params, KEYS, batch).elbo,
            ],
        }

    pairs = found(params)
    for mine, wanted in pairs.values():
        np.testing.assert_allclose(mine, wanted, rtol=1e-4, atol=1e-5)
    assert not np.allclose(pairs["guided"][0], pairs["anything"][0], atol=1e-2)


MISTAKES = [
    ({"classes": True}, MOONS, "expected labels for model.classes, got moons without"),
    ({"classes": True, "drop": 0.0}, PHOTOS, "expected 0 < model.drop < 1, got 0.0"),
    ({"classes": True, "label": 2}, PHOTOS, "expected a label in 0..1, got 2"),
    ({"label": 1}, PHOTOS, "expected no label for a model without classes, got 1"),
    ({"guidance": 2.0}, PHOTOS, "expected a label to guide to, got none"),
    ({"variance": "learned"}, PHOTOS, "did you mean 'learned_range'"),
    (
        {"variance": "learned_range", "parameterization": "v"},
        PHOTOS,
        "expected eps of uniform weight and no classes with variance 'learned_range'",
    ),
]


@pytest.mark.parametrize("options, data, message", MISTAKES)
def test_mistakes(options, data, message):
    with pytest.raises(ValueError, match=message):
        model_of(data, {**SPEC, **options}, NET)


def test_a_network_without_channels_to_spare():
    with pytest.raises(ValueError, match="'flat_unet'; take unet, dit or mlp"):
        model_of(PHOTOS, {**SPEC, "variance": "learned_range"}, {"name": "flat_unet"})
