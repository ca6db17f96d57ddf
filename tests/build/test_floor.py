"""The line of a training set learned by heart, exactly and by the optimal diffusion."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from diffjax.build import data, floor
from diffjax.core import schedules
from diffjax.core.bounds import bits_per_dim
from diffjax.data.dataset import Source

RNG = np.random.default_rng(0)


@pytest.fixture(scope="module")
def digits(digits_dir):
    return data.prepare(
        {"name": "digits", "data_dir": digits_dir, "transforms": ("tokens",)}
    )


def of_few(digits, x):
    return digits._replace(train=Source(len(x), lambda rows: {"x": x[rows]}))


def test_the_floor_is_the_entropy_of_the_examples(digits):
    """Of a, a, b, c: 1.5 bits, over 64 pixels; of N different ones log2 N."""
    a, b, c = RNG.integers(0, 17, (3, 8, 8, 1), dtype=np.uint8)
    found = floor.floor(of_few(digits, np.stack([a, a, b, c])))
    np.testing.assert_allclose(found, 1.5 / 64, rtol=1e-12)
    np.testing.assert_allclose(floor.floor(digits), np.log2(1500) / 64, rtol=1e-12)


def test_the_exact_optimum_tends_to_the_floor_on_what_it_knows(digits):
    """Never below it, closer with more steps; and worse than equal odds elsewhere."""
    few = of_few(digits, digits.train.read(np.arange(12))["x"])
    line = floor.floor(few)
    above = []
    for T in (8, 128):
        bound = jax.jit(floor.by_heart(few, schedules.cosine(T)))
        known = few.train.read(np.arange(12).repeat(20))["x"]
        terms = bound(jax.random.key(0), jnp.asarray(known))
        assert (terms.divergences >= 0).all() and (terms.prior >= 0).all()
        bits = bits_per_dim(-terms.elbo, 64)
        above.append(float(bits.mean()) - line)
        assert above[-1] > -4 * bits.std() / len(bits) ** 0.5
    assert above[1] < 0.1 * line and above[1] < 0.5 * above[0], above
    new = jnp.asarray(digits.test.read(np.arange(240))["x"])
    bits = bits_per_dim(-bound(jax.random.key(1), new).elbo, 64)
    assert bits.mean() > np.log2(17)


def test_reals_have_no_floor():
    moons = data.prepare({"name": "moons", "num": 40})
    with pytest.raises(ValueError, match="got the real numbers of moons"):
        floor.floor(moons)
