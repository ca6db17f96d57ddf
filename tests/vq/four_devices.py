"""Three training losses on four devices, printed as JSON; `test_devices` runs it.

python -m vq.four_devices        (in tests/)
"""

import functools
import json
import os

if __name__ == "__main__":
    os.environ["XLA_FLAGS"] = "--xla_force_host_platform_device_count=4"

import jax
import jax.numpy as jnp
import numpy as np

from diffjax import vq
from diffjax.core import chain, likelihoods
from vq import toys

K, STEPS, LEAST = 12, 3, 0.9


def results(devices):
    """Loss, perplexity and State after each step, the batch split over devices."""
    axis_name = "devices" if devices > 1 else None
    model = vq.ema_objective(
        toys.ENC,
        toys.DEC,
        K,
        likelihood=likelihoods.bernoulli,
        decay=0.9,
        renew=functools.partial(vq.restart, threshold=LEAST),
        start=lambda rng, z, K: jax.random.normal(rng, (K, toys.WIDTH)) + 1,
        axis_name=axis_name,
    )

    def step(params, state, keys, x):
        loss = jax.value_and_grad(model.loss, has_aux=True)
        (value, (metrics, state)), grad = loss(params, state, keys, {"x": x})
        mean = lambda v: v if devices == 1 else jax.lax.pmean(v, axis_name)  # noqa: E731
        params = jax.tree.map(lambda p, g: p - 0.1 * mean(g), params, grad)
        return params, state, mean(value), metrics["perplexity"]

    run = jax.jit(step) if devices == 1 else jax.pmap(step, axis_name=axis_name)
    split = lambda v: v.reshape(devices, -1, *v.shape[1:])  # noqa: E731
    copies = lambda tree: jax.tree.map(  # noqa: E731
        lambda v: jnp.stack([v] * devices), tree
    )
    data = toys.batch(jax.random.key(0), 32)
    params, state = model.init(jax.random.key(1), data)
    if devices > 1:
        params, state = copies(params), copies(state)
    told = []
    for i in range(STEPS):
        x = toys.batch(jax.random.fold_in(jax.random.key(2), i), 32)["x"]
        x = x[jnp.argsort(x[:, 0] + 2 * x[:, 1])]  # the devices see different data
        keys = chain.example_keys(jax.random.fold_in(jax.random.key(3), i), 32)
        if devices > 1:
            x, keys = split(x), split(keys)
        params, state, value, perplexity = run(params, state, keys, x)
        told += [value, perplexity, *state]
    return [np.asarray(v, np.float64).tolist() for v in told]


if __name__ == "__main__":
    assert jax.device_count() == 4
    print(json.dumps(results(4)))
