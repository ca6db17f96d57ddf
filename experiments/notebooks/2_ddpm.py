# %% [markdown]
# # DDPM from pure functions
#
# A DDPM is a table of numbers, a Gaussian, and one network `denoise(x_t, t) -> x_0`.
# This notebook goes through the chapter room by room: schedule, process, what a network
# may predict, losses, bound, samplers. Every function takes **one example** and a
# scalar `t`; a batch is `jax.vmap`, a gradient `jax.grad`.
#
# The data are a mixture of Gaussians in the plane, so the perfect network is known
# (`core.oracle`), and whatever is said can be checked.

# %%
import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np

from diffjax import ddpm
from diffjax.core import bounds, oracle, schedules

key = jax.random.key(0)
T = 100
angles = 2 * jnp.pi * jnp.arange(5) / 5
data = oracle.mixture(
    jnp.ones(5),
    1.2 * jnp.stack([jnp.sin(angles), jnp.cos(angles)], -1),
    jnp.tile(0.01 * jnp.eye(2), (5, 1, 1)),
)

# %% [markdown]
# ## The schedule
#
# *Lecture 02, "Forward Process (Fixed Encoder)".* Tables are indexed as the paper does:
# $t = 1 \dots T$, entry 0 is the data, $\bar\alpha_0 = 1$. The lecture's letters are
# another: its $\beta$ is the root of this one, its $\bar\alpha$ too.

# %%
table = {"linear": schedules.linear(T, beta_max=0.1), "cosine": schedules.cosine(T)}
fig, axis = plt.subplots(figsize=(5, 2.5))
for name, each in table.items():
    assert each.alpha_bar.shape == (T + 1,) and each.alpha_bar[0] == 1
    product = jnp.cumprod(1 - each.beta)  # beta[0] = 0
    np.testing.assert_allclose(each.alpha_bar, product, atol=1e-5)
    axis.plot(each.alpha_bar, label=name)
axis.set(xlabel="t", ylabel=r"$\bar\alpha_t$")
axis.legend()
fig.tight_layout()
schedule = table["cosine"]

# %% [markdown]
# ## The process
#
# *Lecture 02, "Perturbation Kernel".* Noise is an argument, so a draw is a function:
# $$x_t = \sqrt{\bar\alpha_t}\, x_0 + \sqrt{1 - \bar\alpha_t}\,\varepsilon .$$
# The lecture proves that single steps compose to this (the sum of variances
# telescopes). Here they are composed.

# %%
x_0 = jnp.array([1.0, -0.5])
t = jnp.asarray(30)
mean, var = ddpm.marginal(schedule, x_0, t)
step_mean, step_var = x_0, 0.0
for i in range(1, 31):
    keep = 1 - schedule.beta[i]
    step_mean, step_var = jnp.sqrt(keep) * step_mean, keep * step_var + schedule.beta[i]
np.testing.assert_allclose(step_mean, mean, rtol=1e-5)
np.testing.assert_allclose(step_var, var, rtol=1e-5)

modes, spread, noise = jax.random.split(key, 3)
x = data.means[jax.random.randint(modes, (600,), 0, 5)]
x = x + 0.1 * jax.random.normal(spread, x.shape)
eps = jax.random.normal(noise, x.shape)
diffuse = jax.vmap(ddpm.diffuse, in_axes=(None, 0, 0, None))
fig, axes = plt.subplots(1, 5, figsize=(10, 2.2), sharex=True, sharey=True)
for axis, i in zip(axes, (0, 10, 30, 60, 100), strict=True):
    x_t = x if i == 0 else diffuse(schedule, x, eps, jnp.asarray(i))
    axis.plot(*x_t.T, ".", ms=1)
    axis.set(title=f"t = {i}", aspect="equal")
fig.tight_layout()

# %% [markdown]
# ## The posterior
#
# *Lecture 02, "Reverse Denoising Process"; blog "Diffusion Probabilistic Models".*
# Given $x_0$ the reverse step is a Gaussian, by Bayes' rule $q(x_{t-1} \mid x_t, x_0)
# \propto q(x_t \mid x_{t-1})\, q(x_{t-1} \mid x_0)$. The rule itself, as precisions
# that add up:

