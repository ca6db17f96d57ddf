# %% [markdown]
# # D3PM by hand
#
# Diffusion of categories (*Lecture 02, ⑤*; Austin et al. 2021, arXiv:2107.03006). The
# Gaussian of the DDPM becomes a matrix, its posterior a product of a column and a row,
# and everything can be written out by hand. This notebook does so, next to the library.

# %%
import itertools

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np

from diffjax import d3pm
from diffjax.core import bounds, categorical, oracle, schedules
from diffjax.d3pm import predict, transitions

jax.config.update("jax_enable_x64", True)
key = jax.random.key(0)
T, K = 10, 8


def step(i):
    return jnp.asarray(i)


# %% [markdown]
# ## Matrices
#
# $q(x_t \mid x_{t-1}) = \mathrm{Cat}(x_t;\, x_{t-1} Q_t)$, row-stochastic, and so
# $q(x_t \mid x_0) = \mathrm{Cat}(x_0 \bar Q_t)$ with $\bar Q_t = Q_1 \cdots Q_t$ (eq.
# 3). Three families: keep or draw anew (uniform), keep or mask (absorbing), move to a
# near level (discretized Gaussian).

# %%
betas = schedules.cosine(T).beta[1:]
families = {
    "uniform": transitions.uniform(betas, K),
    "absorbing": transitions.absorbing(schedules.inverse(T).beta[1:], K, mask=K - 1),
    "gaussian": transitions.gaussian(jnp.linspace(0.01, 0.3, T), K),
}
times = (1, 3, 6, 10)
fig, axes = plt.subplots(3, 4, figsize=(7, 5.4))
for row, (name, family) in zip(axes, families.items(), strict=True):
    product = jnp.eye(K)
    for t in range(1, T + 1):
        Q_t = family.matrix(step(t - 1), step(t))
        np.testing.assert_allclose(Q_t.sum(1), 1)
        product = product @ Q_t
        np.testing.assert_allclose(family.matrix(step(0), step(t)), product, atol=1e-10)
    for axis, t in zip(row, times, strict=True):
        axis.imshow(family.matrix(step(0), step(t)), vmin=0, vmax=1)
        axis.set(title=f"{name}, t = {t}", xticks=[], yticks=[])
fig.tight_layout()

# %% [markdown]
# The uniform one by the formula of the paper's appendix A.2.1,
# $Q_t = (1 - \beta_t) I + \beta_t \mathbb 1 \mathbb 1^\top / K$. No family holds its
# matrices unless it must: `column` and `row` of uniform and absorbing cost $O(K)$.

# %%
by_hand = (1 - betas[4]) * jnp.eye(K) + betas[4] / K
np.testing.assert_allclose(families["uniform"].matrix(step(4), step(5)), by_hand)
row = families["uniform"].row(step(3), step(4), step(5))
np.testing.assert_allclose(jnp.exp(row), by_hand[3])
last = families["absorbing"].matrix(step(0), step(T))
np.testing.assert_allclose(last[:, K - 1], 1)  # at T all is masked
masked = transitions.absorbing(schedules.inverse(T).beta[1:], 50_000, mask=49_999)
assert sum(leaf.size for leaf in jax.tree.leaves(masked)) < 100  # whatever K is

# %% [markdown]
# ## Posteriors
#
# Bayes' rule (eq. 3):
# $$q(x_{t-1} \mid x_t, x_0)
#   = \frac{q(x_t \mid x_{t-1})\, q(x_{t-1} \mid x_0)}{q(x_t \mid x_0)}
#   = \frac{(x_t Q_t^\top) \odot (x_0 \bar Q_{t-1})}{x_0 \bar Q_t x_t^\top} .$$
# Probabilities are logs, and an impossible thing is $-\infty$, not $10^{-6}$.

# %%
family, t = families["gaussian"], 4
Q_t = np.asarray(family.matrix(step(t - 1), step(t)))
Q_before = np.asarray(family.matrix(step(0), step(t - 1)))
for x_0, x_t in itertools.product(range(K), range(K)):
    by_hand = Q_t[:, x_t] * Q_before[x_0] / (Q_before[x_0] @ Q_t[:, x_t])
    ours = d3pm.posterior_logits(family, step(x_0), step(x_t), step(t))
    np.testing.assert_allclose(jnp.exp(ours), by_hand, atol=1e-10)

