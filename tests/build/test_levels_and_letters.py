"""Models of levels and of letters as configurations name them, against closed forms."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from build.models import batch_of, model_of
from diffjax.build import nets, tables
from diffjax.build.diffusions import LOSSES
from diffjax.core import times

PHOTOS = {"name": "photos", "size": 2, "stride": 40, "transforms": ("tokens",)}
TEXT = {"name": "text", "length": 8, "transforms": ("tokens",)}
KEYS = jax.random.split(jax.random.key(0), 4)
SIGMOID = lambda u: 1 / (1 + np.exp(-u))  # noqa: E731


def weights(model, batch, *, scale):
    rng = np.random.default_rng(0)
    shapes = jax.eval_shape(model.objective.init, KEYS[0], batch)
    return jax.tree.map(
        lambda leaf: (scale * rng.normal(size=leaf.shape)).astype(np.float32), shapes
    )


def logistic_levels(x, levels=256):
    """log p of levels under a logistic law of mean 0 and scale 1, its edges open."""
    centre = 2 * x.astype(np.float64) / (levels - 1) - 1
    above = np.where(x == levels - 1, 1.0, SIGMOID(centre + 1 / (levels - 1)))
    below = np.where(x == 0, 0.0, SIGMOID(centre - 1 / (levels - 1)))
    return np.log(above - below).reshape(len(x), -1).sum(axis=1)


LEVELS = {
    "vae": ({"latent": 1}, {"name": "mlp", "widths": ()}),
    "hvae": ({}, {"name": "ladder", "depths": ((1, 1, 1),), "width": 4, "latent": 2}),
    "dense hvae": ({}, {"name": "mlp", "latents": (2, 1), "width": 4}),
    "vqvae": ({"latent": 2, "K": 4}, {"name": "mlp", "widths": (), "positions": 3}),
}


@pytest.mark.parametrize("name", LEVELS)
def test_a_decoder_that_says_nothing_is_a_logistic_law_of_levels(name):
    """All weights 0: mean 0, scale 1; its latents cost nothing, codes their log K."""
    options, net = LEVELS[name]
    spec = {"name": name.split()[-1], "likelihood": "discretized_logistic", **options}
    model, batch = model_of(PHOTOS, spec, net), batch_of(PHOTOS, 4)
    params = weights(model, batch, scale=0.0)
    if name == "vqvae":
        params = {**params[0], "codebook": jnp.zeros((4, 2))}
    bound = jax.jit(model.bound)(params, KEYS, batch)
    want = logistic_levels(np.asarray(batch["x"]))
    np.testing.assert_allclose(bound.reconstruction, want, rtol=2e-5)
    rate = 3 * np.log(4) if name == "vqvae" else 0.0
    np.testing.assert_allclose(bound.rate, np.full(4, rate), rtol=1e-6, atol=1e-6)
    x = jax.jit(lambda keys: model.sampler(params, keys, 4))(KEYS)
    assert jnp.issubdtype(x.dtype, jnp.integer) and x.shape == batch["x"].shape
    assert 0 <= x.min() and x.max() <= 255


def test_an_encoder_sees_levels_on_the_symmetric_interval():
    """mean = sum x', log variance 0: KL = mean^2 / 2, whatever the decoder says."""
    options, net = LEVELS["vae"]
    spec = {"name": "vae", "likelihood": "discretized_logistic", **options}
    model, batch = model_of(PHOTOS, spec, net), batch_of(PHOTOS, 4)
    params = weights(model, batch, scale=0.0)
    params["enc"]["params"]["net"]["out"]["kernel"][:, 0] = 1
    x = 2 * np.asarray(batch["x"]).reshape(4, -1) / 255.0 - 1
    bound = jax.jit(model.bound)(params, KEYS, batch)
    np.testing.assert_allclose(bound.rate, x.sum(axis=1) ** 2 / 2, rtol=1e-5)


def test_a_ladder_sees_levels_on_the_symmetric_interval():
    spec, x = LEVELS["hvae"][1], jnp.asarray(batch_of(PHOTOS, 4)["x"])
    plain = nets.top_down(spec, (2, 2, 3), (6,)).features
    whole = nets.top_down(spec, (2, 2, 3), (6,), levels=256).features
    params = jax.jit(plain.init)(KEYS[0], x.astype(jnp.float32))["params"]
    (want,) = jax.jit(plain.apply)({"params": params}, 2 * x / 255.0 - 1)
    (found,) = jax.jit(whole.apply)({"params": {"layers_1": params}}, x)
    np.testing.assert_allclose(found, want, rtol=1e-5, atol=1e-6)


