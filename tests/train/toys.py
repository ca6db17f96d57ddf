"""Small objectives and batches with a position, for the tests of training."""

import functools
import time

import jax
import jax.numpy as jnp
import numpy as np

from diffjax import d3pm, ddpm, vq
from diffjax.core import schedules
from diffjax.train import stateful
from diffjax.types import Objective, StatefulObjective
from diffjax.vae.objective import Functions

TOKENS = 5


class Numbers:
    """Endless batches, a function of their number; of this process its part."""

    def __init__(
        self,
        size=16,
        *,
        count=1,
        index=0,
        pause=0.0,
        spoil=lambda number, batch: batch,
    ):
        self.number, self.size, self.pause, self.spoil = 0, size, pause, spoil
        self.part = slice(index * size // count, (index + 1) * size // count)

    def __next__(self):
        time.sleep(self.pause)
        self.number += 1
        rng = np.random.default_rng(self.number)
        x = rng.normal(size=(self.size, 6)).astype(np.float32)
        tokens = rng.integers(0, TOKENS, (self.size, 4)).astype(np.int32)
        batch = self.spoil(self.number, {"x": x, "tokens": tokens})
        return {name: leaf[self.part] for name, leaf in batch.items()}

    def get_state(self):
        return {"number": self.number}

    def set_state(self, state):
        self.number = state["number"]


def linear():
    """Predict noise of each example's own key: both data and keys matter."""

    def init(rng, batch):
        return {"w": jax.random.normal(rng, batch["x"].shape[1:])}

    def loss(params, rng, batch):
        noise = jax.vmap(lambda key: jax.random.normal(key, ()))(rng)
        value = jnp.mean((batch["x"] @ params["w"] - noise) ** 2)
        return value, {"loss": value}

    return Objective(init, loss)


def with_ballast(objective, size):
    """More parameters, which move at every step."""

    def init(rng, batch):
        ballast = jax.random.normal(rng, (size,))
        return {**objective.init(rng, batch), "ballast": ballast}

    def loss(params, rng, batch):
        value, metrics = objective.loss({"w": params["w"]}, rng, batch)
        return value + jnp.mean(params["ballast"] ** 2), metrics

    return Objective(init, loss)


def net(width, outputs, *, features):
    """A network of one hidden layer that sees t."""

    def init(rng, x, *t):
        first, second = jax.random.split(rng)
        inputs = features(x, *t).shape[-1]
        return {
            "in": jax.random.normal(first, (inputs, width)) / inputs**0.5,
            "out": jax.random.normal(second, (width, outputs)) / width**0.5,
        }

    def apply(params, x, *t):
        return jnp.tanh(features(x, *t) @ params["in"]) @ params["out"]

    return Functions(init, apply)


def with_time(x, t):
    return jnp.concatenate([x, jnp.sin(t / 3)[:, None]], axis=-1)


def of_tokens(x, t):
    return with_time(jax.nn.one_hot(x, TOKENS).reshape(len(x), -1), t)


def chapters(axis_name):
    """A DDPM, a VQ-EMA model and a D3PM, trained side by side as one objective."""
    betas = np.linspace(0.1, 0.5, 8)
    denoiser = net(16, 4 * TOKENS, features=of_tokens)
    shaped = Functions(
        denoiser.init,
        lambda params, x, t: denoiser.apply(params, x, t).reshape(-1, 4, TOKENS),
    )
    enc, dec = (net(8, size, features=lambda x: x) for size in (3, 6))
    models = {
        "ddpm": ddpm.objective(net(16, 6, features=with_time), schedules.linear(20)),
        "vq": vq.ema_objective(
            enc,
            dec,
            4,
            likelihood=lambda x, mean: -jnp.sum((x - mean) ** 2),
            start=lambda rng, z, K: jax.random.normal(rng, (K, 3)),
            axis_name=axis_name,
        ),
        "d3pm": d3pm.objective(shaped, d3pm.transitions.uniform(betas, TOKENS)),
    }
    return side_by_side({name: stateful(model) for name, model in models.items()})


def side_by_side(models):
    def seen(name, batch):
        return batch | {"x": batch["tokens"]} if name == "d3pm" else batch

    def init(rng, batch):
        both = {n: m.init(rng, seen(n, batch)) for n, m in models.items()}
        return {n: b[0] for n, b in both.items()}, {n: b[1] for n, b in both.items()}

    def loss(params, memory, rng, batch):
        told = {
            n: m.loss(params[n], memory[n], rng, seen(n, batch))
            for n, m in models.items()
        }
        metrics = {n: value for n, (value, _) in told.items()}
        total = functools.reduce(jnp.add, metrics.values())
        kept = {n: memory for n, (_, (_, memory)) in told.items()}
        return total, ({"loss": total, **metrics}, kept)

    return StatefulObjective(init, loss)
