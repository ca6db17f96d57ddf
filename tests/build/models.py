"""Models as configurations name them."""

import jax.numpy as jnp

from diffjax import build


def model_of(data, model, net, *, axis_name=None):
    """The model of three parts of a configuration."""
    context = build.models.Context(build.data.prepare(data), net, axis_name)
    return build.models.model(model, context)


def batch_of(data, num):
    """The first examples of the test split, on the device."""
    found = build.data.first(build.data.prepare(data), batch_size=num)
    return {name: jnp.asarray(value) for name, value in found.items()}