def test_left_to_right_is_a_law_over_texts(tmp_path):
    """Of two letters and length 3: eight texts, whose probabilities sum to one."""
    file = tmp_path / "text.txt"
    file.write_text("abba" * 30)
    data = {"name": "characters", "path": str(file), "length": 3}
    net = {"name": "transformer", "width": 8, "depth": 1, "heads": 2, "told": 4}
    model = model_of({**data, "transforms": ("tokens",)}, {"name": "ar"}, net)
    x = jnp.asarray(list(itertools.product(range(2), repeat=3)), jnp.int32)
    params = weights(model, {"x": x}, scale=1.0)
    keys = jax.random.split(KEYS[0], 8)

    @jax.jit
    def everything(params):
        log_p = model.bound(params, keys, {"x": x}).elbo
        loss, _ = model.objective.loss(params, KEYS[0], {"x": x})
        return log_p, loss, model.sampler(params, keys, 8)

    log_p, loss, drawn = everything(params)
    assert np.ptp(log_p) > 0.1
    np.testing.assert_allclose(np.exp(log_p).sum(), 1, rtol=1e-5)
    np.testing.assert_allclose(loss, -np.mean(log_p), rtol=1e-6)
    assert drawn.shape == (8, 3) and set(np.unique(drawn)) <= {0, 1}


def d3pm(transitions, **options):
    schedule = {"name": "inverse", "T": 3}
    given = {"name": "d3pm", "schedule": schedule, "transitions": transitions}
    net = {"name": "transformer", "width": 8, "depth": 1, "heads": 2, "told": 4}
    return model_of(TEXT, {**given, **options}, net)


@pytest.mark.parametrize("transitions", ["absorbing", "uniform"])
def test_infilling_keeps_the_letters_and_draws_the_gaps(transitions):
    model = d3pm(transitions, infill="a__ b")
    params = weights(model, batch_of(TEXT, 2), scale=0.1)
    keys = jax.random.split(KEYS[0], 40)

    @jax.jit
    def both(keys):
        return model.sampler(params, keys, 40), model.chain(params, keys, 40)

    x, chain = map(np.asarray, both(keys))
    for each in (x, chain.reshape(-1, 8)):
        np.testing.assert_array_equal(each[:, [0, 3, 4]], [[1, 0, 2]] * len(each))
    np.testing.assert_array_equal(chain[:, -1], x)
    assert all(len(set(x[:, i])) > 5 for i in (1, 2, 5, 6, 7)) and x.max() < 27


def test_mistakes_of_infilling(digits_dir):
    for text, message in [
        ("", "expected a text of 1 to 8 characters to fill in, got 0"),
        ("too long a text", "1 to 8 characters to fill in, got 15"),
        ("Ab_", "expected the 27 characters .* got 'A'; use `clean`"),
    ]:
        with pytest.raises(ValueError, match=message):
            d3pm("absorbing", infill=text)
    digits = {"name": "digits", "data_dir": digits_dir, "transforms": ("tokens",)}
    spec = {"name": "d3pm", "schedule": {"name": "inverse", "T": 3}}
    spec |= {"transitions": "uniform", "infill": "a"}
    with pytest.raises(ValueError, match="expected a model of letters to fill gaps"):
        model_of(digits, spec, {"name": "transformer"})


@pytest.mark.parametrize("name", ["mlp", "logistic_mlp"])
def test_a_dense_network_says_the_logits_of_levels(name):
    """At the start the likeliest level is x_t itself."""
    net = nets.categorical({"name": name, "width": 8, "depth": 1}, (2, 2, 3), 17)
    x = jnp.arange(24, dtype=jnp.int32).reshape(2, 2, 2, 3) % 17
    logits, _ = jax.jit(net.init_with_output)(KEYS[0], x, jnp.array([1, 2]))
    assert logits.shape == (2, 2, 2, 3, 17)
    best = jnp.argmax(logits, axis=-1)
    np.testing.assert_allclose(best, x, atol=0 if name == "mlp" else 4)


@pytest.mark.parametrize("name", ["vb", "cross_entropy", "absorbing"])
def test_a_loss_draws_its_steps_as_it_is_told(name):
    found = tables.make("model.loss", LOSSES, {"name": name, "times": "stratified"})
    assert found.keywords == {"times": times.stratified}
    assert tables.make("model.loss", LOSSES, name).keywords == {"times": times.uniform}
    with pytest.raises(ValueError, match="model.loss.times among uniform, stratified"):
        tables.make("model.loss", LOSSES, {"name": name, "times": "stratifed"})
