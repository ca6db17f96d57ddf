"""Continuous time: closed forms against the rate form, and both against sums."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import linalg, special

from d3pm import exact, tables, toys
from diffjax.core import oracle, times
from diffjax.d3pm import continuous, predict, rates

K = 4
P = np.array([0.1, 0.6, 0.3, 0.0])
UNIFORM = np.ones((K, K)) / K - np.eye(K)
TO_MASK = np.eye(K)[[K - 1] * K] - np.eye(K)
# Nodes on [0, 1]; t = v^2 tames the logarithm at 0.
NODES, NODE_WEIGHTS = np.polynomial.legendre.leggauss(60)
V = 0.5 * (NODES + 1)
TIMES, TIME_WEIGHTS = V**2, 0.5 * NODE_WEIGHTS * 2 * V


def survival(t):
    return 1 - 0.95 * t


def towards(R, pi):
    return rates.rates(R, pi, integral=lambda t: -jnp.log(survival(t)))


def network(x_t, t):
    phase = x_t[..., None] * 1.3 + jnp.arange(K).reshape((1,) * x_t.ndim + (K,))
    return jnp.sin(phase + t)


class Columns:
    """What the discrete oracles ask of a process."""

    def __init__(self, process):
        self.process, self.K = process, K

    def column(self, x_t, s, t):
        return rates.kernel(self.process, t).T[x_t]


def test_the_kernel_is_the_matrix_exponential(x64):
    rng = np.random.default_rng(0)
    R = rng.gamma(1.0, size=(5, 5)) * (rng.random((5, 5)) < 0.5)
    R = R - np.diag(np.diag(R))
    R = R - np.diag(R.sum(1))
    process = rates.rates(R, np.ones(5) / 5, integral=lambda t: 7 * t)
    kernel = jax.jit(lambda t: rates.kernel(process, t))
    for t in (0.0, 0.01, 0.5, 1.0):
        got = np.exp(kernel(t))
        np.testing.assert_allclose(got, linalg.expm(7 * t * R), atol=1e-12)


def test_zeros_of_the_kernel_stay_zeros():
    process = towards(TO_MASK, np.eye(K)[K - 1])
    log_q = jax.jit(lambda t: rates.kernel(process, t))(0.5)
    want = survival(0.5) * np.eye(K) + (1 - survival(0.5)) * np.eye(K)[[K - 1] * K]
    np.testing.assert_allclose(np.exp(log_q), want, atol=1e-6)
    np.testing.assert_array_equal(np.isneginf(log_q), want == 0)


@pytest.mark.parametrize("t", [0.01, 0.3, 0.9])
def test_uniform_closed_form_is_the_rate_form(t, x64):
    process = towards(UNIFORM, np.ones(K) / K)

    @jax.jit
    def both(x_0, x_t, t):
        args = network(x_t, t), x_0, x_t, t
        closed = continuous.uniform_cost(survival, *args)
        return closed, rates.rate_cost(process, *args)

    np.testing.assert_allclose(*both(*np.mgrid[:K, :K], t), rtol=1e-9)


def test_uniform_cost_is_the_published_formula(x64):
    """UDLM's form, term by term; it is 0 where the network knows x_0."""
    a, slope, x_0, x_t = survival(0.4), -0.95, 2, 1
    logits = np.asarray(jax.jit(network)(np.array([x_t]), 0.4))
    theta = K * a * special.softmax(logits[0]) + 1 - a
    xb = K * a * np.eye(K)[x_0] + 1 - a
    ratio = xb / xb[x_t]
    inner = np.sum(ratio * np.log(theta[x_t] / theta * ratio))
    want = slope / (K * a) * (K / xb[x_t] - K / theta[x_t] - inner)
    cost = jax.jit(functools.partial(continuous.uniform_cost, survival))
    args = np.array([x_0]), np.array([x_t]), 0.4
    np.testing.assert_allclose(cost(logits, *args), want, rtol=1e-10)
    certain = np.where(np.arange(K) == x_0, 0.0, -np.inf)[None]
    assert abs(cost(certain, *args)) < 1e-14


