"""Two rank-one families at once, still rank-one: masks and uniform noise, say.

    Q_t = (1 - beta_t) I + beta_t 1 (share_t pi + (1 - share_t) pi')^T

What 0 to t replaced was drawn from a mean of these laws, whose odds are a table.
"""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from diffjax.d3pm.transitions import inputs, logspace
from diffjax.d3pm.transitions.rank_one import RankOne
from diffjax.d3pm.transitions.survival import Survival, one_step, survival
from diffjax.types import Array


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Blend(RankOne):
    r"""Replaced tokens are drawn from one of two laws; a state of 4 (T + 1) numbers.

    survival: of tokens.  log_odds: [T + 1] of the first law, in what 0 to t replaced.
    step_log_odds: [T + 1] the same for step t alone.  first, second: the laws.
    """

    survival: Survival
    log_odds: Array
    step_log_odds: Array
    first: Any
    second: Any

    @property
    def K(self) -> int:
        """The number of categories."""
        return self.first.K

    def log_target(self, s: Array, t: Array) -> Array:
        r"""The mean of the two laws, in what s to t replaced.

            log( share pi + (1 - share) pi' )

        A lookup for s = 0 and for s = t - 1, else t - s operations on numbers.

        Args: s, t: integer [], 0 <= s <= t <= T.
        Returns: [K] nats.
        """
        log_odds = self._log_odds(s, t)
        return logspace.add(
            jax.nn.log_sigmoid(log_odds) + self.first.log_target(s, t),
            jax.nn.log_sigmoid(-log_odds) + self.second.log_target(s, t),
        )

    @jax.jit  # a loop outside jit would be compiled at every call
    def _log_odds(self, s: Array, t: Array) -> Array:
        known = jnp.where(s == t - 1, self.step_log_odds[t], self.log_odds[t])
        looked_up = (s == 0) | (s >= t - 1)

        def step(carry: tuple[Array, Array, Array]) -> tuple[Array, Array, Array]:
            k, first, second = carry
            kept, replaced = self.between(k, k + 1)
            odds = self.step_log_odds[k + 1]
            first = kept * first + replaced * jax.nn.sigmoid(odds)
            second = kept * second + replaced * jax.nn.sigmoid(-odds)
            return k + 1, first, second

        zero = jnp.zeros_like(known)
        start = (jnp.where(looked_up, t, s), zero, zero)
        _, first, second = jax.lax.while_loop(lambda c: c[0] < t, step, start)
        return jnp.where(looked_up, known, jnp.log(first) - jnp.log(second))


def blend(a: RankOne, b: RankOne, share: np.ndarray) -> Blend:
    r"""A step of a with probability share_t, else one of b, both with constant laws.

        beta_t = share_t beta^a_t + (1 - share_t) beta^b_t

    Args: a, b: uniform, absorbing or marginal, of one K and T.  share: float64 [T].
    Returns: the family, in O(T) numbers.
    """
    first, second = share * one_step(a.survival), (1 - share) * one_step(b.survival)
    kept, from_a, from_b = 1 - first - second, [0.0], [0.0]
    for t in range(len(share)):
        from_a.append(kept[t] * from_a[-1] + first[t])
        from_b.append(kept[t] * from_b[-1] + second[t])
    return Blend(
        survival=survival(first + second),
        log_odds=_odds(np.array(from_a), np.array(from_b)),
        step_log_odds=_odds(np.append(0, first), np.append(0, second)),
        first=dataclasses.replace(a, survival=None),  # type: ignore[type-var]
        second=dataclasses.replace(b, survival=None),  # type: ignore[type-var]
    )


def _odds(first: np.ndarray, second: np.ndarray) -> Array:
    with np.errstate(divide="ignore", invalid="ignore"):  # one may never be drawn
        log_odds = np.log(first) - np.log(second)
    return inputs.table(np.where(np.isnan(log_odds), 0, log_odds))
