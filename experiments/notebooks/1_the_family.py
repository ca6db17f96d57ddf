# %% [markdown]
# # The family in one hour
#
# Autoencoder, VAE, hierarchical VAE, DDPM, discrete VAE, D3PM. From the second on, each
# is a model with a lower bound on $\log p(x)$, and each lecture has a theorem about it.
# Every section below has the formula, the place of it in the lectures, the function, a
# picture, and the theorem as an `assert`: what is claimed here is checked here.
#
# Nothing is trained. The examples are small enough for the best network to be known in
# closed form (`diffjax.core.oracle`), and in float64 an equality is an equality.

# %%
import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np
from sklearn import datasets

from diffjax import ae, d3pm, ddpm, hvae, vae, vq
from diffjax.core import bounds, gaussian, oracle, schedules

jax.config.update("jax_enable_x64", True)
key = jax.random.key(0)
contract = {}  # the bound of every model that has one

# %% [markdown]
# ## 1. Autoencoder
#
# *Lecture 02, ① AE.* Two functions and a squared error:
# $$L_{AE} = \frac1N \sum_i \big\| x^{(i)} - f(g(x^{(i)})) \big\|^2 .$$
#
# **Theorem.** With linear functions the best autoencoder is PCA: its loss is the sum of
# the eigenvalues of the covariance that are thrown away, and the gradient is zero
# there.

# %%
digits = jnp.asarray(datasets.load_digits().data[:500] / 16)
mean = digits.mean(0)
x = digits - mean
eigenvalues, eigenvectors = jnp.linalg.eigh(x.T @ x / len(x))
kept = 8


@jax.jit
def loss(enc, dec):
    return ae.reconstruction_loss(lambda x: enc @ x, lambda z: dec @ z, key, x)


directions = eigenvectors[:, -kept:]
np.testing.assert_allclose(loss(directions.T, directions), eigenvalues[:-kept].sum())
for gradient in jax.grad(loss, (0, 1))(directions.T, directions):
    np.testing.assert_allclose(gradient, 0, atol=1e-12)

# %% [markdown]
# *Key limitation* (same page): the code has no law, so nothing says which codes to
# decode. Codes of data give digits (second row), random codes do not (third row).

# %%
codes = x[:10] @ directions
random_codes = 3 * jax.random.normal(key, codes.shape)
rows = [x[:10], codes @ directions.T, random_codes @ directions.T]
fig, axes = plt.subplots(3, 10, figsize=(8, 2.6))
for axis, image in zip(axes.flat, np.concatenate(rows), strict=True):
    axis.imshow((image + mean).reshape(8, 8), cmap="gray_r", vmin=0, vmax=1)
    axis.axis("off")
fig.tight_layout()

# %% [markdown]
# ## 2. Denoising autoencoder
#
# *Slides "Towards Diffusion Models", "Attractor on the Manifold?".* For a finite data
# set the best denoiser is known:
# $$\mathrm{DAE}(x) = \sum_i P(x_i \mid x)\, x_i, \qquad
#   P(x_i \mid x) \propto \mathcal N(x; x_i, \sigma^2).$$
#
# **Theorem** (Tweedie). What it removes is the score of the blurred data,
# $\mathrm{DAE}(x) - x = \sigma^2 \nabla \log p_\sigma(x)$. So a small step
# $x' = x - \eta\,(x - \mathrm{DAE}(x))$ climbs to the data: a denoiser is a generator.

# %%
points = jnp.array([[-1.0, -0.6], [1.0, -0.6], [0.0, 1.0]])
sigma = 0.3
dae = oracle.finite_dae(points, sigma)
side = jnp.linspace(-2, 2, 16)
plane = jnp.stack(jnp.meshgrid(side, side), -1).reshape(-1, 2)
score = jax.vmap(jax.grad(lambda x: oracle.smoothed_log_prob(points, sigma, x)))(plane)
said = jax.vmap(lambda x: ae.score(dae, x, sigma=sigma))(plane)
np.testing.assert_allclose(said, score, atol=1e-10)

