"""Families of Q_t, each a pytree of operators; Q_{s..t} for any s <= t, traced or not.

    K, T                   categories (the mask counted), steps
    matrix(s, t)           Q_{s..t} = Q_{s+1} ... Q_t, [K, K], rows sum to 1
    forward(log_p, s, t)   log(p Q_{s..t})
    row(x_s, s, t)         log Q_{s..t}[x_s, :], the law of x_t given x_s
    column(x_t, s, t)      log Q_{s..t}[:, x_t], the likelihood of x_s given x_t
    log_prior()            log of the law of x_T under the model, [K]

Q is row-stochastic: laws are rows, and multiply from the left. Q_{s..s} = I. betas are
[T], for t = 1..T.
"""

from diffjax.d3pm.transitions.apart import with_mask
from diffjax.d3pm.transitions.dense import from_matrices
from diffjax.d3pm.transitions.learned import with_prior
from diffjax.d3pm.transitions.mixture import mixture
from diffjax.d3pm.transitions.nearest import nearest, retimed
from diffjax.d3pm.transitions.ordinal import banded, gaussian
from diffjax.d3pm.transitions.products import cumulative, cumulative_scan
from diffjax.d3pm.transitions.rank_one import absorbing, marginal, uniform
from diffjax.d3pm.transitions.rate import from_eigenbasis, from_rate

__all__ = [
    "absorbing",
    "banded",
    "cumulative",
    "cumulative_scan",
    "from_eigenbasis",
    "from_matrices",
    "from_rate",
    "gaussian",
    "marginal",
    "mixture",
    "nearest",
    "retimed",
    "uniform",
    "with_mask",
    "with_prior",
]