# Masked positions stay masked or show x_0; nothing else can have been.
family = families["absorbing"]
law = d3pm.posterior_logits(family, step(2), step(K - 1), step(t))
assert set(np.flatnonzero(law > -jnp.inf)) == {2, K - 1}
np.testing.assert_allclose(jnp.exp(law)[2], 1 / t)  # inverse(T): one in t is shown

# %% [markdown]
# ## Two parameterizations
#
# A network gives a law $\tilde p(x_0 \mid x_t)$. Two ways lead from there to the
# reverse step:
#
# - **joint** (eq. 4):
#   $p(x_{t-1} \mid x_t) \propto
#   \sum_{x_0} q(x_{t-1}, x_t \mid x_0)\, \tilde p(x_0 \mid x_t)$
# - **posterior mean** (Campbell et al. 2022, arXiv:2205.14987, eq. 5):
#   $p(x_{t-1} \mid x_t) = \sum_{x_0} q(x_{t-1} \mid x_t, x_0)\, \tilde p(x_0 \mid x_t)$
#
# By hand, for a random network:

# %%
family, x_t = families["uniform"], step(5)
belief = jax.random.dirichlet(key, jnp.ones(K))
Q_t, Q_before = (
    np.asarray(family.matrix(*map(step, st))) for st in ((t - 1, t), (0, t - 1))
)
both = Q_before * Q_t[:, 5][None]  # q(x_{t-1}, x_t | x_0), [x_0, x_{t-1}]
joint = np.asarray(belief) @ both
mean = np.asarray(belief) @ (both / both.sum(1, keepdims=True))
for by_hand, parameterization in (
    (joint / joint.sum(), predict.joint),
    (mean, predict.posterior_mean),
):
    ours = parameterization(family, jnp.log(belief), x_t, step(t))
    np.testing.assert_allclose(jnp.exp(ours), by_hand, rtol=1e-8)

fig, axis = plt.subplots(figsize=(5, 2.5))
axis.bar(jnp.arange(K) - 0.2, joint / joint.sum(), 0.4, label="joint")
axis.bar(jnp.arange(K) + 0.2, mean, 0.4, label="posterior mean")
axis.set(xlabel="$x_{t-1}$", title="one network, two reverse laws", xticks=range(K))
axis.legend()
fig.tight_layout()

# %% [markdown]
# **They want different networks.** In the joint law $x_t$ enters through $q$ already,
# so its best network tells what the *other* positions say of $x_0$ (leave one out); the
# posterior mean, and cross-entropy, want the posterior itself. For the right pairs and
# a single token the bound is the entropy of the data, to the last digit: below, the
# expectation over $x_0$ and $x_t$ is a sum, term by term.

# %%
data = np.array([0.05, 0.4, 0.25, 0.3])
letters = jnp.arange(4)
small = transitions.uniform(betas, 4)


def expected_bound(denoise, parameterization):
    """E over x_0 and x_t of -elbo, by enumeration, nats."""

    @jax.jit
    def term(t):
        def of_pair(x_0, x_t):
            logits = parameterization(small, denoise(x_t[None], t)[0], x_t, t)
            truth = d3pm.posterior_logits(small, x_0, x_t, t)
            return categorical.kl(truth, logits)  # at t = 1 it is -log p(x_0 | x_1)

        each = jax.vmap(jax.vmap(of_pair, (None, 0)), (0, None))(letters, letters)
        return jnp.sum(data[:, None] * small.matrix(step(0), t) * each)

    prior = sum(
        p * categorical.kl(d3pm.marginal_logits(small, x, step(T)), small.log_prior())
        for p, x in zip(data, letters, strict=True)
    )
    return sum(term(step(t)) for t in range(1, T + 1)) + prior


weights = {"log_weights": jnp.log(data)}
others = oracle.discrete_leave_one_out(letters[:, None], small, **weights)
full = oracle.discrete_denoiser(letters[:, None], small, **weights)
at_T = jnp.log(data @ small.matrix(step(0), step(T)))
floor = -np.sum(data * np.log(data)) + categorical.kl(at_T, small.log_prior())

