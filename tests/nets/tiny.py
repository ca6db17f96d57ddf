"""The smallest network of each kind, its inputs, and weights that are nowhere zero."""

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from diffjax.nets import classifier, conv, dit, ladder, mlp, transformer, vdm

KEY = jax.random.key(0)
jit = functools.partial(jax.jit, compiler_options={"xla_backend_optimization_level": 0})
"""Compiles in half the time; nothing here runs long."""


class Case(NamedTuple):
    """A network and the inputs of 7 examples."""

    net: Any
    inputs: tuple


def images(*size, num=7):
    return jax.random.normal(KEY, (num, *size))


T = jnp.arange(1, 8)
TOKENS = jax.random.randint(KEY, (7, 6), 0, 5)
LEVELS = (ladder.Level(2, 2, 2), ladder.Level(1, 1, 1))
PARTS = ladder.top_down((8, 8), (1,), LEVELS, width=8, latent=2)
NETS = {
    "MLP": Case(mlp.MLP(shape=(3, 2), widths=(8, 8)), (images(5),)),
    "ResidualMLP": Case(
        mlp.ResidualMLP(width=16, depth=2, num_classes=8), (images(2), T, T)
    ),
    "Encoder": Case(
        conv.Encoder(channels=3, widths=(4, 8), blocks=2), (images(9, 11, 2),)
    ),
    "Decoder": Case(
        conv.Decoder(shape=(9, 11, 2), widths=(4, 8), blocks=2), (images(3, 3, 3),)
    ),
    "Transformer": Case(
        transformer.Transformer(K=5, width=8, depth=3, heads=2, told=8), (TOKENS, T)
    ),
    "CausalTransformer": Case(
        transformer.CausalTransformer(
            K=5, width=8, depth=3, heads=2, told=8, num_classes=8
        ),
        (TOKENS.reshape(7, 2, 3), T),
    ),
    "DiT": Case(dit.DiT(width=16, depth=3, heads=2, features=8), (images(4, 6, 3), T)),
    "FlatUNet": Case(
        vdm.FlatUNet(depth=3, width=8, groups=2, first=0, last=1),
        (images(5, 7, 3), T / 7),
    ),
    "Classifier": Case(
        classifier.Classifier(num_classes=4, widths=(4, 8), groups=2),
        (images(9, 11, 2),),
    ),
    "TimedClassifier": Case(
        classifier.TimedClassifier(num_classes=4, widths=(4, 8), groups=2, told=8),
        (images(9, 11, 2), T),
    ),
    "Features": Case(PARTS.features, (images(8, 8, 1),)),
    "Merge": Case(PARTS.merge[2], (images(4, 4, 20), images(4, 4, 2))),
}


def weights(net, *inputs, scale=0.3):
    """Every entry drawn, also of what starts as 0; no compilation."""
    return drawn(jax.eval_shape(net.init, KEY, *inputs), scale=scale)


def drawn(like, *, scale):
    rng = np.random.default_rng(0)
    return jax.tree.map(
        lambda p: jnp.asarray(scale * rng.standard_normal(p.shape), p.dtype), like
    )


def count(net, *inputs):
    like = jax.eval_shape(net.init, KEY, *inputs)
    return sum(p.size for p in jax.tree.leaves(like))
