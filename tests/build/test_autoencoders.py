"""Autoencoders of a configuration, as identities: then every loss has a closed form."""

import jax
import numpy as np
import pytest

from build.models import batch_of, model_of

MOONS = {"name": "moons", "num": 40}
NET = {"name": "mlp", "widths": ()}
X = np.asarray(batch_of(MOONS, 8)["x"], np.float64)
KEYS = jax.random.split(jax.random.key(0), 8)
SIGMOID = 1 / (1 + np.exp(-X))
NOTHING = np.zeros(8)
RHO_HAT = SIGMOID.mean(axis=0)
KL = np.sum(0.1 * np.log(0.1 / RHO_HAT) + 0.9 * np.log(0.9 / (1 - RHO_HAT)))
DISTANCE = np.sum((X - SIGMOID) ** 2, axis=1)
LOST = {"name": "masking", "probability": 1.0, "value": 0.0}
BLACK = {"name": "salt_and_pepper", "probability": 1.0, "low": 2.0, "high": 2.0}
STILL = {"name": "gaussian", "sigma": 0.0}
CASES = [
    ("reconstruction", 0, NOTHING),
    ({"name": "denoising", "corruption": LOST}, np.mean(np.sum(X**2, 1)), NOTHING),
    (
        {"name": "denoising", "corruption": BLACK},
        np.mean(np.sum((X - 2) ** 2, 1)),
        NOTHING,
    ),
    ({"name": "denoising", "corruption": STILL}, 0, NOTHING),
    ({"name": "l1", "lam": 0.5}, 0.5 * np.mean(np.sum(np.abs(X), 1)), NOTHING),
    (
        {"name": "kl_sparse", "lam": 0.5, "rho": 0.1},
        DISTANCE.mean() + 0.5 * KL,
        DISTANCE,
    ),
    ({"name": "k_sparse", "k": 1}, np.mean(X.min(1) ** 2), X.min(1) ** 2),
    ({"name": "contractive", "lam": 0.5}, 1, NOTHING),
    ({"name": "hutchinson", "lam": 0.5, "num": 2}, 1, NOTHING),
]


@pytest.mark.parametrize("loss, value, errors", CASES, ids=lambda c: str(c)[:40])
def test_the_identity(loss, value, errors):
    """The loss of training, and the error of what the model makes of clean data."""
    model = model_of(MOONS, {"name": "ae", "latent": 2, "loss": loss}, NET)
    half = {"out": {"kernel": np.eye(2), "bias": np.zeros(2)}}
    params = {"enc": {"params": half}, "dec": {"params": half}}
    found, metrics = model.objective.loss(params, KEYS, {"x": X.astype(np.float32)})
    np.testing.assert_allclose(found, value, rtol=1e-5, atol=1e-6)
    assert metrics["loss"] == found
    each = model.error.of(params, {"x": X.astype(np.float32)})
    np.testing.assert_allclose(each, errors, rtol=1e-5, atol=1e-6)
    assert model.sampler is None and model.bound is None


def test_levels_are_told_in_nats():
    """Equal logits: log 27 for each of 5 letters."""
    text = {"name": "text", "length": 5, "transforms": ("tokens",)}
    model = model_of(text, {"name": "ae", "latent": 1, "error": "cross_entropy"}, NET)
    batch = batch_of(text, 4)
    shapes = jax.eval_shape(model.objective.init, KEYS[0], batch)
    params = jax.tree.map(lambda leaf: np.zeros(leaf.shape, np.float32), shapes)
    errors = model.error.of(params, batch)
    np.testing.assert_allclose(errors, np.full(4, 5 * np.log(27)), rtol=1e-6)
    assert model.error.unit == "nats"


MISTAKES = [
    ({"latent": 0}, "expected model.latent to be a whole number >= 1, got 0"),
    ({"loss": {"name": "l1", "lam": -1.0}}, "expected model.loss.lam"),
    ({"loss": {"name": "kl_sparse", "lam": 1.0, "rho": 1.0}}, "rho in .0, 1., got 1.0"),
    ({"loss": {"name": "k_sparse", "k": 0}}, "expected model.loss.k to be a whole"),
    ({"loss": {"name": "k_sparse", "k": 3}}, "expected 1 <= k <= 2, the latent, got"),
    ({"loss": {"name": "hutchinson", "lam": 1.0, "num": 0}}, "expected model.loss.num"),
    ({"loss": "sparse"}, "k_sparse"),
    ({"error": "squared"}, "did you mean 'squared_error'"),
    ({"error": "cross_entropy"}, "expected integers for a cross-entropy, got the real"),
]


@pytest.mark.parametrize("options, message", MISTAKES, ids=lambda c: str(c)[:40])
def test_mistakes(options, message):
    with pytest.raises(ValueError, match=message):
        model_of(MOONS, {"name": "ae", "latent": 2, **options}, NET)