paths = jax.vmap(lambda x: oracle.attract(dae, x, eta=0.3, num=60))(plane[::7])
ends = jnp.linalg.norm(paths[:, -1, None] - points[None], axis=-1).min(1)
assert ends.max() < 0.02  # every path has come to a data point, or very near

fig, axis = plt.subplots(figsize=(4, 4))
axis.quiver(*plane.T, *score.T, color="0.7")
for path in paths:
    axis.plot(*path.T, lw=0.7)
axis.plot(*points.T, "k*", ms=12)
axis.set_aspect("equal")
fig.tight_layout()

# %% [markdown]
# ## 3. Variational autoencoder
#
# *Lecture 02, ② VAE, theorem 1.* The code gets a prior, the decoder becomes a law, and
# the encoder $q(z \mid x)$ stands in for the posterior:
# $$\log p(x) \ge \mathbb E_{q(z\mid x)} \log p(x \mid z)
#   - D_{KL}\big(q(z\mid x) \,\|\, p(z)\big) = \mathcal L .$$
#
# **Theorem.** The gap is the inference error:
# $\log p(x) - \mathcal L = D_{KL}(q(z\mid x)\,\|\,p(z\mid x))$. With a linear decoder,
# $p(x\mid z) = \mathcal N(Wz + b, \sigma^2)$, every part of this is a formula.

# %%
model = oracle.linear_gaussian.LinearGaussian(
    weight=jnp.array([[1.0], [0.5]]), bias=jnp.zeros(2), log_var=jnp.log(0.3)
)
x = jnp.array([0.8, -0.1])
log_p = oracle.linear_gaussian.log_evidence(model, x)
best_mean, best_cov = oracle.linear_gaussian.posterior(model, x)


@jax.jit
@jax.vmap
def elbo_and_gap(mean, log_var):
    bound = oracle.linear_gaussian.expected_bound(model, x, mean, log_var)
    cov = jnp.diag(jnp.exp(log_var))
    return bound.elbo, gaussian.kl_full(mean, cov, best_mean, best_cov)


means = jnp.linspace(-1, 2, 61)[:, None]
fig, axis = plt.subplots(figsize=(5, 3))
for ratio in (0.3, 1.0, 3.0):
    log_var = jnp.full_like(means, jnp.log(ratio * best_cov[0, 0]))
    elbo, gap = elbo_and_gap(means, log_var)
    np.testing.assert_allclose(log_p - elbo, gap, atol=1e-12)
    axis.plot(means, elbo, label=rf"var q = {ratio} var p(z|x)")
axis.axhline(log_p, color="k", ls=":", label=r"$\log p(x)$")
axis.set(xlabel="mean of q(z | x)", ylabel="ELBO, nats")
axis.legend()
fig.tight_layout()

at_best, _ = elbo_and_gap(best_mean[None], jnp.log(jnp.diag(best_cov))[None])
np.testing.assert_allclose(at_best, log_p)  # the gap closes at the posterior

# %% [markdown]
# The library's bound knows only two functions, an encoder and a decoder, and draws one
# `z` for each example. Its mean is the formula's.

# %%
encoder = oracle.linear_gaussian.best_encoder(model)._replace(log_var=jnp.zeros(1))
contract["VAE"] = vae.bound(
    oracle.linear_gaussian.encoder(encoder),
    oracle.linear_gaussian.decoder(model),
    key,
    jnp.tile(x, (4000, 1)),
    likelihood=vae.gaussian_moments,
)
found, error = bounds.mean_and_standard_error(contract["VAE"].elbo)
exact, _ = elbo_and_gap((encoder.weight @ x)[None], jnp.zeros((1, 1)))
assert abs(found - exact[0]) < 4 * error

