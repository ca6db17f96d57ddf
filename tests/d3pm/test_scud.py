"""Given the jumps: the chain of one token, masked diffusion, and the law of samples."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from d3pm import exact, toys
from diffjax import d3pm
from diffjax.core import oracle
from diffjax.d3pm import masked, scud, transitions

K, T = 4, 3
P = np.array([0.15, 0.5, 0.35])
BANDED = functools.partial(transitions.banded, np.full(T, 0.9), K, width=1)


def network(x, n):
    """Some logits, other ones for every token and number of jumps."""
    return jnp.stack([jnp.cos(x * k + n) for k in range(1, K + 1)], -1)


@jax.jit
def costs(jumps, x_0, x_t, n):
    return scud.cost(jumps, network(x_t, n), x_0, x_t, n)


@jax.jit
def matrices(jumps):
    return jax.vmap(lambda n: jumps.matrix(0, n))(jnp.arange(T + 1))


def test_one_token_costs_what_the_chain_costs(x64):
    """Each of the T jumps is undone once: int n F'/F Binomial(n; T, F) dt = 1."""
    jumps = BANDED()
    terms = exact.expected_terms(
        lambda x, n: network(x, n[None]),
        jumps,
        np.arange(3)[:, None],
        P,
        predict=d3pm.predict.joint,
    )
    Q = np.asarray(matrices(jumps))
    each = np.asarray(costs(jumps, *np.mgrid[:3, :K, : T + 1]))
    nodes, weights = np.polynomial.legendre.leggauss(8)
    total = 0
    for node, weight in zip((nodes + 1) / 2, weights / 2, strict=True):
        law = stats.binom.pmf(np.arange(T + 1), T, node**2)  # F = t^2
        mean = np.einsum("a,n,nak,akn->", P, law, Q[:, :3], np.asarray(each))
        total += weight * 2 / node * mean
    np.testing.assert_allclose(total, terms.sum(), rtol=1e-12)


def test_the_loss_is_unbiased(x64):
    """Cost and prior together, by another F and with positions that never jump."""
    jumps, points = BANDED(), np.array([[0, 2]])

    def half(t):
        return 0.8 * t**2

    @jax.jit
    def losses(rng):
        data = jnp.broadcast_to(points, (20_000, 2))
        return scud.loss(network, jumps, rng, data, jumped=half)

    draws = [float(losses(jax.random.key(i))) for i in range(8)]
    Q = np.asarray(matrices(jumps))
    pi = np.exp(np.asarray(jumps.log_prior()))
    counts = np.stack(np.meshgrid(*[np.arange(T + 1)] * 2, indexing="ij"), -1)
    counts, every = counts.reshape(-1, 2), exact.states(K, 2)
    n, x = (v.reshape(-1, 2) for v in _pairs(counts, every))
    x_0 = np.broadcast_to(points, x.shape)
    each = np.asarray(costs(jumps, x_0, x, n)).sum(-1)
    q = np.prod(Q[n, x_0, x], -1)
    nodes, weights = np.polynomial.legendre.leggauss(12)
    want = 0
    for node, weight in zip((nodes + 1) / 2, weights / 2, strict=True):
        law = stats.binom.pmf(np.arange(T + 1), T, half(node))
        want += weight * 2 / node * np.sum(law[n].prod(-1) * q * each)
    last = stats.binom.pmf(np.arange(T + 1), T, 0.8)
    with np.errstate(divide="ignore"):
        ratio = np.where(Q > 0, np.log(np.where(Q > 0, Q, 1) / pi), 0)
    end = np.einsum("n,nak->a", last, Q * ratio)
    want += end[0] + end[2]
    error = np.std(draws) / np.sqrt(len(draws) - 1)
    assert abs(np.mean(draws) - want) < 4 * error, (np.mean(draws), want, error)


def _pairs(counts, every):
    return np.broadcast_arrays(counts[:, None], every[None])


