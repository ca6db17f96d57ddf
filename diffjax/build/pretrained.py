"""Published networks, as the commands want them."""

from typing import Any, NamedTuple

import jax
import numpy as np
from jax.sharding import Mesh

from diffjax.build import tables
from diffjax.build.diffusions import STEPS
from diffjax.interop import diffusers
from diffjax.types import Params, Sampler


class Pretrained(NamedTuple):
    """A sampler whose weights others trained.

    sampler: (params, rng, num) -> [num, H, W, C].
    params: of its network.
    mesh: the devices.
    span: of the values that it draws.
    """

    sampler: Sampler
    params: Params
    mesh: Mesh
    span: tuple[float, float]


def load(directory: str, *, steps: int | None = None, step: Any = None) -> Pretrained:
    r"""A pipeline of Hugging Face diffusers, on all devices.

        x_T ~ N(0, I),    x_s ~ p(x_s | x_t)

    Args: directory: with model_index.json, unet/ and scheduler/.  steps: of the chain,
        all if None.  step: of STEPS, the checkpoint's own if None.
    Returns: Pretrained.
    """
    found = diffusers.load_pipeline(directory)
    move = None if step is None else tables.make("--sampler", STEPS, step)
    if steps is not None:
        tables.number("--steps", steps, least=1, whole=True)
    sampler = diffusers.sampler(found, steps=steps, step=move)
    mesh = Mesh(np.asarray(jax.devices()), ("devices",))
    return Pretrained(sampler, found.params, mesh, (-1.0, 1.0))
