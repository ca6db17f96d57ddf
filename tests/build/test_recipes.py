"""What published recipes ask of a configuration: data, optimizers, thresholds."""

import itertools

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from scipy import special

from build.models import batch_of, model_of
from diffjax import build, d3pm
from diffjax.build import nets, training
from diffjax.nets import heads
from diffjax.train import guards

PHOTOS = {"name": "photos", "size": 4, "stride": 40}
TEXT = {"name": "text", "length": 5, "transforms": ("tokens",)}
KEYS = jax.random.split(jax.random.key(0), 4)


def test_augmentation_is_for_training_alone():
    """Every other training example is mirrored, no test example ever."""
    plain = build.data.prepare({**PHOTOS, "transforms": ("symmetric",)})
    flipped = build.data.prepare(
        {**PHOTOS, "augment": ("flip",), "transforms": ("symmetric",)}
    )

    def seen(data):
        stream = build.data.batches(data, 0, batch_size=100)
        train = next(stream)["x"]
        stream.close()
        tests = itertools.islice(build.data.test_batches(data, 0, batch_size=8), 2)
        return train, np.concatenate([batch["x"] for batch in tests])

    (train, test), (varied, same) = seen(plain), seen(flipped)
    np.testing.assert_array_equal(test, same)
    turned = np.array([(a == b[:, ::-1]).all() for a, b in zip(train, varied)])  # noqa: B905
    kept = np.array([(a == b).all() for a, b in zip(train, varied)])  # noqa: B905
    assert (turned | kept).all() and 30 < (turned & ~kept).sum() < 70


def test_what_cuts_examples_is_for_both():
    with pytest.raises(ValueError, match="of one shape, got .2, 2, 3. and .4, 4, 3.; "):
        build.data.prepare({**PHOTOS, "augment": ({"name": "crop", "size": 2},)})


def rates(decay, *, steps=1000, warmup=100, num=1000):
    """What stochastic gradient descent would subtract, gradient 1 at every step."""
    spec = {"name": "sgd", "learning_rate": 0.5, "warmup": warmup, "decay": decay}
    optimizer = training.optimizer(spec, steps)

    def step(state, _):
        update, state = optimizer.update(one, state)
        return state, -update

    one = jnp.ones(())
    return np.asarray(jax.lax.scan(step, optimizer.init(one), length=num)[1])


def test_a_rate_that_falls_as_the_root_of_the_step():
    found = rates("rsqrt")
    steps = np.arange(1000)
    wanted = 0.5 * np.where(
        steps < 100, steps / 100, np.sqrt(100 / np.maximum(steps, 1))
    )
    np.testing.assert_allclose(found, wanted, rtol=1e-5)


def test_a_threshold_is_of_the_gradient_before_it_is_clipped():
    spec = {"name": "sgd", "learning_rate": 1.0, "clip": 1.0, "skip": 5.0}
    guard = training.guard(spec)
    assert [bool(guard(guards.start(), norm)[0]) for norm in (4.9, 5.0)] == [
        True,
        False,
    ]
    assert isinstance(training.optimizer(spec, 10), optax.GradientTransformation)
    unusual = training.guard({**spec, "skip": 0.0})
    assert bool(unusual(guards.start(), np.float32(1e9))[0])  # nothing is usual yet