@pytest.mark.parametrize("ratio", [rates.joint, rates.posterior_mean])
def test_absorbing_closed_form_is_the_rate_form(ratio, x64):
    process = towards(TO_MASK, np.eye(K)[K - 1])
    denoise = predict.zero_masked(network, mask=K - 1)

    @jax.jit
    def run(x_0, x_t, t):
        logits = denoise(x_t, t)
        each = rates.rate_cost(process, logits, x_0, x_t, t, ratio=ratio)
        return each.sum(), jax.nn.log_softmax(logits)

    for x_0, x_t in (([0, 2], [3, 3]), ([0, 2], [0, 3]), ([1, 2], [1, 2])):
        got, log_p = map(np.asarray, run(np.array(x_0), np.array(x_t), 0.3))
        weight = 0.95 / (1 - survival(0.3))
        want = -sum(weight * log_p[i, x_0[i]] for i in range(2) if x_t[i] == K - 1)
        np.testing.assert_allclose(got, want, rtol=1e-10, atol=1e-14)


@pytest.mark.parametrize(
    "make, ratio",
    [
        (oracle.discrete_leave_one_out, rates.joint),
        (oracle.discrete_denoiser, rates.posterior_mean),
    ],
)
def test_the_bound_of_the_oracle_is_the_entropy(make, ratio, x64):
    """One token: int E rate_cost dt = H + KL(q_1 || pi) - E KL(q(x_1 | x_0) || pi)."""
    process = towards(UNIFORM, np.ones(K) / K)
    denoise = make(jnp.arange(3)[:, None], Columns(process), log_weights=jnp.log(P[:3]))

    @jax.jit
    def expected(t):
        log_q = rates.kernel(process, t)

        def one(x_0, x_t):
            cost = rates.rate_cost(process, denoise(x_t, t), x_0, x_t, t, ratio=ratio)
            return jnp.exp(log_q[x_0[0], x_t[0]]) * cost[0]

        x_0, x_t = np.mgrid[:3, :K].reshape(2, -1, 1)
        return jnp.sum(P[x_0[:, 0]] * jax.vmap(one)(x_0, x_t)), log_q

    total = sum(w * expected(t)[0] for t, w in zip(TIMES, TIME_WEIGHTS, strict=True))
    rows = np.exp(expected(1.0)[1])
    to_prior = P @ np.sum(rows * np.log(rows * K), axis=1)
    q_1 = P @ rows
    want = exact.entropy(P) + np.sum(q_1 * np.log(q_1 * K)) - to_prior
    np.testing.assert_allclose(total, want, rtol=1e-5)


def test_discrete_bounds_converge_to_it_as_one_over_T(x64):
    """Any network of x_t; the difference halves as T doubles."""
    x_0 = np.array([[1]])

    def fixed(x_t, t):
        return network(x_t, 0.0)

    def discrete(T):
        alpha = 1 - 0.95 * np.arange(T + 1) / T
        family = tables.table(
            tables.uniform_steps(1 - alpha[1:] / alpha[:-1], K), np.ones(K) / K
        )
        return exact.expected_terms(
            fixed,
            family,
            x_0,
            np.ones(1),
            predict=predict.joint,
        ).sum()

    @jax.jit
    def cost(x_t, t):
        logits = fixed(x_t, t)
        return continuous.uniform_cost(survival, logits, x_0[0], x_t, t)

    def continuous_bound():
        total = 0
        for t, w in zip(TIMES, TIME_WEIGHTS, strict=True):
            a = survival(t)
            for x_t in range(K):
                q = a * (x_t == 1) + (1 - a) / K
                total += w * q * float(cost(np.array([x_t]), t)[0])
        return total

    limit = continuous_bound()
    gaps = np.array([discrete(T) - limit for T in (8, 16, 32)])
    assert (gaps > 0).all()
    np.testing.assert_allclose(gaps[:-1] / gaps[1:], 2, rtol=0.12)


def test_absorbing_loss_is_the_entropy_for_the_oracle():
    """Three tokens, continuous time: no gap left, unlike at any finite T."""
    family = toys.absorbing(2)  # the posterior of absorbing data knows no t
    plain = toys.three_tokens(family)
    rng = np.random.default_rng(0)
    x_0 = np.asarray(toys.POINTS)[rng.choice(5, size=20_000, p=toys.WEIGHTS)]
    run = jax.jit(
        lambda key, x: continuous.absorbing_loss(
            lambda x_t, t: plain(x_t, jnp.asarray(1)),
            continuous.cosine,
            key,
            x,
            mask=K - 1,
        )
    )
    keys = jax.random.split(jax.random.key(0), 20)
    each = np.array([run(k, x_0[i::20]) for i, k in enumerate(keys)])
    error = each.std() / np.sqrt(20)
    assert error < 0.05
    assert abs(each.mean() - exact.entropy(toys.WEIGHTS)) < 4.5 * error