# %%
x_t = ddpm.diffuse(schedule, x_0, eps[0], t)
mean, var = ddpm.posterior(schedule, x_0, x_t, t)
before, before_var = ddpm.marginal(schedule, x_0, t - 1)
a, beta = jnp.sqrt(1 - schedule.beta[t]), schedule.beta[t]
precision = a**2 / beta + 1 / before_var
np.testing.assert_allclose(var, 1 / precision, rtol=1e-4)
by_hand = (a * x_t / beta + before / before_var) / precision
np.testing.assert_allclose(mean, by_hand, rtol=1e-4)

# %% [markdown]
# ## What a network may predict
#
# $x_0$, $\varepsilon$, $v$, the score: one value, four names, all affine in $x_t$.
# `ddpm.predict` has every way there and back. The lecture's two forms of the sampler's
# mean ("Interpretation of DDPM's sampling") are one of these equalities.

# %%
predict = ddpm.predict
eps_0 = predict.eps_from_x_0(schedule, x_t, x_0, t)
v = predict.v_from_x_0(schedule, x_t, x_0, t)
score = predict.score_from_eps(schedule, x_t, eps_0, t)
np.testing.assert_allclose(eps_0, eps[0], rtol=1e-4)
np.testing.assert_allclose(predict.x_0_from_v(schedule, x_t, v, t), x_0, rtol=1e-4)
np.testing.assert_allclose(
    predict.x_0_from_score(schedule, x_t, score, t), x_0, rtol=1e-4
)
np.testing.assert_allclose(
    predict.mean_from_eps(schedule, x_t, eps_0, t),
    predict.mean_from_x_0(schedule, x_t, x_0, t),
    rtol=1e-4,
)

# %% [markdown]
# ## The perfect network
#
# *Lecture 02, remark 1 of "DDPM Sampling": $x^*(x_t, t) = \mathbb E[x_0 \mid x_t]$,
# blurry at high noise.* And its $\varepsilon$ is the score of $p_t$: here against
# `jax.grad` of the density itself.

# %%
denoise = oracle.denoiser(data, schedule)
x_hat = denoise(x_t, t)
at_t = oracle.diffused(data, schedule, t)
np.testing.assert_allclose(
    predict.score_from_x_0(schedule, x_t, x_hat, t),
    jax.grad(lambda x: oracle.log_prob(at_t, x))(x_t),
    rtol=1e-3,
    atol=1e-3,
)
guesses = jax.jit(jax.vmap(denoise, in_axes=(0, None)))
fig, axes = plt.subplots(1, 3, figsize=(7, 2.5), sharex=True, sharey=True)
for axis, i in zip(axes, (20, 60, 95), strict=True):
    noisy = diffuse(schedule, x, eps, jnp.asarray(i))
    axis.plot(*noisy.T, ".", ms=1, color="0.8")
    axis.plot(*guesses(noisy, jnp.asarray(i)).T, ".", ms=2)
    axis.set(title=rf"$\hat x_0$ at t = {i}", aspect="equal")
fig.tight_layout()

# %% [markdown]
# ## Losses and the bound
#
# *Ho et al. 2020 (arXiv:2006.11239), eq. 14:* $L = \mathbb E\|\varepsilon -
# \hat\varepsilon\|^2$. The oracle minimises it: a worse network has a larger loss on
# the same noise. The bound (blog, RV1–RV3) comes term by term, in nats; its divergences
# are weighted squared errors, $\frac12(\mathrm{SNR}_{t-1} - \mathrm{SNR}_t)\|x_0 - \hat
# x_0\|^2$.

# %%
loss = jax.jit(ddpm.simple_loss, static_argnums=0)


def shrunk(x_t, t):
    return 0.9 * denoise(x_t, t)


assert loss(denoise, schedule, key, x) < loss(shrunk, schedule, key, x)