def test_a_level_may_be_the_mask():
    """Grey 128 is where the others go, and its own bound is 0 but for the network."""
    spec = {
        "name": "d3pm",
        "schedule": {"name": "inverse", "T": 3},
        "transitions": {"name": "absorbing_level", "level": 128},
    }
    net = {"name": "unet", "widths": (4,), "attention": (False,), "groups": 2}
    data = {**PHOTOS, "transforms": ("tokens",)}
    model = model_of(data, spec, {**net, "layers": 1, "mid_attention": False})
    batch = batch_of(data, 4)
    params = jax.eval_shape(model.objective.init, KEYS[0], batch)
    zero = jax.tree.map(lambda leaf: np.zeros(leaf.shape, np.float32), params)
    bound = jax.jit(model.bound)(zero, KEYS, batch)
    family = d3pm.transitions.absorbing(1 / np.arange(3, 0, -1), 256, mask=128)
    wanted = jax.vmap(lambda x: d3pm.likelihood.prior(family, x, 3))(batch["x"])
    np.testing.assert_allclose(bound.prior, wanted)
    assert bool((bound.elbo < 0).all()) and bool(np.isfinite(bound.elbo).all())
    with pytest.raises(ValueError, match="expected model.transitions.level to be a wh"):
        spec["transitions"]["level"] = -1
        model_of(data, spec, net)


def masked(net=(), **options):
    spec = {"name": "masked", "T": 4, **options}
    return model_of(TEXT, spec, {**TINY, **dict(net)})


TINY = {"name": "transformer", "width": 8, "depth": 1, "heads": 1, "told": 8}


def test_masked_diffusion_of_a_network_that_knows_nothing():
    """Equal logits: every letter costs log 27, in T steps and in continuous time."""
    batch, model = batch_of(TEXT, 4), masked(alpha="cosine")
    shapes = jax.eval_shape(model.objective.init, KEYS[0], batch)
    zero = jax.tree.map(lambda leaf: np.zeros(leaf.shape, np.float32), shapes)

    # As arguments: closed over, jaxlib 0.12 gave nan now and then, 0.10 never.
    @jax.jit
    def costs(rng, zero, batch):
        keys = jax.random.split(rng, (400, 4))
        stepped = jax.vmap(lambda rng: -model.bound(zero, rng, batch).elbo)(keys)
        trained = jax.vmap(lambda rng: model.objective.loss(zero, rng, batch)[0])(keys)
        return stepped.mean(1), trained

    for found in costs(jax.random.key(1), zero, batch):
        error = np.std(found) / np.sqrt(len(found))
        assert abs(np.mean(found) - 5 * np.log(27)) < 4 * error


def test_a_network_is_told_of_time_on_the_unit_interval():
    """Bound, samples and training ask at i / T and at real t alike."""
    told = []

    def seen(x, t, *rest, rng=None):
        told.append(t)
        return jax.nn.one_hot(x, 28)

    model = masked()
    batch = batch_of(TEXT, 4)
    params = jax.eval_shape(model.objective.init, KEYS[0], batch)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            "diffjax.nets.transformer.Transformer.apply",
            lambda self, params, *inputs, **extra: seen(*inputs, **extra),
        )
        jax.eval_shape(model.bound, params, KEYS, batch)
        jax.eval_shape(lambda params: model.sampler(params, KEYS, 4), params)
        jax.eval_shape(model.objective.loss, params, KEYS, batch)
    assert {np.issubdtype(t.dtype, np.floating) for t in told} == {True}


MISTAKES = [
    ({"alpha": "sine"}, "did you mean 'linear'|choose one|got 'sine'"),
    ({"alpha": {"name": "polynomial", "power": 0}}, "expected power > 0, got 0"),
    ({"T": 0}, "expected model.T to be a whole number >= 1, got 0"),
    ({"steps": 9}, "expected model.steps <= T, got 9 > 4"),
]


@pytest.mark.parametrize("options, message", MISTAKES, ids=lambda c: str(c)[:30])
def test_mistakes(options, message):
    with pytest.raises(ValueError, match=message):
        masked(**options)


def blank(model, batch):
    """Parameters that are all 0."""
    shapes = jax.eval_shape(model.objective.init, KEYS[0], batch)
    return jax.tree.map(lambda leaf: np.zeros(leaf.shape, leaf.dtype), shapes)


