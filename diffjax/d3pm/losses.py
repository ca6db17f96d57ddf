"""Training losses of a denoiser: scalars, nats per example, the mean over a batch.

    loss              its optimum                        scale
    vb_loss           that of `predict`                  sum over t (x T), and prior
    cross_entropy     posterior p(x_0_i | x_t)           mean over t
    hybrid_loss       a compromise of the two            vb_loss + lam cross_entropy

All are summed over the positions of an example. The closed form for absorbing
transitions is in `masked`, the losses in continuous time are in `continuous`.
"""

import jax
import jax.numpy as jnp

from diffjax.core import categorical, chain
from diffjax.core import times as core_times
from diffjax.core.times import Steps
from diffjax.d3pm import infill, likelihood, process, vocabulary
from diffjax.d3pm import predict as predictions
from diffjax.d3pm.predict import Denoise, Predict
from diffjax.d3pm.process import Transitions
from diffjax.types import Array


def vb_loss(
    denoise: Denoise,
    transitions: Transitions,
    rng: Array,
    x_0: Array,
    *,
    predict: Predict = predictions.joint,
    times: Steps = core_times.uniform,
    length_mask: Array | None = None,
) -> Array:
    r"""An unbiased estimate of -elbo from one step an example.

        L_vb = E_t T L_{t-1} + L_T,    L_{t-1} = KL( q(x_{t-1} | x_t, x_0) || p )

    where L_0 = -log p(x_0 | x_1). Austin et al. 2021 (arXiv:2107.03006), eq. 1. With
    `joint` the optimum is the leave-one-out posterior, with `posterior_mean` the
    posterior. The published code has no factor T and no L_T.

    Args: denoise: one example.  transitions: a family.  rng: key, or keys [B].
        x_0: integer [B, ...].  predict: what the logits mean.  times: how t is drawn.
        length_mask: boolean [B, ...], False at padding, which stays as it is in x_0
        and costs nothing.
    Returns: [] nats per example, summed over its positions.
    """
    real = infill.lengths(length_mask, x_0.shape)
    t, x_t = noisy_batch(transitions, rng, x_0, times=times, length_mask=real)
    args = jax.vmap(denoise)(x_t, t), x_0, x_t, t
    terms = bound_terms(transitions, *args, predict=predict, length_mask=real)
    return jnp.mean(terms)


def cross_entropy(
    denoise: Denoise,
    transitions: Transitions,
    rng: Array,
    x_0: Array,
    *,
    times: Steps = core_times.uniform,
    length_mask: Array | None = None,
) -> Array:
    r"""How well the data are guessed, every t alike.

        L_ce = E_t -log p~(x_0 | x_t)

    Austin et al. 2021, eq. 5, its second term. The optimum is the posterior of every
    position. No factor T.

    Args: as for `vb_loss`.
    Returns: [] nats per example, summed over its positions.
    """
    real = infill.lengths(length_mask, x_0.shape)
    t, x_t = noisy_batch(transitions, rng, x_0, times=times, length_mask=real)
    logits = jax.vmap(denoise)(x_t, t)
    return _guessing(transitions, logits, x_0, real)


def hybrid_loss(
    denoise: Denoise,
    transitions: Transitions,
    rng: Array,
    x_0: Array,
    *,
    lam: float | None = None,
    predict: Predict = predictions.joint,
    times: Steps = core_times.uniform,
    length_mask: Array | None = None,
) -> Array:
    r"""The bound, and a push towards guessing the data.

        L_lambda = L_vb + lam L_ce

    Austin et al. 2021, eq. 5. With `joint` its two terms have different optima, unless
    the family is absorbing. The published code drops the T of L_vb, so that its lambda
    = 0.001 is 0.001 T here: that is the default.

    Args: as for `vb_loss`.  lam: weight of the cross-entropy, by default 0.001 T.
    Returns: [] nats per example, summed over its positions.
    """
    weight = 0.001 * transitions.T if lam is None else lam
    if weight < 0:
        raise ValueError(f"expected lam >= 0, got {lam}")
    real = infill.lengths(length_mask, x_0.shape)
    t, x_t = noisy_batch(transitions, rng, x_0, times=times, length_mask=real)
    logits = jax.vmap(denoise)(x_t, t)
    args = logits, x_0, x_t, t
    terms = bound_terms(transitions, *args, predict=predict, length_mask=real)
    return jnp.mean(terms) + weight * _guessing(transitions, logits, x_0, real)


def bound_terms(
    transitions: Transitions,
    logits: Array,
    x_0: Array,
    x_t: Array,
    t: Array,
    *,
    predict: Predict = predictions.joint,
    length_mask: Array | None = None,
) -> Array:
    r"""What each example's own t says of its bound, positive when it costs.

        T L_{t-1} + L_T

    Austin et al. 2021, eq. 1.

    Args: transitions: a family.  logits: [B, ..., K].  x_0, x_t: integer [B, ...].
        t: integer [B].  predict: what the logits mean.  length_mask: [B, ...] or None.
    Returns: [B] nats.
    """
    T = transitions.T

    def term(
        logits: Array, x_0: Array, x_t: Array, t: Array, real: Array | None
    ) -> Array:
        args = logits, x_0, x_t, t, t - 1
        cost = likelihood.divergence(
            transitions, *args, predict=predict, length_mask=real
        )
        last = jnp.asarray(T, t.dtype)
        at_T = likelihood.prior(transitions, x_0, last, length_mask=real)
        return categorical.guard(T * cost + at_T, x_0, transitions.K)

    return jax.vmap(term)(logits, x_0, x_t, t, length_mask)


def noisy_batch(
    transitions: Transitions,
    rng: Array,
    x_0: Array,
    *,
    times: Steps = core_times.uniform,
    length_mask: Array | None = None,
) -> tuple[Array, Array]:
    r"""A step and a noisy version for every example.

        t_i = times(u)_i,    x_t ~ q(x_t | x_0)

    Austin et al. 2021, eq. 3.

    Args: transitions: a family.  rng: key, or keys [B].  x_0: integer [B, ...].  times:
        how t is drawn.  length_mask: boolean [B, ...], or None.
    Returns: t integer [B], x_t integer [B, ...] (category indices).
    """
    categorical.tokens("x_0", x_0, transitions.K)
    keys, t = keys_and_times(transitions, rng, x_0, times)
    noise = likelihood.gumbel(transitions.K)

    def one(key: Array, x_0: Array, t: Array) -> Array:
        return process.diffuse(transitions, x_0, noise(key, x_0), t)

    x_t = jax.vmap(one)(keys, x_0, t)
    return t, infill.counted(x_t, length_mask, otherwise=x_0)


def keys_and_times(
    transitions: Transitions, rng: Array, x_0: Array, times: Steps
) -> tuple[Array, Array]:
    r"""A key for the noise of every example, and its step.

        t_i = times(u)_i,    u_i ~ U[0, 1)

    Args: as for `noisy_batch`.
    Returns: keys [B], t integer [B] (steps, no unit).
    """
    keys = jax.vmap(jax.random.split)(chain.example_keys(rng, x_0.shape[0]))
    u = jax.vmap(jax.random.uniform)(keys[:, 0])
    return keys[:, 1], times(u, transitions.T)


def _guessing(
    transitions: Transitions, logits: Array, x_0: Array, length_mask: Array | None
) -> Array:
    each = infill.counted(vocabulary.log_prob(x_0, logits), length_mask)
    return categorical.guard(
        -jnp.mean(jnp.sum(_rows(each), axis=1)), x_0, transitions.K
    )


def _rows(each: Array) -> Array:
    return each.reshape(each.shape[0], -1)
