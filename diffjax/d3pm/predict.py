"""What a network may predict, and the reverse law p(x_s | x_t) that follows from it.

`denoise(x_t, t)` returns logits for one example. A `Predict` turns them into the
reverse law; there are three, and their bounds have different optima:

    joint            optimum: leave-one-out posterior, p(x_0_i | x_t without x_t_i)
    posterior_mean   optimum: posterior, p(x_0_i | x_t); the target of cross-entropy
    x_s              optimum: p(x_s_i | x_t) itself; the network knows its grid

For absorbing transitions, and no mass on the mask, the first two are the same function.
"""

from collections.abc import Callable

import chex
import jax.numpy as jnp

from diffjax.core import categorical, checks
from diffjax.d3pm import process
from diffjax.d3pm.heads import (
    open_logistic as open_logistic,
)
from diffjax.d3pm.heads import (
    published_logistic as published_logistic,
)
from diffjax.d3pm.heads import (
    truncated_logistic as truncated_logistic,
)
from diffjax.d3pm.process import Transitions
from diffjax.types import Array

Denoise = Callable[[Array, Array], Array]
"""(x_t integer [...], t []) -> logits [..., K], by default of p(x_0 | x_t)."""
Predict = Callable[..., Array]
"""(transitions, logits [..., K], x_t [...], t [], *, s) -> log p(x_s | x_t)."""


def joint(
    transitions: Transitions,
    x_0_logits: Array,
    x_t: Array,
    t: Array,
    *,
    s: Array | None = None,
) -> Array:
    r"""The paper's reverse law, at every t, t = 1 included.

        p(x_s | x_t)  is proportional to  sum_{x_0} q(x_s, x_t | x_0) p~(x_0 | x_t)

    Austin et al. 2021 (arXiv:2107.03006), eq. 4. Its bound is best where p~ is the
    leave-one-out posterior: x_t itself enters through q.

    Args: transitions: a family.  x_0_logits: [..., K] of p~.  x_t: integer [...].
        t: integer [], 1..T.  s: integer [] < t, else t - 1.
    Returns: [..., K] log probabilities of x_s, nats.
    """
    _shapes(x_0_logits, x_t)
    return process.posterior_logits(transitions, x_0_logits, x_t, t, s=s)


def posterior_mean(
    transitions: Transitions,
    x_0_logits: Array,
    x_t: Array,
    t: Array,
    *,
    s: Array | None = None,
) -> Array:
    r"""The posterior q averaged over a belief about x_0.

        p(x_s | x_t) = sum_{x_0} q(x_s | x_t, x_0) p~(x_0 | x_t)

    over the x_0 that can have led to x_t, p~ renormalised among these. Campbell et al.
    2022 (arXiv:2205.14987), eq. 5. Its bound is best where p~ is the posterior.

    Args: as for `joint`.
    Returns: [..., K] log probabilities of x_s, nats.
    """
    alone = leave_one_out(transitions, x_0_logits, x_t, t)
    return process.posterior_logits(transitions, alone, x_t, t, s=s)


def x_s(
    transitions: Transitions,
    logits: Array,
    x_t: Array,
    t: Array,
    *,
    s: Array | None = None,
) -> Array:
    r"""A network that predicts x_s itself; what cannot lead to x_t is left out.

        p(x_s | x_t)  is proportional to  exp(l_{x_s}) 1[ Q_{s..t}[x_s, x_t] > 0 ]

    Austin et al. 2021, section 3.3 ("directly predict the logits"). It knows nothing of
    s, so it serves the grid it was trained on.

    Args: as for `joint`, the logits those of x_s.
    Returns: [..., K] log probabilities of x_s, nats.
    """
    _shapes(logits, x_t)
    checks.step(transitions.T, t, s)
    column = transitions.column(x_t, t - 1 if s is None else s, t)
    return categorical.normalise(jnp.where(column > -jnp.inf, logits, -jnp.inf))


def leave_one_out(
    transitions: Transitions, x_0_logits: Array, x_t: Array, t: Array
) -> Array:
    r"""What the other positions say of x_0, from what all of them say.

        p(x_0_i | x_t without i)  is proportional to  p(x_0_i | x_t) / q(x_t_i | x_0_i)

    Bayes' rule. It turns the optimum of cross-entropy into that of `joint`; an x_0 that
    cannot have led to x_t is left out, as p(x_0 | x_t) does not tell its odds.

    Args: transitions: a family.  x_0_logits: [..., K].  x_t: integer [...].  t: [].
    Returns: [..., K] log probabilities, nats.
    """
    likelihood = _likelihood(transitions, x_0_logits, x_t, t)
    possible = likelihood > -jnp.inf
    log_p = x_0_logits - jnp.where(possible, likelihood, 0)
    return categorical.normalise(jnp.where(possible, log_p, -jnp.inf))