# %% [markdown]
# ## 4. Hierarchical VAE
#
# *Lecture 02, "From VAE to Hierarchical VAEs".* More latents, one above the other:
# $$q(z_{1:L}\mid x) = q(z_1\mid x)\prod_{i=2}^L q(z_i\mid z_{i-1}), \qquad
#   p(x, z_{1:L}) = p(x\mid z_1) \prod_{i=2}^L p(z_{i-1}\mid z_i)\, p(z_L).$$
#
# **Theorem.** Give every latent the size of `x` and fix the encoder to $q(z_i \mid
# z_{i-1}) = \mathcal N(\sqrt{1-\beta_i}\,z_{i-1}, \beta_i)$: the HVAE's bound is the
# DDPM's, term by term and draw for draw. That is what a DDPM is.

# %%
schedule = schedules.linear(8, beta_min=0.05, beta_max=0.6)
data = oracle.mixture(
    jnp.array([0.6, 0.4]), jnp.array([[-1.0], [0.8]]), jnp.full((2, 1, 1), 0.03)
)
denoise = oracle.denoiser(data, schedule)  # (x_t, t) -> E[x_0 | x_t]


def log_p_x(x, mean):
    return gaussian.log_prob(x, mean, jnp.log(0.3))


x = jnp.array([[-1.1], [-0.9], [0.7], [1.0]])
as_hvae = hvae.diffusion.bound(
    hvae.fixed_gaussian_posterior(schedule),
    hvae.denoising_decoder(denoise, schedule),
    key,
    x,
    likelihood=log_p_x,
)
as_ddpm = ddpm.bound(
    denoise,
    schedule,
    key,
    x,
    decoder=lambda schedule, x_0, x_1, x_0_hat, t: log_p_x(x_0, x_0_hat),
)
for ours, theirs in zip(as_hvae, as_ddpm, strict=True):
    np.testing.assert_allclose(ours, theirs, atol=1e-12)
contract["HVAE = DDPM"] = as_ddpm

fig, axis = plt.subplots(figsize=(5, 2.5))
axis.bar(range(2, 9), as_hvae.divergences.mean(0))
axis.set(xlabel="layer, or t", ylabel="KL, nats")
fig.tight_layout()

# %% [markdown]
# ## 5. DDPM
#
# *Lecture 02, ③ DDPM, theorem 2.2.1.* The reverse step should match $p(x_{t-1}\mid
# x_t)$, which nobody knows. It may match $p(x_{t-1}\mid x_t, x_0)$ instead, a Gaussian:
# $$\mathbb E\, D_{KL}\big(p(x_{t-1}|x_t, x_0)\,\|\,p_\phi\big)
#   = \mathbb E\, D_{KL}\big(p(x_{t-1}|x_t)\,\|\,p_\phi\big) + C ,$$
# with $C$ free of $\phi$. For Gaussian data both sides are known; below, $p_\phi$ is
# $\mathcal N(x_t + b, v)$ and $b$ moves.

# %%
schedule = schedules.linear(100, beta_max=0.1)
one_gaussian = oracle.gaussian(jnp.ones(1), jnp.full((1, 1), 0.25))
denoise = oracle.denoiser(one_gaussian, schedule)
t = jnp.asarray(2)
v_given_x_0 = ddpm.small(schedule, jnp.zeros(1), t, t - 1)
v_reverse = ddpm.variance.optimal(oracle.posterior_variance(one_gaussian, schedule))(
    schedule, jnp.zeros(1), t, t - 1
)
nodes, weights = np.polynomial.hermite_e.hermegauss(20)  # E over N(0, 1), exactly
weights = jnp.asarray(weights / weights.sum())


def expected(f):
    """E of f(x_0, eps) over the data and the noise."""
    of_pairs = jax.vmap(jax.vmap(f, (None, 0)), (0, None))
    each = of_pairs(jnp.asarray(1 + 0.5 * nodes)[:, None], jnp.asarray(nodes)[:, None])
    return weights @ each @ weights


