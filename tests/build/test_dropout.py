"""Dropout acts in training, and nowhere else."""

import functools
import re
import types

import jax
import numpy as np
import pytest

from build.models import batch_of, model_of
from diffjax import train
from diffjax.cli import events

KEYS = jax.random.split(jax.random.key(1), 4)
MOONS = {"name": "moons", "num": 40}
TEXT = {"name": "text", "length": 5, "transforms": ("tokens",)}
MODELS = {
    "ddpm": (
        MOONS,
        {"name": "ddpm", "schedule": {"name": "cosine", "T": 3}},
        {"name": "mlp", "width": 16, "depth": 1},
    ),
    "d3pm": (
        TEXT,
        {
            "name": "d3pm",
            "schedule": {"name": "inverse", "T": 3},
            "transitions": "absorbing",
        },
        {"name": "transformer", "width": 8, "depth": 1, "heads": 1, "told": 8},
    ),
    "vae": (
        TEXT,
        {"name": "vae", "latent": 2, "likelihood": "categorical"},
        {"name": "mlp", "widths": (16,)},
    ),
}


def lively(shapes):
    """Weights that are nowhere zero, or what is dropped would not be missed."""
    leaves, tree = jax.tree.flatten(shapes)
    rng = np.random.default_rng(0)
    drawn = [rng.normal(scale=0.5, size=leaf.shape) for leaf in leaves]
    return tree.unflatten([leaf.astype(np.float32) for leaf in drawn])


def uses(model, params, batch):
    """The programs of everything but training."""

    def used(params, keys, batch):
        evaluated = model.evaluated.loss(params, keys, batch)
        return (
            evaluated,
            model.bound(params, keys, batch),
            model.sampler(params, keys, 4),
        )

    return re.sub("0x[0-9a-f]+", "", str(jax.make_jaxpr(used)(params, KEYS, batch)))


@pytest.mark.parametrize("name", MODELS)
def test_dropout_acts_in_training_alone(name):
    data, spec, net = MODELS[name]
    batch = batch_of(data, 4)
    plain = model_of(data, spec, net)
    rates = [0.0, 0.5, 0.9]
    models = [model_of(data, spec, {**net, "dropout": rate}) for rate in rates]
    params = lively(jax.eval_shape(plain.objective.init, KEYS[0], batch))

    @functools.partial(jax.jit, compiler_options={"xla_backend_optimization_level": 0})
    def losses(params):
        return [model.objective.loss(params, KEYS, batch)[0] for model in models]

    none, half, most = losses(params)
    wanted = jax.jit(plain.evaluated.loss)(params, KEYS, batch)[0]
    np.testing.assert_allclose(none, wanted, rtol=1e-5)
    assert len({round(float(loss / wanted), 3) for loss in (none, half, most)}) == 3
    assert uses(models[1], params, batch) == uses(plain, params, batch)


def test_the_masks_are_those_of_train():
    """As `train.dropped` draws them, and of rate 0 the objective itself."""
    data, spec, net = MODELS["ddpm"]
    plain = model_of(data, spec, net)
    assert plain.objective is plain.evaluated
    dropping = model_of(data, spec, {**net, "dropout": 0.5})
    assert dropping.objective.loss is not dropping.evaluated.loss
    assert dropping.objective.loss.__qualname__.startswith(train.dropped.__name__)


def test_where_it_cannot_act_it_is_refused():
    data, spec, net = MODELS["vae"]
    spec = {**spec, "name": "vqvae", "K": 3}
    with pytest.raises(ValueError, match="option of net 'mlp' among widths, pos"):
        model_of(data, spec, {**net, "dropout": 0.5})
    data, spec, net = MODELS["ddpm"]
    with pytest.raises(ValueError, match="expected net.dropout < 1, got 1.0; try 0.1"):
        model_of(data, spec, {**net, "dropout": 1.0})


def test_the_command_line_evaluates_without_it(monkeypatch):
    seen = []
    monkeypatch.setattr(
        train, "evaluation", lambda objective, *_, **__: seen.append(objective)
    )
    experiment = types.SimpleNamespace(
        averages={},
        devices=types.SimpleNamespace(layout=None),
        model=types.SimpleNamespace(objective="dropping", evaluated="whole"),
    )
    events.evaluation(experiment, 0, 4)
    assert seen == ["whole"]