found = {
    "joint, others": expected_bound(others, predict.joint),
    "mean, posterior": expected_bound(full, predict.posterior_mean),
    "joint, posterior": expected_bound(full, predict.joint),
    "mean, others": expected_bound(others, predict.posterior_mean),
}
np.testing.assert_allclose(found["joint, others"], floor, rtol=1e-9)
np.testing.assert_allclose(found["mean, posterior"], floor, rtol=1e-9)
assert found["joint, posterior"] > floor + 0.03  # x_t counted twice
assert found["mean, others"] > floor + 0.01  # or not at all

fig, axis = plt.subplots(figsize=(5, 2.2))
axis.barh([*found], [*found.values()])
axis.axvline(floor, color="k", ls=":")
axis.set(xlabel="-ELBO, nats (dotted: the least there is)", xlim=(1, None))
fig.tight_layout()

# %% [markdown]
# ## The library's bound, and samples
#
# `d3pm.bound` draws the $x_t$ instead of summing over them. Its mean is the sum's. And
# samples of the perfect network follow the data's law.

# %%
x = jnp.repeat(letters, (4000 * data).astype(int), total_repeat_length=4000)[:, None]
terms = jax.jit(lambda rng: d3pm.bound(others, small, rng, x))(key)
estimate, error = bounds.mean_and_standard_error(-terms.elbo)
assert abs(estimate - floor) < 4 * error

drawn, path = jax.jit(
    lambda rng: d3pm.trajectory(others, small, rng, (4000, 1), every=1)
)(key)
share = jnp.bincount(drawn[:, 0], length=4) / 4000
assert (abs(share - data) < 4 * np.sqrt(data * (1 - data) / 4000)).all()

fig, axis = plt.subplots(figsize=(5, 2.5))
counts = [jnp.bincount(path[:, i, 0], length=4) for i in range(T)] + [4000 * share]
axis.stackplot(range(T, -1, -1), jnp.stack(counts).T / 4000)
axis.invert_xaxis()
axis.set(xlabel="t", ylabel="share of each letter")
fig.tight_layout()

# %% [markdown]
# ## Absorbing diffusion is masked language modelling
#
# With masks the bound collapses to a weighted cross-entropy of the masked positions,
# and infilling is sampling with some positions held. The data: three words.

# %%
alphabet = "acorst_"
words = jnp.array([[alphabet.index(c) for c in word] for word in ("cat", "car", "tos")])
masks = transitions.absorbing(schedules.inverse(3).beta[1:], 7, mask=6)
denoise = oracle.discrete_denoiser(words, masks)
terms = jax.jit(lambda rng: d3pm.bound(denoise, masks, rng, jnp.tile(words, (400, 1))))(
    key
)
collapsed = jax.jit(
    lambda rng: d3pm.absorbing_loss(denoise, masks, rng, jnp.tile(words, (400, 1)))
)(jax.random.key(1))
estimate, error = bounds.mean_and_standard_error(-terms.elbo)
assert abs(estimate - collapsed) < 8 * error

known = jnp.tile(jnp.array([[alphabet.index("c"), 0, 0]]), (200, 1))
held = jnp.tile(jnp.array([[True, False, False]]), (200, 1))


def infill(sample, family):
    """c__, 200 times."""
    denoise = oracle.discrete_denoiser(words, family)
    filled = jax.jit(
        lambda rng: sample(denoise, family, rng, (200, 3), known=known, known_mask=held)
    )(key)
    return {"".join(alphabet[c] for c in row) for row in np.asarray(filled)}


# %% [markdown]
# In three steps two letters may be shown at once, each drawn without the other: a chain
# of few steps mixes words up, even with the perfect network. In ten thousand they come
# one by one, and `first_hitting` skips the steps at which none does: three calls of the
# network.

# %%
long = transitions.absorbing(schedules.inverse(10_000).beta[1:], 7, mask=6)
at_once, in_turn = infill(d3pm.sample, masks), infill(d3pm.first_hitting, long)
print("c__ ->", sorted(at_once), "or, one by one,", sorted(in_turn))
assert in_turn == {"cat", "car"} and at_once > in_turn
