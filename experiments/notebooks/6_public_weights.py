# %% [markdown]
# # Public DDPM weights
#
# The U-Nets of `google/ddpm-*` and all others of their kind (Hugging Face diffusers:
# an unconditional DDPM or DDIM pipeline) load into `diffjax` bit for bit. This notebook
# needs no network: it writes a small pipeline folder of the same layout, then reads it.
#
# **With a real one:** clone `google/ddpm-cifar10-32`, set `folder` to where it is, and
# leave out the two cells that write. Everything below stays as it is, but for the
# patience: its U-Net has 36 million parameters.

# %%
import json
import pathlib
import tempfile

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np
import optax
from sklearn import datasets

from diffjax import ddpm
from diffjax.core import bounds, schedules
from diffjax.interop import diffusers
from diffjax.nets.unet import UNet

key = jax.random.key(0)
folder = pathlib.Path(tempfile.mkdtemp()) / "ddpm-digits-8"

# %% [markdown]
# ## A network to publish
#
# A U-Net of two levels, trained for a moment on scikit-learn's digits. Published
# networks count $t = 0 \dots T-1$, this library $1 \dots T$ as the papers do:
# `one_based` stands between. A network that is to go to diffusers is trained as
# `one_based(net)`.

# %%
x = jnp.asarray(datasets.load_digits().images[..., None] / 8 - 1, jnp.float32)
schedule = schedules.linear(50, beta_max=0.2)
net = UNet(1, (16, 32), (False, True), layers=1, groups=8)
objective = ddpm.objective(diffusers.one_based(net), schedule)
optimizer = optax.adam(2e-3)


@jax.jit
def step(params, state, rng):
    pick, noise = jax.random.split(rng)
    batch = {"x": x[jax.random.randint(pick, (32,), 0, len(x))]}
    gradient, metrics = jax.grad(objective.loss, has_aux=True)(params, noise, batch)
    updates, state = optimizer.update(gradient, state)
    return optax.apply_updates(params, updates), state, metrics["loss"]


untrained = jax.jit(objective.init)(key, {"x": x[:2]})
params, state, losses = untrained, optimizer.init(untrained), []
for i in range(100):
    params, state, loss = step(params, state, jax.random.fold_in(key, i))
    losses.append(loss)
losses = jnp.stack(losses)
print(f"loss {losses[:10].mean():.3f} -> {losses[-10:].mean():.3f}")
assert losses[-10:].mean() < 0.5 * losses[:10].mean()

# %% [markdown]
# ## The folder
#
# `unet/` with the weights, `scheduler/` with the process, and an index.

# %%
diffusers.save_unet(folder / "unet", net, params, sample_size=8)
(folder / "scheduler").mkdir()
scheduler = {
    "_class_name": "DDPMScheduler",
    "num_train_timesteps": 50,
    "beta_start": 1e-4,
    "beta_end": 0.2,
    "beta_schedule": "linear",
    "variance_type": "fixed_small",
    "clip_sample": True,
    "prediction_type": "epsilon",
}
index = {"_class_name": "DDPMPipeline", "unet": ["diffusers", "UNet2DModel"]}
(folder / "scheduler" / "scheduler_config.json").write_text(json.dumps(scheduler))
(folder / "model_index.json").write_text(json.dumps(index))
print(*sorted(str(f.relative_to(folder)) for f in folder.rglob("*.*")), sep="\n")

# %% [markdown]
# ## Loading
#
# The network, bit for bit, and what its scheduler means: the schedule as tables, the
# variance as a function, clipping as a guide of denoisers. What the library does not
# know, an option that changes the mathematics, is refused by name.

# %%
pipeline = diffusers.load_pipeline(folder)
assert pipeline.net == net and pipeline.shape == (8, 8, 1)
for ours, theirs in zip(
    jax.tree.leaves(pipeline.params), jax.tree.leaves(params), strict=True
):
    np.testing.assert_array_equal(ours, theirs)
np.testing.assert_allclose(pipeline.schedule.alpha_bar, schedule.alpha_bar, rtol=1e-6)

(folder / "scheduler" / "scheduler_config.json").write_text(
    json.dumps({**scheduler, "thresholding": True})
)
try:
    diffusers.load_pipeline(folder)
except ValueError as error:
    print(error)
    assert "thresholding" in str(error)
else:
    raise AssertionError("an unknown option was not refused")

# %% [markdown]
# ## One index, two ways to count
#
# The network itself takes the checkpoint's $t$, from 0. `pipeline.denoise`, for one
# example, takes the paper's, from 1, and gives $\hat x_0$.

# %%
t = jnp.asarray(30)
x_t = jax.random.normal(key, (8, 8, 1))
eps = pipeline.net.apply(pipeline.params, x_t[None], t[None] - 1)[0]
np.testing.assert_allclose(
    pipeline.denoise(x_t, t),
    ddpm.predict.x_0_from_eps(schedule, x_t, eps, t),
    rtol=1e-4,
    atol=1e-4,
)

# %% [markdown]
# ## Sampling
#
# `diffusers.sampler` is the pipeline's own sampler; `steps` and `step` choose any other
# of the library. The grid of 10 steps is that of diffusers' `set_timesteps(10)`.

# %%
ancestral = diffusers.sampler(pipeline)(pipeline.params, key, 16)
ddim = diffusers.sampler(pipeline, steps=10, step=ddpm.ddim())(pipeline.params, key, 16)
assert ancestral.shape == ddim.shape == (16, 8, 8, 1)
assert max(abs(ancestral).max(), abs(ddim).max()) <= 1  # clip_sample
fig, axes = plt.subplots(2, 16, figsize=(8, 1.6))
both = np.concatenate([ancestral, ddim])
for axis, image in zip(axes.flat, both, strict=True):
    axis.imshow(image, cmap="gray", vmin=-1, vmax=1)
    axis.axis("off")
fig.suptitle("ancestral, 50 steps, and DDIM, 10")

# %% [markdown]
# ## What a pipeline does not tell
#
# A network that draws can also be asked how likely an image is: the bound, in bits per
# dimension. (A hundred steps of training make no model of images: to send the 256
# levels as they are costs 8.)

# %%
levels = jnp.round((x[:32] + 1) * 127.5) / 127.5 - 1
bound = jax.jit(ddpm.net_bound(diffusers.one_based(pipeline.net), pipeline.schedule))
bits = {
    name: bounds.bits_per_dim(-bound(each, key, {"x": levels}).elbo, 64)
    for name, each in (("untrained", untrained), ("loaded", pipeline.params))
}
for name, each in bits.items():
    mean, error = bounds.mean_and_standard_error(each)
    print(f"{name:10} {mean:7.2f} +- {error:.2f} bits/dim")
assert bits["loaded"].mean() < bits["untrained"].mean()

# %% [markdown]
# From a shell the same is one command:
#
# ```
# diffjax sample --from-diffusers ddpm-cifar10-32 --num 64 --steps 50 --sampler ddim
# ```
