"""Diffusion that knows how often each token has jumped, so that only where is learned.

Every position has T possible jumps, each at a time of its own with distribution F on
[0, 1]; after n of them the law of the token is that of a discrete chain after n steps.
So a family of `transitions` serves as it is, each position with its own clock n, and
`denoise(x_t, n)` is given all clocks, integers [...], in place of one t.

With one jump, to a mask, it is masked diffusion; as T grows the jumps are Poisson's, as
published. Amin et al. 2025, "Why masking diffusion works: condition on the jump
schedule for improved discrete diffusion" (arXiv:2506.08316).
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from diffjax.core import categorical, chain, checks
from diffjax.core import times as core_times
from diffjax.core.times import Times
from diffjax.d3pm import infill, likelihood
from diffjax.d3pm import predict as predictions
from diffjax.d3pm.predict import Predict
from diffjax.d3pm.process import Transitions
from diffjax.d3pm.samplers import start
from diffjax.types import Array

Denoise = Callable[[Array, Array], Array]
"""(x_t integer [...], n integer [...]) -> logits [..., K] of p(x_0 | x_t, n)."""
Jumped = Callable[[Array], Array]
"""t [] in [0, 1] -> F(t), the probability that a jump has happened; F(0) = 0."""


def linear(t: Array) -> Array:
    r"""Jumps at uniform times.

        F(t) = t

    Args: t: real [].
    Returns: [] (probability).
    """
    return t


def loss(
    denoise: Denoise,
    jumps: Transitions,
    rng: Array,
    x_0: Array,
    *,
    jumped: Jumped = linear,
    predict: Predict = predictions.joint,
    times: Times = core_times.antithetic,
    length_mask: Array | None = None,
) -> Array:
    r"""The bound of a model that is told the number of jumps, unbiased.

        L = E_t F'(t) / F(t) sum_i n_i KL( q(x_{n_i - 1} | x_{n_i}, x_0) || p_i )
            + E KL( q(x_1 | n, x_0) || p(x_1) ),    n_i ~ Binomial(T, F(t))

    Amin et al. 2025, section 4, with jumps of a finite number. The optimum is
    that of `predict`.

    Args: denoise: one example.  jumps: a family, its step t the t-th jump.  rng: key,
        or keys [B].  x_0: integer [B, ...].  jumped: F.  predict: what the logits mean.
        times: how t is drawn.  length_mask: boolean [B, ...], False at padding, which
        never jumps and costs nothing.
    Returns: [] nats per example, summed over its positions.
    """
    categorical.tokens("x_0", x_0, jumps.K)
    real = infill.lengths(length_mask, x_0.shape)
    keys = jax.vmap(lambda k: jax.random.split(k, 4))(
        chain.example_keys(rng, x_0.shape[0])
    )
    t = times(jax.vmap(jax.random.uniform)(keys[:, 0]))

    def one(keys: Array, x_0: Array, t: Array, real: Array | None) -> Array:
        happened, slope = jax.jvp(jumped, (t,), (jnp.ones_like(t),))
        size = (*x_0.shape, jumps.T)
        n = count(jax.random.uniform(keys[1], size), happened)
        n = infill.counted(n, real)
        x_t = diffuse(jumps, x_0, likelihood.gumbel(jumps.K)(keys[2], x_0), n)
        each = cost(jumps, denoise(x_t, n), x_0, x_t, n, predict=predict)
        some = happened > 0  # at t = 0 nothing has happened, at an infinite rate
        rate = jnp.where(some, slope / jnp.where(some, happened, 1), 0)
        last = count(jax.random.uniform(keys[3], size), jumped(jnp.ones_like(t)))
        at_1 = infill.counted(prior(jumps, x_0, last), real)
        return categorical.guard(rate * jnp.sum(each) + jnp.sum(at_1), x_0, jumps.K)

    return jnp.mean(jax.vmap(one)(keys, x_0, t, real))


def cost(
    jumps: Transitions,
    logits: Array,
    x_0: Array,
    x_t: Array,
    n: Array,
    *,
    predict: Predict = predictions.joint,
) -> Array:
    r"""What undoing a jump costs at each position, times the jumps there are to undo.

        n_i KL( q(x_{n_i - 1} | x_{n_i}, x_0) || p(x_{n_i - 1} | x_t, n) )

    Amin et al. 2025, section 4.

    Args: jumps: a family.  logits: [..., K].  x_0, x_t, n: integer [...].  predict:
        what the logits mean.
    Returns: [...] nats.
    """

    def one(logits: Array, x_0: Array, x_t: Array, n: Array) -> Array:
        first = jnp.maximum(n, 1)  # where none is to undo, anything finite will do
        x = jnp.where(n > 0, x_t, x_0)
        args = logits, x_0, x, first, first - 1
        each = likelihood.divergence(jumps, *args, predict=predict)
        return jnp.where(n > 0, n * each, 0)

    return _everywhere(one, logits, x_0, x_t, n)


def prior(jumps: Transitions, x_0: Array, n: Array) -> Array:
    r"""What the end of every position costs, after its jumps.

        KL( q(x_1 | n_i, x_0) || p(x_1) )

    Amin et al. 2025, section 4. Positions that never jump are the data.

    Args: jumps: a family.  x_0, n: integer [...].
    Returns: [...] nats.
    """
    return _everywhere(lambda x_0, n: likelihood.prior(jumps, x_0, n), x_0, n)


def diffuse(jumps: Transitions, x_0: Array, gumbel: Array, n: Array) -> Array:
    r"""A draw of x_t given x_0 and the number of jumps.

        x_t_i = argmax_k [ log Q_{0..n_i}[x_0_i, k] + g_ik ]

    Amin et al. 2025, section 4.

    Args: jumps: a family.  x_0, n: integer [...].  gumbel: [..., K].
    Returns: integer [...] (category indices).
    """
    law = _everywhere(lambda x, n: jumps.row(x, jnp.zeros_like(n), n), x_0, n)
    return categorical.draw(law, gumbel).astype(x_0.dtype)


def count(u: Array, happened: Array) -> Array:
    r"""How many jumps each position has made.

        n_i = sum_j 1[u_ij < F],    Binomial(T, F)

    Args: u: [..., T] uniform on [0, 1).  happened: F, [].
    Returns: integer [...] (jumps).
    """
    return jnp.sum(u < happened, axis=-1)


def sample(
    denoise: Denoise,
    jumps: Transitions,
    rng: Array,
    shape: tuple[int, ...],
    *,
    ts: Any,
    jumped: Jumped = linear,
    predict: Predict = predictions.joint,
    known: Array | None = None,
    known_mask: Array | None = None,
    length_mask: Array | None = None,
    pad: int | None = None,
) -> Array:
    r"""Draw from the model: what has jumped in a stretch of time is undone at once.

        m_i ~ Binomial(n_i, 1 - F(s) / F(t)),    x_{n_i - m_i} ~ p(. | x_t, n)

    Amin et al. 2025, section 4; exact in the limit of a fine grid, and for one
    position on any.

    Args: denoise: one example.  jumps: a family.  rng: key, or keys [B].  shape:
        (B, ...).  ts: real [N + 1], from 1 descending to 0.  jumped: F.  predict: what
        the logits mean.  known, known_mask, length_mask, pad: as for `samplers.sample`;
        what is given has not jumped.
    Returns: integer [B, ...] samples (category indices).
    """
    ts = checks.unit_grid(ts)
    fixed = infill.held(jumps.K, shape, known, known_mask, length_mask, pad)

    def draw(rng: Array, x_n: Any) -> tuple[Array, Array]:
        first, rest = jax.random.split(rng)
        u = jax.random.uniform(first, (*x_n[0].shape, jumps.T))
        return u, likelihood.gumbel(jumps.K)(rest, x_n[0])

    def step(x_n: Any, t: Array, s: Array, noise: Any, memory: Any) -> Any:
        (x, n), (u, gumbel) = x_n, noise
        undone = 1 - jumped(s) / jumped(t)
        there = jnp.arange(jumps.T).reshape((1,) * n.ndim + (-1,)) < n[..., None]
        rest = n - jnp.sum((u < undone) & there, axis=-1)
        x_s = _everywhere(
            lambda *a: predict(jumps, *a[:3], s=a[3]), denoise(x, n), x, n, rest
        )
        drawn = categorical.draw(x_s, gumbel).astype(x.dtype)
        return (jnp.where(rest < n, drawn, x), rest), memory

    def one(rng: Array, fixed: infill.Held) -> Array:
        keys = jax.random.split(rng, 3)
        u = jax.random.uniform(keys[0], (*shape[1:], jumps.T))
        n = jnp.where(fixed.mask, 0, count(u, jumped(jnp.ones(()))))
        x, _ = start(jumps, keys[1], fixed)
        return chain.reverse(step, keys[2], (x, n), ts, draw=draw)[0]

    return jax.vmap(one)(chain.example_keys(rng, shape[0]), fixed)


def _everywhere(function: Callable[..., Array], *args: Array) -> Array:
    """Map a function of one position over all of them."""
    shape = args[-1].shape
    flat = [a.reshape(-1, *a.shape[len(shape) :]) for a in args]
    out = jax.vmap(function)(*flat)
    return out.reshape(*shape, *out.shape[1:])