terms = jax.jit(
    lambda rng: ddpm.bound(
        denoise, schedule, rng, x, decoder=ddpm.likelihood.gaussian_decoder()
    )
)(key)
assert terms.divergences.shape == (600, T - 1)  # t = 2 .. T
# The law of the data is known, and the bound stays below it, in the mean.
log_p = jax.vmap(lambda x: oracle.log_prob(data, x))(x)
gap, error = bounds.mean_and_standard_error(log_p - terms.elbo)
assert gap > -4 * error
fig, axis = plt.subplots(figsize=(5, 2.5))
axis.plot(range(2, T + 1), terms.divergences.mean(0))
axis.set(xlabel="t", ylabel="KL, nats")
fig.tight_layout()
print(f"log p(x) {log_p.mean():.3f}, ELBO {terms.elbo.mean():.3f} +- {error:.3f} nats")

# %% [markdown]
# ## Samplers are steps
#
# *Lecture 02, "DDPM Sampling", and its remark 3: 1000 steps are slow.* A sampler is a
# function `step(denoise, schedule, x_t, t, s, eps, memory) -> (x_s, memory)`, and `ts`
# is any grid from `T` down to 0. Fifteen steps of a solver stand against a hundred.

# %%
few = [*range(T, 0, -7), 0]
ways = {
    "ancestral, 100": (ddpm.ancestral, None),
    "DDIM, 15": (ddpm.ddim(), few),
    "DPM-Solver++, 15": (ddpm.dpm_solver_pp(2), few),
}
assert len(few) - 1 == 15
fig, axes = plt.subplots(1, 3, figsize=(8, 2.8), sharex=True, sharey=True)
for axis, (name, (step, ts)) in zip(axes, ways.items(), strict=True):
    drawn = jax.jit(
        lambda rng, step=step, ts=ts: ddpm.sample(
            denoise, schedule, rng, (600, 2), step=step, ts=ts
        )
    )(key)
    distance = jnp.linalg.norm(drawn[:, None] - data.means[None], axis=-1)
    assert jnp.mean(distance.min(1) < 0.4) > 0.98  # four standard deviations
    spread = jnp.sqrt(jnp.mean(distance.min(1) ** 2) / 2)
    np.testing.assert_allclose(spread, 0.1, atol=0.025)
    share = jnp.bincount(distance.argmin(1), length=5) / 600
    assert abs(share - 0.2).max() < 4 * jnp.sqrt(0.2 * 0.8 / 600)
    axis.plot(*drawn.T, ".", ms=1)
    axis.set(title=name, aspect="equal")
fig.tight_layout()

# %% [markdown]
# A step of your own needs no class and no registration. This one is the sampler of the
# lecture, written out; it is the library's, sample for sample.


# %%
def lecture(denoise, schedule, x_t, t, s, eps, memory):
    """(x_t - beta / sqrt(1 - ab) eps_hat) / sqrt(1 - beta) + sigma eps."""
    eps_hat = ddpm.predict.eps_from_x_0(schedule, x_t, denoise(x_t, t), t)
    beta, noise = schedule.beta[t], schedule.one_minus_alpha_bar[t]
    mean = (x_t - beta / jnp.sqrt(noise) * eps_hat) / jnp.sqrt(1 - beta)
    variance = beta * schedule.one_minus_alpha_bar[s] / noise
    return mean + jnp.sqrt(variance) * eps, memory


short = schedules.linear(20, beta_max=0.4)
exact = oracle.denoiser(data, short)
mine, theirs = (
    ddpm.sample(exact, short, key, (50, 2), step=step)
    for step in (lecture, ddpm.ancestral)
)
np.testing.assert_allclose(mine, theirs, atol=1e-4)

# %% [markdown]
# ## Guidance is a function of denoisers
#
# A guide turns denoisers into a denoiser, so it goes with every step. Classifier-free
# guidance (Ho & Salimans 2022, arXiv:2207.12598) of weight 1 is the class itself.

# %%
one = oracle.of_class(data, jnp.arange(5), jnp.asarray(2))
guided = ddpm.guidance.classifier_free(oracle.denoiser(one, schedule), denoise, 1.0)
drawn = jax.jit(
    lambda rng: ddpm.sample(
        guided, schedule, rng, (200, 2), step=ddpm.dpm_solver_pp(2), ts=few
    )
)(key)
assert jnp.linalg.norm(drawn - data.means[2][None], axis=1).max() < 0.5
