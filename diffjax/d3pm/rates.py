"""Any process in continuous time from its rate matrix: bound, tau-leaping, correctors.

    dp/dt = beta(t) p R,    Q_{0..t} = exp( B(t) R ),    B(t) = int_0^t beta

R is [K, K], its rows summing to 0; R_ij is the rate of jumps from i to j. Reversed, the
jumps x_t -> y happen at the rate beta R[y, x_t] p_t(y) / p_t(x_t): a network supplies
the ratio. Campbell et al. 2022 (tauLDR, arXiv:2205.14987).
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from diffjax.core import categorical, chain, checks
from diffjax.core import times as core_times
from diffjax.core.times import Times
from diffjax.d3pm import infill, vocabulary
from diffjax.d3pm.continuous import jump_cost
from diffjax.d3pm.predict import Denoise
from diffjax.types import Array


class Rates(NamedTuple):
    """A process in continuous time.

    matrix: [K, K] R.  log_pi: [K] the law that a sampler starts from.  integral: t []
        -> B(t) [], increasing from B(0) = 0.  squarings: of the exponential.
    """

    matrix: Array
    log_pi: Array
    integral: Callable[[Array], Array]
    squarings: int


Ratio = Callable[[Array, Array, Array], Array]
"""(log Q_{0..t} [K, K], logits [..., K], x_t [...]) -> log p_t(y) / p_t(x_t)."""


def rates(
    matrix: np.ndarray, pi: np.ndarray, *, integral: Callable[[Array], Array]
) -> Rates:
    r"""The process of a rate matrix.

        Q_{0..t} = exp( B(t) R )

    Campbell et al. 2022, section 4.1.

    Args: matrix: [K, K], rows sum to 0, no negative rate off the diagonal.  pi: [K],
        the law at t = 1, or close to it.  integral: t -> B(t), with B(0) = 0.
    Returns: Rates (jumps per unit of B).
    """
    R, law = np.asarray(matrix, np.float64), np.asarray(pi, np.float64)
    if R.ndim != 2 or R.shape[0] != R.shape[1] or law.shape != R.shape[:1]:
        raise ValueError(f"expected R [K, K] and pi [K], got {R.shape} and {law.shape}")
    if (R - np.diag(np.diag(R)) < 0).any() or np.abs(R.sum(1)).max() > 1e-6:
        raise ValueError(
            "expected rates >= 0 off the diagonal and rows that sum to 0, got a least "
            f"rate of {(R - np.diag(np.diag(R))).min():.6g} and a row sum of "
            f"{R.sum(1)[np.abs(R.sum(1)).argmax()]:.6g}; R_ij is from i to j"
        )
    jumps = -np.diag(R).min() * float(integral(jnp.ones(())))
    if not np.isfinite(jumps) or jumps <= 0:
        raise ValueError(f"expected a finite integral(1) > 0, got {jumps:.6g} jumps")
    with np.errstate(divide="ignore"):  # log 0 is meant
        log_pi = np.log(law / law.sum())
    squarings = max(0, int(np.ceil(np.log2(jumps))))
    return Rates(jnp.asarray(R), jnp.asarray(log_pi), integral, squarings)


def kernel(process: Rates, t: Array) -> Array:
    r"""The transition from 0 to t, by uniformization and squaring.

        exp(B R) = ( sum_n e^-x x^n / n! P^n )^(2^k),    P = I + R / r,
        r = max_i -R_ii,    x = r B / 2^k <= 1

    No term is negative: zeros stay zeros, and small entries keep their digits.

    Args: process: Rates.  t: real [].
    Returns: [K, K] log Q_{0..t}, nats.
    """
    R = process.matrix
    most = -jnp.min(jnp.diag(R))
    x = most * process.integral(t) / 2**process.squarings
    P = jnp.eye(len(R), dtype=R.dtype) + R / most

    def add(n: int, state: tuple[Array, Array]) -> tuple[Array, Array]:
        total, term = state
        term = jnp.matmul(term, P, precision="highest") * x / n
        return total + term, term

    first = jnp.exp(-x) * jnp.eye(len(R), dtype=R.dtype)
    Q, _ = jax.lax.fori_loop(1, 20, add, (first, first))
    for _ in range(process.squarings):
        Q = jnp.matmul(Q, Q, precision="highest")
    return categorical.normalise(categorical.log(Q))


def joint(log_q: Array, logits: Array, x_t: Array) -> Array:
    r"""The ratio of marginals where the logits are of the leave-one-out posterior.

        p_t(y) / p_t(x_t) = (p~ Q)_y / (p~ Q)_{x_t}

    The limit of `predict.joint`, that is eq. 4 of Austin et al. 2021.

    Args: log_q: [K, K] log Q_{0..t}.  logits: [..., K].  x_t: integer [...].
    Returns: [..., K] nats.
    """
    log_p = categorical.log_matmul(categorical.normalise(logits), log_q)
    return log_p - categorical.at(log_p, x_t)[..., None]


def posterior_mean(log_q: Array, logits: Array, x_t: Array) -> Array:
    r"""The ratio of marginals where the logits are of the posterior.

        p_t(y) / p_t(x_t) = sum_{x_0} p~(x_0) Q[x_0, y] / Q[x_0, x_t]

    Campbell et al. 2022, eq. 7, over the x_0 that can have led to x_t.

    Args: as for `joint`.
    Returns: [..., K] nats.
    """
    likelihood = log_q.T[x_t]
    possible = likelihood > -jnp.inf
    log_p = categorical.normalise(logits) - jnp.where(possible, likelihood, 0)
    return joint(log_q, jnp.where(possible, log_p, -jnp.inf), x_t)


def rate_cost(
    process: Rates,
    logits: Array,
    x_0: Array,
    x_t: Array,
    t: Array,
    *,
    ratio: Ratio = joint,
) -> Array:
    r"""The integrand of `rate_loss`, at one t.

        beta(t) sum_i sum_{y != x_t} R[y, x_t] [ r' - r + r log(r / r') ],
        r = q(y | x_0) / q(x_t | x_0),    r' = ratio

    Campbell et al. 2022, proposition 2, given x_0, with its constant: no second draw.

    Args: process: Rates.  logits: [..., K].  x_0, x_t: integer [...].  t: real [].
        ratio: `joint` or `posterior_mean`.
    Returns: [...] nats per unit of time, for each position.
    """
    log_q = kernel(process, t)
    log_row = log_q[x_0]
    log_r = log_row - categorical.at(log_row, x_t)[..., None]
    cost = jump_cost(log_r, ratio(log_q, logits, x_t))
    # What cannot jump costs nothing, even where both rates are infinite.
    into = _into(process, x_t, t)
    costs = jnp.where(into > 0, into * jnp.where(into > 0, cost, 0), 0)
    return jnp.sum(costs, axis=-1)


def rate_loss(
    denoise: Denoise,
    process: Rates,
    rng: Array,
    x_0: Array,
    *,
    ratio: Ratio = joint,
    times: Times = core_times.antithetic,
    length_mask: Array | None = None,
) -> Array:
    r"""The bound of any process in continuous time, unbiased.

        L = E_t rate_cost + KL( q(x_1 | x_0) || pi )

    Campbell et al. 2022, proposition 2 ("L_CT"). The optimum is that of `ratio`.

    Args: denoise: one example, real t.  process: Rates.  rng: key, or keys [B].  x_0:
        integer [B, ...].  ratio: what the logits mean.  times: how t is drawn.
        length_mask: boolean [B, ...], False at padding, which stays as it is in x_0
        and costs nothing.
    Returns: [] nats per example, summed over its positions.
    """
    K = len(process.log_pi)
    categorical.tokens("x_0", x_0, K)
    keys = jax.vmap(jax.random.split)(chain.example_keys(rng, x_0.shape[0]))
    t = times(jax.vmap(jax.random.uniform)(keys[:, 0]))
    last = kernel(process, jnp.ones(()))

    def one(key: Array, x_0: Array, t: Array, real: Array | None) -> Array:
        log_p = kernel(process, t)[x_0]
        noise = jax.random.gumbel(key, log_p.shape, mode="high")
        x_t = infill.counted(categorical.draw(log_p, noise), real, otherwise=x_0)
        each = rate_cost(process, denoise(x_t, t), x_0, x_t, t, ratio=ratio)
        pi = jnp.broadcast_to(process.log_pi, log_p.shape)
        prior = categorical.kl(last[x_0], infill.counted(pi, real, otherwise=last[x_0]))
        cost = jnp.sum(infill.counted(each, real))
        return categorical.guard(cost + prior, x_0, K)

    real = infill.lengths(length_mask, x_0.shape)
    return jnp.mean(jax.vmap(one)(keys[:, 1], x_0, t, real))


def sample(
    denoise: Denoise,
    process: Rates,
    rng: Array,
    shape: tuple[int, ...],
    *,
    ts: Array,
    ratio: Ratio = joint,
    correctors: int = 0,
    corrector_size: float = 1.0,
    known: Array | None = None,
    known_mask: Array | None = None,
    length_mask: Array | None = None,
    pad: int | None = None,
) -> Array:
    r"""Tau-leaping: every position jumps at most once in each stretch of time.

        P(x_s = y) = (1 - e^-h) h_y / h,    h_y = (t - s) beta R[y, x_t] ratio_y

    Campbell et al. 2022, section 4.3, for categories without an order. A corrector
    jumps forwards and backwards at once, which leaves p_s as it is (section 4.4).

    Args: denoise: one example, real t.  process: Rates.  rng: key, or keys [B].  shape:
        (B, ...).  ts: real [N + 1], from 1 descending to 0.  ratio: what the logits
        mean.  correctors: after each step.  corrector_size: of one, in steps.  known,
        known_mask, length_mask, pad: as for `samplers.sample`.
    Returns: integer [B, ...] samples (category indices).
    """
    if correctors < 0 or not corrector_size > 0:
        raise ValueError(
            "expected correctors >= 0 and corrector_size > 0, got "
            f"{correctors} and {corrector_size}"
        )
    ts, K = checks.unit_grid(ts), len(process.log_pi)
    fixed = infill.held(K, shape, known, known_mask, length_mask, pad)

    def backward(x: Array, t: Array) -> Array:
        log_r = ratio(kernel(process, t), denoise(x, t), x)
        into = _into(process, x, t)
        return jnp.where(into > 0, into * jnp.exp(jnp.where(into > 0, log_r, 0)), 0)

    def step(x: Array, t: Array, s: Array, noise: Array, memory: Any) -> Any:
        x = leap(x, (t - s) * backward(x, t), noise[0])
        at = jnp.where(s > 0, s, t)  # the data are not stirred any more
        size = jnp.where(s > 0, corrector_size * (t - s), 0)
        for gumbel in noise[1:]:
            both = backward(x, at) + _out_of(process, x, at)
            x = leap(x, size * both, gumbel)
        return x, memory

    def draw(rng: Array, x: Array) -> Array:
        size = (1 + correctors, *x.shape, K)
        return jax.random.gumbel(rng, size, mode="high")

    def one(rng: Array, fixed: infill.Held) -> Array:
        first, rest = jax.random.split(rng)
        x_1 = vocabulary.draw_alike(process.log_pi, first, shape[1:])
        x_1 = jnp.where(fixed.mask, fixed.values, x_1)
        move = infill.holding(step, fixed)
        return chain.reverse(move, rest, x_1, ts, draw=draw)

    return jax.vmap(one)(chain.example_keys(rng, shape[0]), fixed)


def leap(x: Array, hazard: Array, gumbel: Array) -> Array:
    r"""A jump, or none, from the expected number of jumps to each category.

        P(x) = e^-h,    P(y) = (1 - e^-h) h_y / h,    h = sum_y h_y

    Args: x: integer [...].  hazard: [..., K], h_y, 0 at y = x.  gumbel: [..., K].
    Returns: integer [...] (category indices).
    """
    total = jnp.sum(hazard, axis=-1, keepdims=True)
    share = categorical.log(hazard / jnp.where(total > 0, total, 1))
    jumps = categorical.log(-jnp.expm1(-total)) + share
    stays = categorical.one_hot(x, hazard.shape[-1]) == 0
    return categorical.draw(jnp.where(stays, -total, jumps), gumbel).astype(x.dtype)


def _into(process: Rates, x_t: Array, t: Array) -> Array:
    return _off_diagonal(process.matrix.T, process, x_t, t)


def _out_of(process: Rates, x_t: Array, t: Array) -> Array:
    return _off_diagonal(process.matrix, process, x_t, t)


def _off_diagonal(R: Array, process: Rates, x_t: Array, t: Array) -> Array:
    _, beta = jax.jvp(process.integral, (t,), (jnp.ones_like(t),))
    return beta * jnp.maximum(R, 0)[x_t]