def test_one_jump_to_a_mask_is_masked_diffusion(x64):
    """T = 1: the cost is that of the mask's closed form, at every x_t."""
    jumps = transitions.absorbing(np.ones(1), K, mask=K - 1)
    family = transitions.absorbing(1 / np.arange(10, 0, -1), K, mask=K - 1)

    @jax.jit
    def run(x_0, x_t, t):
        n = (x_t == K - 1).astype(int)
        logits = network(x_t, n)
        want = masked.loss_of_logits(
            family, logits[None], x_0[None], x_t[None], t[None]
        )
        weight = 10 * masked.unmask_prob(family, t, t - 1)
        without = jnp.where(jnp.arange(K) < K - 1, logits, -jnp.inf)
        known = scud.cost(jumps, without, x_0, x_t, n).sum()
        each = scud.cost(jumps, logits, x_0, x_t, n)
        return known, want / weight, each[1], scud.prior(jumps, x_0, jnp.ones(4, int))

    x_0, x_t = np.array([0, 1, 2, 0]), np.array([K - 1, 1, K - 1, K - 1])
    known, want, token, prior = run(x_0, x_t, jnp.asarray(4))
    np.testing.assert_allclose(known, want, rtol=1e-6)
    np.testing.assert_array_equal(token, 0)
    np.testing.assert_array_equal(prior, 0)


@pytest.mark.parametrize("points", [1, 40])
def test_samples_of_one_token_have_the_law_of_the_data(points):
    """The best denoiser, whatever the grid and F; it is given the clock as its t."""
    jumps = transitions.uniform(np.array([0.9, 0.9, 1.0]), K)
    best = oracle.discrete_leave_one_out(
        jnp.arange(3)[:, None], jumps, log_weights=jnp.log(P)
    )

    @jax.jit
    def run(rng):
        return scud.sample(
            lambda x, n: best(x, n[0]),
            jumps,
            rng,
            (20_000, 1),
            ts=jnp.linspace(1, 0, points + 1),
            jumped=lambda t: t**2,
        )

    seen = toys.counts(run(jax.random.key(0)))
    assert seen[3] == 0
    assert stats.chisquare(seen[:3], 20_000 * P).pvalue > 1e-3


def test_the_best_denoiser_costs_the_entropy_of_the_data():
    """One token: E L = H, all forgotten at the end."""
    jumps = transitions.uniform(np.array([0.5, 0.5, 1.0]), K)
    best = oracle.discrete_leave_one_out(
        jnp.arange(3)[:, None], jumps, log_weights=jnp.log(P)
    )
    data = np.random.default_rng(0).choice(3, (40_000, 1), p=P)
    weights = np.bincount(data[:, 0]) / len(data)

    @jax.jit
    def run(rng):
        return scud.loss(lambda x, n: best(x, n[0]), jumps, rng, data)

    draws = [float(run(jax.random.key(i))) for i in range(6)]
    error = np.std(draws) / np.sqrt(5)
    want = -np.sum(weights * np.log(P))
    assert abs(np.mean(draws) - want) < 4 * error + 1e-4, (draws, want)


def test_padding_never_jumps_and_costs_nothing():
    jumps, real = BANDED(), jnp.asarray([True, True, False])

    def see(x, n):
        return jnp.where((n[2] == 0) & (x[2] == 3), network(x, n), jnp.nan)

    x_0 = np.array([[0, 2, 3]] * 4)
    run = jax.jit(functools.partial(scud.loss, see, jumps, length_mask=real))
    assert np.isfinite(run(jax.random.key(0), x_0))


def test_gradients_are_finite_and_mistakes_are_named():
    jumps, x_0 = BANDED(), np.array([[0, 2]] * 8)

    def value(scale):
        return scud.loss(
            lambda x, n: scale * network(x, n), jumps, jax.random.key(0), x_0
        )

    assert all(np.isfinite(v) for v in jax.jit(jax.value_and_grad(value))(1e4))
    with pytest.raises(ValueError, match="expected x_0 in 0..3, got values"):
        scud.loss(network, jumps, jax.random.key(0), x_0 + 2)
    for ts in ([0.9, 0], [1, 0.5], [1, 0.5, 0.5, 0]):
        with pytest.raises(ValueError, match="expected ts real, descending from 1 to"):
            scud.sample(network, jumps, jax.random.key(0), (2, 2), ts=jnp.asarray(ts))
