"""What samples are held against: features of images.

By a classifier trained here, or by Inception where its weights are at hand.
"""

import functools
import hashlib
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from diffjax import train
from diffjax.build import data
from diffjax.build.data import Prepared
from diffjax.core import categorical
from diffjax.interop import inception as published
from diffjax.nets.classifier import Classifier
from diffjax.types import Array, Batch, Metrics, Objective, Params

STEPS, BATCH_SIZE = 300, 128
WIDTHS = (16, 64, 128, 256)
"""Channels of the blocks, each a halving; as many as leave places 2 wide or more."""
SMALLEST = 8
"""Pixels of the shorter side that a classifier needs, to halve it twice."""

WEIGHTS = tuple(published.READERS)
"""Suffixes of the files that Inception's weights may be in."""


class Judge(NamedTuple):
    """Features of images, and how they were come by.

    name: of the features, for a `Record`.
    features: x [B, H, W, C] in [0, 1] -> [B, F].
    right: share of the test split that they name rightly, None if they name nothing.
    """

    name: str
    features: Callable[[Array], Array]
    right: float | None


def classifier(prepared: Prepared, *, steps: int = STEPS) -> Judge:
    r"""A small classifier of a data set; its features are its last layer but one.

        min over params of  -1/B sum_i log p(label_i | x_i)

    The same every time, and for every model of the data: the order of the examples and
    the weights are of seed 0, and no transforms are applied.

    Args: prepared: images with labels.  steps: of Adam, on batches of 128.
    Returns: Judge.
    """
    prepared = data.plain(prepared)
    _check(prepared)
    net = _net(prepared)
    optimizer = optax.adam(optax.cosine_decay_schedule(2e-3, steps))
    objective = _objective(net)
    step = jax.jit(functools.partial(train.train_step, objective, optimizer))
    stream = data.batches(prepared, 0, batch_size=BATCH_SIZE)
    start = jax.jit(functools.partial(train.init_state, objective, optimizer))
    state = start(jax.random.key(0), _seen(prepared, next(stream)))
    for _ in range(steps):
        state, _ = step(state, _seen(prepared, next(stream)))
    stream.close()
    params = state.params

    def features(x: Array) -> Array:
        found: Any = net.apply(params, x, method="features")
        return found

    name = f"{prepared.name} classifier"
    return Judge(name, features, _right(prepared, net, params))


def inception(file: str) -> Judge:
    r"""Inception's features, by which published Frechet distances (FID) are measured.

        name = "inception " + first 8 digits of the SHA-256 of the file

    So numbers by other weights are never taken for the same, and 6726825d in the name
    says that the file is the published pt_inception-2015-12-05-6726825d.pth.

    Args: file: with one of the suffixes of `WEIGHTS`.
    Returns: Judge.
    """
    features = published.features(file)
    with Path(file).open("rb") as opened:
        digest = hashlib.file_digest(opened, "sha256").hexdigest()
    return Judge(f"inception {digest[:8]}", features, None)


def images(prepared: Prepared, x: np.ndarray) -> np.ndarray:
    r"""Examples as the images that features are of.

        levels(x) / 255

    Args: prepared: of which data they are.  x: [N, ...].
    Returns: float32 [N, H, W, C] in [0, 1].
    """
    if prepared.image is None:
        raise ValueError(
            f"expected images to compare features of, got {prepared.name}, examples "
            f"{list(prepared.shape)}; samples of it can only be looked at"
        )
    grey = data.levels(prepared, x.reshape(-1, *prepared.image))
    return grey.astype(np.float32) / 255


def _net(prepared: Prepared) -> Classifier:
    assert prepared.image is not None
    halvings = int(math.log2(min(prepared.image[:2]))) - 1
    return Classifier(num_classes=prepared.classes, widths=WIDTHS[:halvings])


def _objective(net: Classifier) -> Objective:
    def init(rng: Array, batch: Batch) -> Params:
        return net.init(rng, batch["x"])

    def loss(params: Params, rng: Array, batch: Batch) -> tuple[Array, Metrics]:
        logits: Any = net.apply(params, batch["x"])
        cost = -jnp.mean(jax.vmap(categorical.log_prob)(batch["label"], logits))
        return cost, {"loss": cost}

    return Objective(init, loss)


def _seen(prepared: Prepared, batch: data.Batch) -> Batch:
    label = np.asarray(batch["label"], np.int32)
    return {"x": jnp.asarray(images(prepared, batch["x"])), "label": jnp.asarray(label)}


def _right(prepared: Prepared, net: Classifier, params: Params) -> float:
    apply, right = jax.jit(net.apply), 0
    for batch in data.test_batches(prepared, 0, batch_size=BATCH_SIZE):
        logits = apply(params, images(prepared, batch["x"]))
        named = np.argmax(logits, axis=-1) == batch["label"]
        right += int(np.sum(named & batch["mask"]))
    return right / prepared.test.num


def _check(prepared: Prepared) -> None:
    if not prepared.classes or prepared.image is None:
        raise ValueError(
            f"expected images with labels to train a classifier on, got "
            f"{prepared.name}; give features of your own: --features FILE"
        )
    if min(prepared.image[:2]) < SMALLEST:
        raise ValueError(
            f"expected images of {SMALLEST} x {SMALLEST} or more to train a "
            f"classifier on, got {prepared.image[0]} x {prepared.image[1]}; give "
            "features of your own: --features FILE"
        )