def test_losses_agree_with_each_other():
    process = towards(UNIFORM, np.ones(K) / K)

    @jax.jit
    def both(*args):
        closed = continuous.uniform_loss(network, survival, *args, K=K)
        return closed, rates.rate_loss(network, process, *args)

    a, b = both(jax.random.key(0), np.broadcast_to([1, 0], (4096, 2)))
    np.testing.assert_allclose(a, b, rtol=1e-3)  # the same t, the same noise


@pytest.mark.parametrize(
    "alpha", [continuous.linear, continuous.cosine, continuous.polynomial(2.0)]
)
def test_values_and_gradients_are_finite_at_the_ends(alpha):
    x_0 = jnp.asarray([[1, 0], [2, 2]])
    assert (
        np.isclose(alpha(jnp.asarray(0.0)), 1) and abs(alpha(jnp.asarray(1.0))) < 1e-6
    )

    def ends(u):
        return jnp.asarray([0.0, 1 - 1e-7])

    def total(scale):
        def denoise(x_t, t):
            return scale * network(x_t, t)

        masked = continuous.absorbing_loss(
            denoise, alpha, jax.random.key(0), x_0, mask=K - 1, times=ends
        )
        uniform = continuous.uniform_loss(
            denoise, alpha, jax.random.key(0), x_0, K=K, times=ends
        )
        return masked + uniform

    value, slope = jax.jit(jax.value_and_grad(total))(0.7)
    assert np.isfinite(value) and np.isfinite(slope)


def leaping(num, correctors=0):
    process = towards(UNIFORM, np.ones(K) / K)
    denoise = oracle.discrete_leave_one_out(
        jnp.arange(3)[:, None], Columns(process), log_weights=jnp.log(P[:3])
    )
    ts = jnp.linspace(1, 0, num + 1) ** 1.5
    x = jax.jit(
        lambda rng: rates.sample(
            denoise, process, rng, (10_000, 1), ts=ts, correctors=correctors
        )
    )(jax.random.key(0))
    return 0.5 * np.abs(toys.counts(x) / 10_000 - P).sum()


@pytest.mark.slow
def test_tau_leaping_approaches_the_law_and_correctors_help():
    coarse, fine, corrected = leaping(4), leaping(64), leaping(4, correctors=4)
    assert fine < 0.03 < coarse
    assert corrected < coarse


def test_times():
    u = jax.random.uniform(jax.random.key(0), (50,))
    np.testing.assert_array_equal(times.independent(u), u)
    t = np.sort(times.antithetic(u))
    np.testing.assert_allclose(np.diff(t), 1 / 50, atol=1e-6)
    assert t.min() >= 0 and t.max() < 1


def test_bad_input_is_named():
    with pytest.raises(ValueError, match="expected rates >= 0 off the diagonal"):
        towards(-UNIFORM, np.ones(K) / K)
    with pytest.raises(ValueError, match="expected rates >= 0 .* rows that sum to 0"):
        towards(UNIFORM + 0.1, np.ones(K) / K)
    with pytest.raises(ValueError, match=r"expected R \[K, K\] and pi \[K\]"):
        towards(UNIFORM, np.ones(3) / 3)
    with pytest.raises(ValueError, match=r"expected a finite integral\(1\) > 0"):
        rates.rates(UNIFORM, np.ones(K), integral=lambda t: -jnp.log(1 - t))
    with pytest.raises(ValueError, match="expected power > 0"):
        continuous.polynomial(0.0)
    rng, x_0 = jax.random.key(0), jnp.asarray([[0, 3]])
    with pytest.raises(ValueError, match="expected x_0 without the mask 3"):
        continuous.absorbing_loss(network, survival, rng, x_0, mask=3)
    with pytest.raises(ValueError, match="expected x_0 in 0..2"):
        continuous.uniform_loss(network, survival, rng, x_0, K=3)
    process = towards(UNIFORM, np.ones(K) / K)
    with pytest.raises(ValueError, match="expected x_0 in 0..3"):
        rates.rate_loss(network, process, rng, x_0 + 1)
    with pytest.raises(ValueError, match="expected correctors >= 0"):
        rates.sample(network, process, rng, (1, 2), ts=jnp.ones(2), correctors=-1)