def full_posterior(
    transitions: Transitions, x_0_logits: Array, x_t: Array, t: Array
) -> Array:
    r"""What all positions say of x_0, from what the others say: `leave_one_out` undone.

        p(x_0_i | x_t)  is proportional to  p(x_0_i | x_t without i) q(x_t_i | x_0_i)

    Bayes' rule.

    Args: transitions: a family.  x_0_logits: [..., K].  x_t: integer [...].  t: [].
    Returns: [..., K] log probabilities, nats.
    """
    likelihood = _likelihood(transitions, x_0_logits, x_t, t)
    return categorical.normalise(x_0_logits + likelihood)


def score_from_x_0(
    transitions: Transitions, x_0_logits: Array, x_t: Array, t: Array
) -> Array:
    r"""The concrete score, the discrete cousin of grad log p_t.

        log s_y = log p_t(x_t with y at i) - log p_t(x_t)
                = log sum_{x_0} q(y | x_0) / q(x_t_i | x_0) p(x_0 | x_t)

    Lou et al. 2024 (SEDD, arXiv:2310.16834), section 3.

    Args: transitions: a family.  x_0_logits: [..., K] of the posterior.  x_t: integer
        [...].  t: integer [].
    Returns: [..., K] log s, 0 at y = x_t (nats).
    """
    alone = leave_one_out(transitions, x_0_logits, x_t, t)
    log_p = process.marginal_logits(transitions, alone, t)
    return log_p - categorical.at(log_p, x_t)[..., None]


def x_0_from_score(
    transitions: Transitions, log_score: Array, x_t: Array, t: Array
) -> Array:
    r"""The posterior of x_0, from the concrete score.

        p(x_0 | x_t)  is proportional to  (s Q_{0..t}^{-1})_{x_0} q(x_t | x_0)

    Lou et al. 2024, theorem 4.2 ("Tweedie"). It solves with a [K, K] matrix, and a
    score that no data could have may ask for negative probabilities: these become 0.

    Args: transitions: a family with an invertible Q_{0..t}.  log_score: [..., K].
        x_t: integer [...].  t: integer [].
    Returns: [..., K] log probabilities, nats.
    """
    _shapes(log_score, x_t)
    matrix = transitions.matrix(jnp.zeros_like(t), t)
    score = jnp.exp(categorical.normalise(log_score))
    flat = score.reshape(-1, score.shape[-1])
    alone = jnp.linalg.solve(matrix.T, flat.T).T.reshape(score.shape)
    return full_posterior(transitions, categorical.log(alone), x_t, t)


def zero_masked(denoise: Denoise, *, mask: int) -> Denoise:
    r"""A denoiser that knows that data are never masked.

        p~(x_0 = mask) = 0

    Sahoo et al. 2024 (MDLM, arXiv:2406.07524), section 3.2.3.

    Args: denoise: one example.  mask: the absorbing category.
    Returns: denoise (logits).
    """

    def masked(x_t: Array, t: Array) -> Array:
        logits = denoise(x_t, t)
        categorical.mask("mask", mask, logits.shape[-1])
        certain = categorical.one_hot(jnp.full(x_t.shape, mask), logits.shape[-1])
        return jnp.where(certain == 0, -jnp.inf, logits)

    return masked


def carried_over(denoise: Denoise, *, mask: int) -> Denoise:
    r"""A denoiser that knows that what is not masked is clean.

        p~(x_0 = x_t) = 1 where x_t is not the mask

    Sahoo et al. 2024, section 3.2.3; for absorbing transitions only.

    Args: denoise: one example.  mask: the absorbing category.
    Returns: denoise (logits).
    """

    def carried(x_t: Array, t: Array) -> Array:
        logits = denoise(x_t, t)
        categorical.mask("mask", mask, logits.shape[-1])
        certain = categorical.one_hot(x_t, logits.shape[-1]).astype(logits.dtype)
        return jnp.where((x_t == mask)[..., None], logits, certain)

    return carried


def _likelihood(
    transitions: Transitions, x_0_logits: Array, x_t: Array, t: Array
) -> Array:
    _shapes(x_0_logits, x_t)
    checks.step(transitions.T, t)
    categorical.tokens("x_t", x_t, transitions.K)
    return transitions.column(x_t, jnp.zeros_like(t), t)


def _shapes(logits: Array, x_t: Array) -> None:
    chex.assert_rank(logits, jnp.ndim(x_t) + 1)
    chex.assert_equal_shape_prefix([logits, x_t], jnp.ndim(x_t))
