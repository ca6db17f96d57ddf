"""Absorbing transitions in closed form: diffusion as masked language modelling.

A token is either itself or the mask, so nothing here needs K numbers a token besides
the network's logits. The optimum of the loss is the posterior p(x_0_i | x_t), which
for a masked position is the leave-one-out posterior too.
"""

from typing import Protocol

import jax
import jax.numpy as jnp

from diffjax.core import categorical
from diffjax.core import times as core_times
from diffjax.core.times import Steps
from diffjax.d3pm import infill, losses, vocabulary
from diffjax.d3pm.predict import Denoise
from diffjax.d3pm.process import Transitions
from diffjax.types import Array


class Absorbing(Transitions, Protocol):
    """A family whose tokens become the mask and then stay it."""

    @property
    def mask(self) -> int:
        """The absorbing category."""

    def between(self, s: Array, t: Array) -> tuple[Array, Array]:
        """The probabilities of staying a token from s to t, and of being masked."""


def absorbing_loss(
    denoise: Denoise,
    transitions: Absorbing,
    rng: Array,
    x_0: Array,
    *,
    times: Steps = core_times.uniform,
    length_mask: Array | None = None,
) -> Array:
    r"""The bound of absorbing diffusion: a weighted masked language model.

        L = T E_t w_t sum_{i: x_t_i = mask} -log p~(x_0_i | x_t),
        w_t = (alpha_bar_{t-1} - alpha_bar_t) / (1 - alpha_bar_t)

    for a denoiser without mass on the mask and with certainty elsewhere, both imposed
    here. Austin et al. 2021, eq. 12 (where w_t = 1 / t); Shi et al. 2024 (MD4,
    arXiv:2406.04329), eq. 6. It equals `vb_loss` without its prior term, which is 0
    where alpha_bar_T = 0. Reductions are in float32, by blocks.

    Args: as for `vb_loss`.  transitions: absorbing, its mask not in x_0.
    Returns: [] nats per example, summed over its positions.
    """
    t, x_t = masked_batch(transitions, rng, x_0, times=times)
    # Padding is never masked, and only what is masked costs anything.
    real = infill.lengths(length_mask, x_0.shape)
    x_t = infill.counted(x_t, real, otherwise=x_0)
    logits = jax.vmap(denoise)(x_t, t)
    return loss_of_logits(transitions, logits, x_0, x_t, t)


def loss_of_logits(
    transitions: Absorbing, logits: Array, x_0: Array, x_t: Array, t: Array
) -> Array:
    r"""`absorbing_loss` of what a network has said already.

        L = T mean_b w_{t_b} sum_{i: x_t_bi = mask} -log p~(x_0_bi | x_t_b)

    Args: transitions: absorbing.  logits: [B, ..., K], of any floating dtype.  x_0,
        x_t: integer [B, ...].  t: integer [B].
    Returns: [] nats per example, summed over its positions.
    """
    T, mask = transitions.T, transitions.mask
    each = vocabulary.log_prob(x_0, logits, impossible=mask)
    weight = jax.vmap(lambda t: unmask_prob(transitions, t, t - 1))(t)
    missing = jnp.sum(jnp.where(x_t == mask, -each, 0).reshape(len(t), -1), axis=1)
    return categorical.guard(T * jnp.mean(weight * missing), x_0, transitions.K)


def masked_batch(
    transitions: Absorbing,
    rng: Array,
    x_0: Array,
    *,
    times: Steps = core_times.uniform,
) -> tuple[Array, Array]:
    r"""`noisy_batch` of absorbing transitions, by a coin a token, not K numbers.

        x_t_i = mask with probability 1 - alpha_bar_t, else x_0_i

    Austin et al. 2021, appendix A.3.

    Args: as for `absorbing_loss`.
    Returns: t integer [B], x_t integer [B, ...] (category indices).
    """
    categorical.tokens("x_0", x_0, transitions.K)
    categorical.without("x_0", x_0, transitions.mask)
    keys, t = losses.keys_and_times(transitions, rng, x_0, times)

    def one(key: Array, x_0: Array, t: Array) -> Array:
        coin = jax.random.uniform(key, x_0.shape)
        return jnp.where(coin < masked_prob(transitions, t), transitions.mask, x_0)

    return t, jax.vmap(one)(keys, x_0, t)


def unmask_prob(transitions: Absorbing, t: Array, s: Array) -> Array:
    r"""How likely a token that is masked at t is shown at s.

        (alpha_bar_s - alpha_bar_t) / (1 - alpha_bar_t)

    Austin et al. 2021, appendix A.3, without a difference of near equals.

    Args: transitions: absorbing.  t, s: integer [], s < t.
    Returns: [] probability (no unit).
    """
    kept, _ = transitions.between(jnp.zeros_like(s), s)
    _, lost = transitions.between(s, t)
    return kept * lost / masked_prob(transitions, t)


def masked_prob(transitions: Absorbing, t: Array) -> Array:
    r"""How likely a token is masked at t.

        1 - alpha_bar_t

    Austin et al. 2021, appendix A.3.

    Args: transitions: absorbing.  t: integer [].
    Returns: [] probability (no unit).
    """
    return transitions.between(jnp.zeros_like(t), t)[1]