def test_a_mixture_of_logistics_for_each_pixel(digits_dir):
    """Of a network of zeros: one logistic of mean 0 and scale 1, in bins of 2 / 255."""
    data = {**PHOTOS, "size": 8, "transforms": ("tokens",)}
    net = {"name": "ladder", "depths": ((1, 1, 2), (1, 1, 1)), "width": 4, "latent": 2}
    spec = {"name": "hvae", "likelihood": "logistic_mixture", "mixtures": 3}
    model, batch = model_of(data, spec, net), batch_of(data, 4)
    params = blank(model, batch)
    assert params["read"]["params"]["out"]["bias"].shape == (30,)
    bound = jax.jit(model.bound)(params, KEYS, batch)
    levels = np.arange(256)
    edges = np.where(levels < 255, special.expit((2 * levels + 1) / 255 - 1), 1)
    costs = -np.log(np.diff(np.concatenate([[0.0], edges])))
    wanted = costs[np.asarray(batch["x"])].reshape(4, -1).sum(1)
    np.testing.assert_allclose(-bound.reconstruction, wanted, rtol=1e-5)
    drawn = jax.eval_shape(lambda p: model.sampler(p, KEYS, 4), params)
    assert drawn.shape == (4, 8, 8, 3) and drawn.dtype == np.int32
    grey = {"name": "digits", "data_dir": digits_dir, "transforms": ("tokens",)}
    with pytest.raises(ValueError, match="expected images .H, W, 3. for a mixture"):
        model_of(grey, spec, net)


def test_several_codes_at_a_place():
    """Two of 5 at each of 4 x 4 places: 32 log 5 nats, and two vectors to choose."""
    data = {**PHOTOS, "size": 8, "transforms": ("tokens",)}
    net = {"name": "conv", "widths": (4,), "blocks": 1, "vectors": 2}
    spec = {"name": "vqvae", "K": 5, "latent": 3, "likelihood": "categorical"}
    model, batch = model_of(data, spec, net), batch_of(data, 4)
    params, memory = jax.jit(model.objective.init)(KEYS[0], batch)
    params = model.trained(params, memory)
    bound = jax.jit(model.bound)(params, KEYS, batch)
    np.testing.assert_allclose(bound.rate, 32 * np.log(5), rtol=1e-6)
    codes = model.coder.codes(params, batch)
    assert codes.shape == (4, 4, 4, 2) and memory.codebook.shape == (5, 3)


def test_one_vector_for_a_whole_image():
    """Every latent sees the first pixel, and every pixel is told of each latent."""
    enc, dec, places = nets.pair(
        {"name": "conv_vector", "widths": (4, 4), "hidden": (8,)}, (9, 12, 1), 6, ()
    )
    x, z = jnp.zeros((2, 9, 12, 1)), jnp.zeros((2, 3))
    of_enc, of_dec = enc.init(KEYS[0], x), dec.init(KEYS[1], z)
    assert places == () and jax.eval_shape(dec.apply, of_dec, z).shape == (2, 9, 12, 1)

    @jax.jit
    def reaches(of_enc, of_dec, x, z):
        latents = jax.jacrev(lambda x: enc.apply(of_enc, x)[0])(x)[:, 0, 0, 0, 0]
        return latents, jax.jacrev(lambda z: dec.apply(of_dec, z)[0])(z)[..., 0, :]

    latents, pixels = reaches(of_enc, of_dec, x + 1, z + 1)
    assert latents.shape == (6,) and pixels.shape == (9, 12, 1, 3)
    assert (latents != 0).all() and (pixels != 0).all()


def test_vectors_go_back_to_the_channels_that_they_were():
    class Same(nn.Module):
        @nn.compact
        def __call__(self, x, *, rng=None):
            return x

    x = jnp.arange(24.0).reshape(1, 2, 2, 6)
    cut = heads.Apart(Same(), 2).apply({}, x)
    np.testing.assert_array_equal(cut[..., 1, :], x[..., 3:])
    np.testing.assert_array_equal(heads.Joined(Same()).apply({}, cut), x)