@jax.jit
@jax.vmap
def both_sides(b):
    def conditional(x_0, eps):
        x_t = ddpm.diffuse(schedule, x_0, eps, t)
        mean, var = ddpm.posterior(schedule, x_0, x_t, t)
        return gaussian.kl(mean, jnp.log(var), x_t + b, jnp.log(0.003))

    def marginal(x_0, eps):
        x_t = ddpm.diffuse(schedule, x_0, eps, t)
        mean, _ = ddpm.posterior(schedule, denoise(x_t, t), x_t, t)
        return gaussian.kl(mean, jnp.log(v_reverse), x_t + b, jnp.log(0.003))

    return expected(conditional), expected(marginal)


b = jnp.linspace(-0.1, 0.1, 31)
conditional, marginal = both_sides(b)
constant = 0.5 * jnp.log(v_reverse / v_given_x_0)  # C, for Gaussian data
np.testing.assert_allclose(conditional - marginal, constant, atol=1e-10)

fig, axis = plt.subplots(figsize=(5, 3))
axis.plot(b, conditional, label="given $x_0$: what is trained")
axis.plot(b, marginal, label="marginal: what is wanted")
axis.set(xlabel="b", ylabel="expected KL, nats")
axis.legend()
fig.tight_layout()

# %% [markdown]
# *Lecture 02, "DDPM Sampling".* A step needs one thing of a network, its guess of the
# clean data, here again the best one. Samples come from the data's law.

# %%
denoise = oracle.denoiser(data, schedule)
samples, path = jax.jit(
    lambda rng: ddpm.trajectory(denoise, schedule, rng, (2000, 1), every=2)
)(key)
right, right_error = bounds.mean_and_standard_error(samples[:, 0] > 0)
assert abs(right - 0.4) < 4 * right_error  # of the two modes, 0.6 and 0.4
np.testing.assert_allclose(samples.std(), jnp.sqrt(0.24 * 1.8**2 + 0.03), rtol=0.03)

fig, (left, far_right) = plt.subplots(
    1, 2, figsize=(7, 3), sharey=True, width_ratios=(3, 1)
)
left.plot(range(100, 0, -2), path[:60, :, 0].T, lw=0.5)
left.invert_xaxis()
left.set(xlabel="t", ylabel="$x_t$")
far_right.hist(samples[:, 0], 60, orientation="horizontal")
fig.tight_layout()

# %% [markdown]
# ## 6. Discrete VAE
#
# *Lecture 02, ④.* The code is one of `K`, the nearest of a codebook
# (van den Oord et al. 2017, eq. 1): $c = \arg\min_k \| g(x) - e_k \|$. The encoder is a
# point mass, so its rate under a uniform prior is $\log K$ for each code, exactly.
#
# **Theorem.** What the bound misses is the surprise of the choice:
# $\log p(x) - \mathcal L = -\log p(c \mid x)$, small in the middle of a cell and
# $\log 2$ or more on the border of two.

# %%
K = 6
angles = 2 * jnp.pi * jnp.arange(K) / K
codebook = jnp.stack([jnp.cos(angles), jnp.sin(angles)], -1)
side = jnp.linspace(-1.6, 1.6, 41)
x = jnp.stack(jnp.meshgrid(side, side), -1).reshape(-1, 2)


def log_p_x(x, mean):
    return gaussian.log_prob(x, mean, jnp.log(0.15))


contract["VQ-VAE"] = bound = vq.bound(
    lambda x: vq.quantize(codebook, x[None])[0],
    lambda codes: vq.lookup(codebook, codes)[0],
    x,
    likelihood=log_p_x,
    log_prior=vq.prior.uniform(K).log_prob,
)
model = oracle.code_model(lambda x, codes: log_p_x(x, codebook[codes][0]), K, (1,))
log_p = jax.vmap(lambda x: oracle.code_log_prob(model, x))(x)
posterior = jax.vmap(lambda x: oracle.code_posterior(model, x))(x)
np.testing.assert_allclose(bound.prior, jnp.log(K))
gap = (log_p - bound.elbo).reshape(41, 41)
np.testing.assert_allclose(gap.ravel(), -posterior.max(1), atol=1e-10)
np.testing.assert_allclose(gap[32, 20], jnp.log(2), rtol=0.01)  # on a border

