"""One term of the bound for rank-one families: two passes over the logits, not ten.

Where tokens are kept or drawn anew from pi, q(x_s | x_t, x_0) is a multiple of pi but
at x_t and x_0: of all K entries only the mixture of p~ with pi is needed.
"""

import jax.numpy as jnp

from diffjax.core import categorical
from diffjax.core.precision import widen
from diffjax.d3pm.transitions import logspace
from diffjax.d3pm.transitions.rank_one import RankOne
from diffjax.types import Array


def divergence(
    transitions: RankOne,
    logits: Array,
    x_0: Array,
    x_t: Array,
    t: Array,
    s: Array,
) -> Array:
    r"""`likelihood.divergence` of `predict.joint`, in closed form, for each position.

        q_j = l_j m_j / Z,    l_j = alpha 1[j = x_t] + beta pi_{x_t},
                              m_j = a 1[j = x_0] + b pi'_j,    m'_j = a p~_j + b pi'_j
        KL = sum_j q_j log(m_j / m'_j) + log(Z' / Z)
           = (beta pi_{x_t} sum_j m_j log(m_j / m'_j)
              + alpha m_{x_t} log(m_{x_t} / m'_{x_t})) / Z + log(Z' / Z)

    with alpha, beta, pi of s to t and a, b, pi' of 0 to s. Hoogeboom et al. 2021
    (arXiv:2102.05379), eqs. 14-15; l cancels in the logarithm.

    Args: transitions: rank-one.  logits: [..., K].  x_0, x_t: integer [...].  t, s:
        integer [], s < t.
    Returns: [...] nats, for each position.
    """
    log_a, log_b = transitions.log_between(jnp.zeros_like(s), s)
    log_alpha, log_beta = transitions.log_between(s, t)
    log_pi = transitions.log_target(jnp.zeros_like(s), s)
    (logits,) = widen(logits)
    log_mass = logspace.total(logits)  # -inf where every x_0 is called impossible

    def drawn(x: Array) -> Array:
        return log_b + log_pi[x]

    def exact(x: Array) -> Array:
        return logspace.add(jnp.where(x == x_0, log_a, -jnp.inf), drawn(x))

    def model(x: Array) -> Array:
        log_p = categorical.at(logits, x) - _finite(log_mass[..., 0])
        return logspace.add(log_a + log_p, drawn(x))

    exact_0, exact_t, model_0, model_t = exact(x_0), exact(x_t), model(x_0), model(x_t)
    at_0 = _weighed(exact_0, _log_ratio(exact_0, model_0))
    spread = at_0 + _elsewhere(logits - _finite(log_mass), log_a, log_b + log_pi, x_0)
    replaced = log_beta + transitions.log_target(s, t)[x_t]
    log_Z = logspace.add(log_alpha + exact_t, replaced)
    log_Z_hat = logspace.add(log_alpha + model_t, replaced)
    kept = _weighed(log_alpha + exact_t - _finite(log_Z), _log_ratio(exact_t, model_t))
    cost = kept + _weighed(replaced - _finite(log_Z), spread)
    believed = (log_Z_hat > -jnp.inf) & (log_mass[..., 0] > -jnp.inf)
    cost = jnp.where(believed, cost + _finite(log_Z_hat), jnp.inf)
    possible = log_Z > -jnp.inf
    return jnp.where(possible, jnp.maximum(cost - _finite(log_Z), 0), 0)


def _elsewhere(log_p: Array, log_a: Array, drawn: Array, x_0: Array) -> Array:
    """Sum of m_j log(m_j / m'_j) over j != x_0, where m is drawn and m' either."""
    # log(m / m') = -log(1 + p~ a / (b pi)). Where b pi < exp(-80) a quotient may
    # overflow, but its weight b pi is then nothing.
    odds = jnp.where(drawn > -jnp.inf, jnp.exp(jnp.minimum(log_a - drawn, 80)), 0)
    weights, row = jnp.exp(drawn), (1,) * x_0.ndim + (-1,)
    index = jnp.arange(drawn.size).reshape(row)
    excess = weights.reshape(row) * jnp.log1p(jnp.exp(log_p) * odds.reshape(row))
    return -jnp.sum(jnp.where(index == x_0[..., None], 0, excess), axis=-1)


def _log_ratio(log_m: Array, log_model: Array) -> Array:
    return jnp.where(log_m > -jnp.inf, _finite(log_m) - log_model, 0)


def _weighed(log_weight: Array, cost: Array) -> Array:
    counts = log_weight > -jnp.inf
    return jnp.where(counts, jnp.exp(log_weight) * jnp.where(counts, cost, 0), 0)


def _finite(log_p: Array) -> Array:
    return jnp.where(log_p > -jnp.inf, log_p, 0)
