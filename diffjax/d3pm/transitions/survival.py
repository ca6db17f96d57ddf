"""How much of a token survives the steps from s to t, exactly, for any s < t.

The product of 1 - beta is kept as a sum of logs, and the sum as two tables: `whole`
holds multiples of a grid so coarse that differences are exact, `rest` what is left of
it. In float32 a difference of two rounded sums would be off by 1e-3 of a single step;
this way every step and every stretch of steps keeps all its digits.
"""

from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from diffjax.d3pm.transitions import inputs
from diffjax.types import Array

NEVER = 1000.0
"""-log of a survival that is zero: exp(-1000) is 0 in float32 and in float64."""


class Survival(NamedTuple):
    r"""The logs of alpha_bar, cut in two: log alpha_bar_t = whole_t + rest_t.

    whole: [T + 1] the greater part; differences of its entries have no rounding.
    rest: [T + 1] the smaller part.
    """

    whole: Array
    rest: Array

    @property
    def T(self) -> int:
        """The number of steps."""
        return self.whole.shape[0] - 1


def survival(betas: Sequence[float] | np.ndarray) -> Survival:
    r"""The survival under given one-step probabilities of being replaced.

        log alpha_bar_t = sum_{k <= t} log(1 - beta_k)

    Austin et al. 2021 (arXiv:2107.03006), appendix A.2. A step with beta = 1 counts as
    -1000, which leaves exactly nothing, and steps after it are still told apart.

    Args: betas: [T], for t = 1..T, in [0, 1]; any of them may be 0 or 1.
    Returns: Survival of tables [T + 1] (nats).
    """
    with np.errstate(divide="ignore"):  # log 0 is meant
        log_keep = np.maximum(np.log1p(-inputs.betas(betas)), -NEVER)
    digits = np.finfo(jax.dtypes.canonicalize_dtype(np.float64)).nmant
    total = -log_keep.sum() or 1.0
    grid = 2.0 ** (np.ceil(np.log2(total)) - digits)
    whole_part = np.round(log_keep / grid) * grid
    rest = np.cumsum(log_keep - whole_part)
    carry = np.round(rest / grid) * grid
    return Survival(
        whole=inputs.table(np.append(0, np.cumsum(whole_part) + carry)),
        rest=inputs.table(np.append(0, rest - carry)),
    )


def between(tables: Survival, s: Array, t: Array) -> tuple[Array, Array]:
    r"""What the steps from s to t keep, and what they replace.

        alpha = alpha_bar_t / alpha_bar_s,    beta = 1 - alpha

    Args: tables: [T + 1].  s, t: integer [], s <= t.
    Returns: alpha [], beta [] (probabilities).
    """
    whole, rest = tables.whole[t] - tables.whole[s], tables.rest[t] - tables.rest[s]
    return jnp.exp(whole) * jnp.exp(rest), -jnp.expm1(whole + rest)


def log_between(tables: Survival, s: Array, t: Array) -> tuple[Array, Array]:
    r"""The same two, as logs; -inf where nothing is kept, or nothing replaced.

        log alpha,    log(1 - alpha)

    An alpha below exp(-999) counts as nothing, like what a step with beta = 1 keeps.

    Args: tables: [T + 1].  s, t: integer [], s <= t.
    Returns: log alpha [], log beta [] (nats).
    """
    log_alpha = (tables.whole[t] - tables.whole[s]) + (tables.rest[t] - tables.rest[s])
    kept = jnp.where(log_alpha > 1 - NEVER, log_alpha, -jnp.inf)
    # log(1 - e^x) by whichever form keeps its digits.
    far = jnp.log1p(-jnp.exp(jnp.minimum(log_alpha, -0.5)))
    near = jnp.log(-jnp.expm1(jnp.maximum(log_alpha, -1)))
    return kept, jnp.where(log_alpha < -0.7, far, near)


def one_step(tables: Survival) -> np.ndarray:
    r"""The one-step probabilities that the tables were made from.

        beta_t = 1 - alpha_bar_t / alpha_bar_{t-1}

    Args: tables: [T + 1].
    Returns: float64 [T] (probabilities).
    """
    whole, rest = (np.diff(np.asarray(part, np.float64)) for part in tables)
    return np.clip(-np.expm1(whole + rest), 0, 1)
