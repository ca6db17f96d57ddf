"""The published image code's formulas, in NumPy from its description, its eps an input.

Austin et al. 2021, google-research `d3pm/images`, as `reference/discrete.md` 2.1 has
it: time is counted from 0, matrices are [K, K] with rows summing to 1. With eps = 0 it
is this library; with its own eps = 1e-6 the process, and so its likelihood, is another.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import special

from diffjax.d3pm import likelihood, process, transitions

T, K, DIMS = 12, 16, 40


class Published:
    """The published functions; `t` is theirs, one less than the paper's."""

    def __init__(self, steps, eps):
        self.eps, self.steps, self.products = eps, steps, [steps[0]]
        for step in steps[1:]:
            self.products.append(self.products[-1] @ step)

    def log(self, p):
        with np.errstate(divide="ignore"):
            return np.log(p + self.eps)

    def q_posterior_logits(self, x_start, x_t, t, is_logits=False):
        if is_logits:
            p = special.softmax(x_start, -1)
            if t == 0:
                return x_start
            before = p @ self.products[t - 1]
        elif t == 0:
            return self.log(np.eye(K)[x_start])
        else:
            before = self.products[t - 1][x_start]
        return self.log(self.steps[t][:, x_t].T) + self.log(before)

    def vb_term_bpd(self, logits, x_start, x_t, t):
        true = self.q_posterior_logits(x_start, x_t, t)
        model = self.q_posterior_logits(logits, x_t, t, is_logits=True)
        if t == 0:
            each = -special.log_softmax(model, -1)[np.arange(DIMS), x_start]
        else:
            log_q, log_p = (special.log_softmax(v, -1) for v in (true, model))
            q = np.exp(log_q)
            each = np.sum(
                np.where(q > 0, q * (log_q - np.where(q > 0, log_p, 0)), 0), -1
            )
        return each.mean() / np.log(2)

    def prior_bpd(self, x_start):
        q = self.products[-1][x_start]
        ratio = self.log(q) - self.log(np.full(K, 1 / K))
        return np.sum(np.where(q > 0, q * ratio, 0), -1).mean() / np.log(2)


def uniform(eps):
    betas = np.linspace(0.02, 0.6, T)
    steps = np.stack([(1 - b) * np.eye(K) + b / K for b in betas])
    return Published(steps, eps), transitions.uniform(betas, K)


def gaussian(eps):
    """The published step, its step lengths those of K = 256 made right for K."""
    betas = np.linspace(0.05, 0.8, T)
    steps = []
    for b in betas:
        lengths = np.abs(np.arange(-(K - 1), K))
        w = special.softmax(-((2 * lengths / (K - 1)) ** 2) / b)
        step = w[K - 1 + np.abs(np.subtract.outer(np.arange(K), np.arange(K)))]
        np.fill_diagonal(step, 0)
        steps.append(step + np.diag(1 - step.sum(1)))
    return Published(np.stack(steps), eps), transitions.gaussian(betas, K)


@pytest.fixture
def drawn():
    rng = np.random.default_rng(0)
    x_0, x_t = rng.integers(0, K, (2, DIMS))
    return x_0, x_t, rng.normal(size=(DIMS, K)) * 2


@pytest.mark.parametrize("make", [uniform, gaussian])
def test_without_its_epsilon_it_is_this_library(make, drawn, x64):
    published, family = make(eps=0)
    x_0, x_t, logits = drawn

    @jax.jit
    def ours(logits, x_0, x_t, t):
        q = process.posterior_logits(family, x_0, x_t, t)
        cost = likelihood.divergence(family, logits, x_0, x_t, t, t - 1)
        return q, cost / (DIMS * jnp.log(2))

    for t in range(1, T):  # its t = 0 is another parameterization
        log_q, bits = ours(logits, x_0, x_t, t + 1)
        want = special.log_softmax(published.q_posterior_logits(x_0, x_t, t), -1)
        np.testing.assert_allclose(log_q, want, rtol=1e-9)
        np.testing.assert_allclose(
            bits, published.vb_term_bpd(logits, x_0, x_t, t), rtol=1e-9
        )
    prior = jax.jit(likelihood.prior)(family, x_0, T)
    np.testing.assert_allclose(
        prior / (DIMS * np.log(2)), published.prior_bpd(x_0), rtol=1e-9
    )


def test_its_first_step_takes_the_logits_for_x_0_itself(drawn, x64):
    """Eq. 4 at t = 1 is q(x_1 | x_0) p~(x_0) normalised; theirs is p~(x_0)."""
    published, family = uniform(eps=0)
    x_0, x_t, logits = drawn
    cost = jax.jit(likelihood.divergence)(family, logits, x_0, x_t, 1, 0)
    ours = cost / (DIMS * np.log(2))
    theirs = published.vb_term_bpd(logits, x_0, x_t, 0)
    likely = logits + np.log(published.steps[0][:, x_t].T)
    eq_4 = -special.log_softmax(likely, -1)[np.arange(DIMS), x_0].mean() / np.log(2)
    np.testing.assert_allclose(ours, eq_4, rtol=1e-12)
    assert abs(ours - theirs) > 0.1


def test_its_epsilon_lets_impossible_tokens_in(x64):
    """Every absorbing x_t holds K eps of tokens that are neither x_0 nor the mask."""
    family = transitions.absorbing(1 / np.arange(T, 0, -1), 256, mask=128)
    row = np.exp(jax.jit(process.marginal_logits)(family, 7, 5))
    assert np.count_nonzero(row) == 2
    published = (row + 1e-6) / np.sum(row + 1e-6)
    illegal = 1 - published[[7, 128]].sum()
    np.testing.assert_allclose(illegal * 3072, 0.78, atol=0.005)
