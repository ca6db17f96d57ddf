"""Four simulated devices train as one does: restarts, averages, losses, perplexity."""

import json
import os
import pathlib
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from diffjax import vq
from vq import four_devices

TESTS = pathlib.Path(__file__).parents[1]


@pytest.mark.slow
def test_four_devices_equal_one():
    """In a process of its own, since a process has its number of devices for life."""
    command = [sys.executable, "-m", "vq.four_devices"]
    path = os.pathsep.join([str(TESTS), str(TESTS.parent)])
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        cwd=TESTS,
        env=os.environ | {"PYTHONPATH": path},
    )
    assert done.returncode == 0, done.stderr
    four, one = json.loads(done.stdout), four_devices.results(1)
    assert len(four) == len(one) == 5 * four_devices.STEPS
    least = four_devices.LEAST * 64 / four_devices.K
    assert np.isclose(one[3], least).sum() > 2  # some codes were drawn anew
    for several, single in zip(four, one, strict=True):
        assert len(several) == 4
        for each in several:
            np.testing.assert_allclose(each, single, rtol=1e-5, atol=1e-5)


def on_four(function, rng, z):
    """A function of (rng, a quarter of z) on four devices that share an axis."""
    mapped = jax.vmap(function, in_axes=(None, 0), axis_name="devices")
    return jax.jit(mapped)(rng, z.reshape(4, -1, z.shape[-1]))


def test_every_replica_draws_the_same_codes():
    """Those of one device: from the data, by k-means, and to replace dead ones."""
    z = jax.random.normal(jax.random.key(0), (64, 3))
    state = vq.ema_init(jnp.ones((8, 3)), n=jnp.arange(8.0))
    draws = {
        "data": lambda rng, z, a: vq.init_from_data(rng, z, 8, axis_name=a),
        "kmeans": lambda rng, z, a: vq.init_kmeans(rng, z, 8, steps=3, axis_name=a),
        "restart": lambda rng, z, a: (
            vq.restart(rng, state, z, threshold=0.5, axis_name=a).codebook
        ),
    }
    for name, draw in draws.items():
        on_one = jax.jit(lambda r, z, d=draw: d(r, z, None))
        whole = on_one(jax.random.key(1), z)
        parts = on_four(lambda r, z, d=draw: d(r, z, "devices"), jax.random.key(1), z)
        want = np.broadcast_to(whole, parts.shape)
        np.testing.assert_allclose(parts, want, rtol=1e-5, err_msg=name)
        assert len(np.unique(whole, axis=0)) >= 4