fig, axis = plt.subplots(figsize=(4.5, 3.6))
image = axis.pcolormesh(side, side, gap)
axis.plot(*codebook.T, "w*", ms=12)
axis.set_aspect("equal")
fig.colorbar(image, label="gap, nats")
fig.tight_layout()

# %% [markdown]
# ## 7. D3PM
#
# *Lecture 02, ⑤; Austin et al. 2021 (arXiv:2107.03006).* Diffusion of categories: the
# noise is a matrix, $q(x_t \mid x_{t-1}) = \mathrm{Cat}(x_{t-1} Q_t)$, and the bound
# has the terms of the DDPM's.
#
# **Theorem.** For one token and the best denoiser the bound is tight: its mean over the
# data is the entropy, plus what $q(x_T)$ and the prior differ by, which for the
# absorbing family is nothing.

# %%
T, K = 12, 5
law = jnp.array([0.05, 0.4, 0.25, 0.3])  # of four letters; the fifth is the mask
betas = schedules.inverse(T).beta[1:]
families = {
    "uniform": d3pm.transitions.uniform(schedules.cosine(T).beta[1:], K),
    "gaussian": d3pm.transitions.gaussian(jnp.linspace(0.05, 0.8, T), K),
    "absorbing": d3pm.transitions.absorbing(betas, K, mask=K - 1),
}
family = families["absorbing"]
denoise = oracle.discrete_leave_one_out(
    jnp.arange(4)[:, None], family, log_weights=jnp.log(law)
)
x = jnp.repeat(jnp.arange(4), (4000 * law).astype(int), total_repeat_length=4000)
contract["D3PM"] = jax.jit(lambda rng: d3pm.bound(denoise, family, rng, x[:, None]))(
    key
)
entropy = -jnp.sum(law * jnp.log(law))
found, error = bounds.mean_and_standard_error(-contract["D3PM"].elbo)
assert abs(found - entropy) < 4 * error
np.testing.assert_allclose(contract["D3PM"].prior, 0, atol=1e-12)

start = jnp.log(jnp.append(law, 0.0))
fig, axes = plt.subplots(1, 3, figsize=(9, 2.5), sharey=True)
for axis, (name, each) in zip(axes, families.items(), strict=True):
    laws = jax.vmap(lambda t, each=each: each.forward(start, jnp.asarray(0), t))(
        jnp.arange(T + 1)
    )
    np.testing.assert_allclose(jnp.exp(laws).sum(1), 1)
    axis.stackplot(range(T + 1), jnp.exp(laws).T)
    axis.set(title=name, xlabel="t")
axes[0].set_ylabel("$q(x_t)$")
fig.tight_layout()

# %% [markdown]
# ## One contract
#
# Every model above reports the same thing: `Bound(reconstruction, divergences, prior)`,
# in nats, for each example. Rate and distortion add up to $-\mathcal L$ whatever the
# latents are, so one table can hold them all (`diffjax report`). The four below have
# data of their own, so here only the shape of the answer is to be compared.

# %%
fig, axis = plt.subplots(figsize=(6, 2.5))
for name, bound in contract.items():
    rate, distortion = bound.rate.mean(), bound.distortion.mean()
    np.testing.assert_allclose(rate + distortion, -bound.elbo.mean())
    axis.barh(name, rate, color="C0")
    axis.barh(name, distortion, left=rate, color="C1")
    print(f"{name:12} -ELBO {-bound.elbo.mean():6.3f} = {rate:.3f} + {distortion:.3f}")
axis.set_xlabel("rate (blue) + distortion (orange), nats")
fig.tight_layout()
