# %% [markdown]
# # Bring your own network
#
# The mathematics asks a network for one thing, `denoise(x_t, t) -> x_0`, and training
# for two functions, `init` and `apply`. So a network may be two plain functions, a
# Flax module, an Equinox module, or anything else that JAX can differentiate. Here the
# first and the third learn the same five-pointed density, and are compared with the
# perfect network of that density, which sets the least loss there is.

# %%
from functools import partial
from typing import NamedTuple

import equinox as eqx  # for the last network only
import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import optax

from diffjax import ddpm, train
from diffjax.core import oracle, schedules

key = jax.random.key(0)
schedule = schedules.cosine(50)
angles = 2 * jnp.pi * jnp.arange(5) / 5
means = 1.2 * jnp.stack([jnp.sin(angles), jnp.cos(angles)], -1)
data = oracle.mixture(jnp.ones(5), means, jnp.tile(0.04 * jnp.eye(2), (5, 1, 1)))


def draw(rng, num):
    """Data, a batch of any size."""
    which, noise = jax.random.split(rng)
    x = means[jax.random.randint(which, (num,), 0, 5)]
    return {"x": x + 0.2 * jax.random.normal(noise, x.shape)}


# %% [markdown]
# ## Two plain functions
#
# `init(rng, x, t) -> params` and `apply(params, x, t) -> output`, with a batch axis.
# The parameters are any pytree. This is the whole interface (`diffjax.types.Net`).


# %%
class Net(NamedTuple):
    """A network as the library sees it."""

    init: object
    apply: object


def features(x, t):
    """What the network sees: x, and t as waves. [B, 10]"""
    waves = 2.0 ** jnp.arange(4) * jnp.pi * t[:, None] / schedule.T
    return jnp.concatenate([x, jnp.sin(waves), jnp.cos(waves)], axis=-1)


def init(rng, x, t):
    sizes = [10, 64, 64, 2]
    keys = jax.random.split(rng, 3)
    return [
        {"w": jax.random.normal(k, (m, n)) / jnp.sqrt(m), "b": jnp.zeros(n)}
        for k, m, n in zip(keys, sizes, sizes[1:], strict=False)
    ]


def apply(params, x, t):
    *hidden, last = params
    h = features(x, t)
    for layer in hidden:
        h = jax.nn.silu(h @ layer["w"] + layer["b"][None])
    return h @ last["w"] + last["b"][None]


mine = Net(init, apply)

# %% [markdown]
# ## Training is a function of the objective
#
# `ddpm.objective` binds the network: it too is two functions, `init` and `loss`.
# `train.train_step` is one step of any objective. Below a whole training run is one
# `lax.scan`, compiled once; `train.train` would be the loop with checkpoints.

# %%
optimizer = optax.adam(optax.cosine_decay_schedule(5e-3, 1000))
averages = {"ema": train.averages.warmed_up(0.99)}


@partial(jax.jit, static_argnums=0)
def fit(net, rng):
    objective = ddpm.objective(net, schedule)
    state = train.init_state(objective, optimizer, rng, draw(rng, 8), averages=averages)

    def step(state, i):
        batch = draw(jax.random.fold_in(rng, i), 256)
        return train.train_step(objective, optimizer, state, batch, averages=averages)

    state, metrics = jax.lax.scan(step, state, jnp.arange(1000))
    return state.averages["ema"], metrics["loss"]


# %% [markdown]
# The network says $\varepsilon$; `predict.denoiser_from_eps` makes of it the guess of
# $x_0$ that all the mathematics takes. How good it is: its excess over the loss of the
# perfect network, on the same noise.

# %%
perfect = oracle.denoiser(data, schedule)
held_out = draw(jax.random.key(1), 4096)["x"]
loss = jax.jit(
    lambda denoise: ddpm.simple_loss(denoise, schedule, jax.random.key(2), held_out),
    static_argnums=0,
)
floor = loss(perfect)


def denoiser(net, params):
    """The network as a function of one example."""
    return ddpm.predict.denoiser_from_eps(
        schedule, lambda x, t: net.apply(params, x[None], t[None])[0]
    )


params, losses = fit(mine, key)
excess = loss(denoiser(mine, params)) / floor - 1
print(f"least loss {floor:.4f}; two plain functions: {100 * excess:.1f}% more")
assert 0 < excess < 0.15

# %% [markdown]
# ## An Equinox module
#
# An Equinox module is itself the pytree of its parameters, and is written for one
# example. Split off what is no array, `vmap`, and it is a `Net` too.


# %%
class Residual(eqx.Module):
    """An MLP with a skip from each hidden layer to the next."""

    first: eqx.nn.Linear
    hidden: list
    last: eqx.nn.Linear

    def __init__(self, rng):
        a, b, c, d = jax.random.split(rng, 4)
        self.first = eqx.nn.Linear(10, 64, key=a)
        self.hidden = [eqx.nn.Linear(64, 64, key=k) for k in (b, c)]
        self.last = eqx.nn.Linear(64, 2, key=d)

    def __call__(self, x, t):
        h = self.first(features(x[None], t[None])[0])
        for layer in self.hidden:
            h = h + layer(jax.nn.silu(h))
        return self.last(jax.nn.silu(h))


_, static = eqx.partition(eqx.filter_eval_shape(Residual, key), eqx.is_array_like)
theirs = Net(
    init=lambda rng, x, t: eqx.filter(Residual(rng), eqx.is_array),
    apply=lambda params, x, t: jax.vmap(eqx.combine(params, static))(x, t),
)
other_params, other_losses = fit(theirs, key)
excess = loss(denoiser(theirs, other_params)) / floor - 1
print(f"an Equinox module: {100 * excess:.1f}% more")
assert 0 < excess < 0.15

fig, axis = plt.subplots(figsize=(5, 2.5))
for name, values in (("plain functions", losses), ("Equinox", other_losses)):
    axis.plot(values.reshape(-1, 20).mean(1), label=name)
axis.axhline(floor, color="k", ls=":", label="perfect")
axis.set(xlabel="20 steps", ylabel="loss", ylim=(0, 1))
axis.legend()
fig.tight_layout()

# %% [markdown]
# ## Everything else takes it as it is
#
# Samplers, guidance, the bound: all know `denoise` alone. So the perfect network, the
# plain functions and the Equinox module stand in one list.

# %%
networks = {
    "perfect": perfect,
    "plain functions": denoiser(mine, params),
    "Equinox": denoiser(theirs, other_params),
}
fig, axes = plt.subplots(1, 3, figsize=(8, 2.8), sharex=True, sharey=True)
for axis, (name, denoise) in zip(axes, networks.items(), strict=True):
    x = jax.jit(
        lambda rng, denoise=denoise: ddpm.sample(denoise, schedule, rng, (500, 2))
    )(key)
    near = jnp.linalg.norm(x[:, None] - means[None], axis=-1).min(1) < 0.8
    assert near.mean() > 0.95  # four standard deviations
    axis.plot(*x.T, ".", ms=1)
    axis.set(title=name, aspect="equal")
fig.tight_layout()

# %% [markdown]
# A Flax module needs no adapter: `diffjax.nets.mlp.ResidualMLP()` has `init` and
# `apply` already, and `fit` takes it. State that no gradient trains (a codebook of
# moving averages, say) goes through `types.StatefulObjective`, a pytree in and a pytree
# out.

# %%
from diffjax.nets.mlp import ResidualMLP  # noqa: E402

flax_net = ResidualMLP(width=16, depth=1)
shapes = jax.eval_shape(partial(fit, flax_net), key)
assert shapes[1].shape == losses.shape
