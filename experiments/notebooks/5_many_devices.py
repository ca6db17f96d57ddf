# %% [markdown]
# # Training on many devices
#
# The same run on one device, on four by `pmap`, by a mesh, and with its parameters in
# pieces (FSDP): the same losses, the same parameters, the same samples. And a run that
# is stopped and started again ends as one that never was, to the bit.
#
# Four devices are simulated on the CPU. The flags must be set before JAX starts, so
# restart the kernel if it runs already. (Without the second one XLA may run collectives
# of simulated devices in two orders, and they wait for ever.)

# %%
import os

os.environ["XLA_FLAGS"] = (
    "--xla_force_host_platform_device_count=4 "
    "--xla_cpu_enable_concurrency_optimized_scheduler=false"
)

# %%
import json  # noqa: E402
import pathlib  # noqa: E402
import tempfile  # noqa: E402

import jax  # noqa: E402
import jax.numpy as jnp  # noqa: E402
import matplotlib.pyplot as plt  # noqa: E402
import numpy as np  # noqa: E402
import optax  # noqa: E402
from jax.sharding import NamedSharding, PartitionSpec  # noqa: E402

from diffjax import ddpm, train  # noqa: E402
from diffjax.core import schedules  # noqa: E402
from diffjax.train import devices  # noqa: E402
from diffjax.vae.objective import Functions  # noqa: E402

assert jax.device_count() == 4, "restart the kernel: JAX had started before the flags"

# %% [markdown]
# ## Batches
#
# A stream of NumPy batches that knows where it is, so that a checkpoint can say so.
# Here batch `n` is a function of `n`; `diffjax.data.pipeline.batches` is one for real
# data. With several processes, process `p` of `n` gives the examples `p B / n` to
# `(p + 1) B / n` of the global batch.


# %%
class Batches:
    """Points near (1, -1)."""

    number = 0

    def __next__(self):
        self.number += 1
        x = np.random.default_rng(self.number).normal((1, -1), 0.1, (32, 2))
        return {"x": x.astype(np.float32)}

    def get_state(self):
        return self.number

    def set_state(self, state):
        self.number = state


def init(rng, x, t):
    a, b = jax.random.split(rng)
    return {
        "in": jax.random.normal(a, (2, 64)),
        "out": jax.random.normal(b, (64, 2)) / 8,
    }


def apply(params, x, t):
    return jnp.tanh(x @ params["in"]) @ params["out"]


schedule = schedules.linear(100)
net = Functions(init, apply)

# %% [markdown]
# ## Layouts
#
# Training is written once, `train.train_step`, for the part of the batch that a device
# has. A layout says where parts and parameters lie. `fsdp` splits every parameter that
# is large enough ("large" is 2 here) over all devices; XLA gathers what a layer needs.

# %%
layouts = {
    "one device": devices.mesh(devices=jax.devices()[:1]),
    "pmap": devices.pmap(),
    "mesh": devices.mesh(),
    "fsdp": devices.mesh(rule=devices.fsdp(smallest=2)),
}
home = pathlib.Path(tempfile.mkdtemp())


def run(name, layout, steps):
    """Train, or go on with the run of this name; its state and its losses."""
    state = train.train(
        ddpm.objective(net, schedule),
        optax.adam(1e-2),
        jax.random.key(0),
        Batches(),
        workdir=home / name,
        plan=train.Plan(steps=steps, log_every=5, checkpoint_every=20),
        layout=layout,
        averages={"ema": train.averages.warmed_up(0.999)},
    )
    lines = (home / name / "metrics.jsonl").read_text().splitlines()
    return state, [json.loads(line)["loss"] for line in lines]


results = {name: run(name, layout, 40) for name, layout in layouts.items()}
fig, axis = plt.subplots(figsize=(5, 2.5))
for width, (name, (_, losses)) in zip((8, 6, 4, 2), results.items(), strict=True):
    axis.plot(range(5, 41, 5), losses, lw=width, alpha=0.6, label=name)
axis.set(xlabel="step", ylabel="loss")
axis.legend()
fig.tight_layout()

# %% [markdown]
# Four times the same curve. This is no luck: example `i` of the global batch has the
# key `fold_in(fold_in(seed, step), i)` wherever it lies, so its noise and its `t` are
# its own, and the gradient is the mean over all. What differs is the order of a sum.

# %%
one, losses = results["one device"]
for state, others in results.values():
    np.testing.assert_allclose(others, losses, rtol=1e-5)
    for a, b in zip(
        jax.tree.leaves(state.params), jax.tree.leaves(one.params), strict=True
    ):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)

# %% [markdown]
# Where the parameters are: whole on every device, or a quarter on each.

# %%
fig, axes = plt.subplots(1, 2, figsize=(6, 2))
for axis, name in zip(axes, ("mesh", "fsdp"), strict=True):
    array = results[name][0].params["in"]
    held = np.zeros((4, 64))
    for shard in array.addressable_shards:
        held[shard.device.id, shard.index[1]] = 1
    axis.imshow(held, aspect="auto", vmin=0, cmap="Blues")
    axis.set(title=name, xlabel="column of a weight", ylabel="device", yticks=range(4))
    assert held.sum() == (64 if name == "fsdp" else 4 * 64)
fig.tight_layout()

# %% [markdown]
# ## Stopped and started again
#
# The same command starts a run, goes on after a stop or a kill, and does nothing once
# it is done. Twenty steps and then twenty more are forty, to the bit, on another
# layout's checkpoint too.

# %%
half, _ = run("in two parts", layouts["mesh"], 20)
assert half.step == 20
whole, _ = run("in two parts", layouts["mesh"], 40)
for a, b in zip(
    jax.tree.leaves(whole), jax.tree.leaves(results["mesh"][0]), strict=True
):
    np.testing.assert_array_equal(a, b)

run("moved", layouts["mesh"], 20)
moved, _ = run("moved", layouts["fsdp"], 40)  # written by a mesh, read by FSDP
np.testing.assert_allclose(moved.params["out"], one.params["out"], rtol=1e-4, atol=1e-5)

# %% [markdown]
# ## Sampling on many devices
#
# Sample `i` is a function of the seed and of `i`. Give every device its keys, and the
# samples are those of one device.

# %%
draw = ddpm.sampler(net, schedule, (2,), step=ddpm.ddim(), ts=[*range(100, 0, -10), 0])
draw = jax.jit(draw, static_argnums=2)
keys = jax.random.split(jax.random.key(3), 64)
mesh = layouts["mesh"].mesh
spread = jax.device_put(keys, NamedSharding(mesh, PartitionSpec(*mesh.axis_names)))
everywhere = results["mesh"][0].averages["ema"]
samples = draw(everywhere, spread, 64)
assert len(samples.sharding.device_set) == 4
alone = draw(one.averages["ema"], keys, 64)
np.testing.assert_allclose(samples, alone, rtol=1e-5, atol=1e-5)

# %% [markdown]
# On real machines nothing changes but the first line. On every host of a TPU slice, or
# for every GPU process of SLURM, a script begins with `train.connect()`, and
# `--workdir` lies where all see it; the README has the commands.
