"""Losses in continuous time: t in [0, 1], and `denoise(x_t, t)` takes a real t.

    loss             its optimum                          process
    absorbing_loss   posterior (= leave-one-out)          alpha(t) I + (1 - alpha) mask
    uniform_loss     leave-one-out posterior              alpha(t) I + (1 - alpha) / K
    rate_loss        that of `ratio`, as for `predict`    any rate matrix: `rates`

All are nats per example, summed over its positions, and need no number of steps. alpha
falls from 1 at t = 0: where it does not, the reconstruction at t = 0 is left out.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from diffjax.core import categorical, chain
from diffjax.core import times as core_times
from diffjax.core.times import Times
from diffjax.d3pm import infill, vocabulary
from diffjax.d3pm.predict import Denoise
from diffjax.types import Array

Alpha = Callable[[Array], Array]
"""t [] in [0, 1] -> the probability that a token is still itself, []."""


def linear(t: Array) -> Array:
    r"""Survival that falls evenly: `schedules.inverse` in continuous time.

        alpha(t) = 1 - t

    Shi et al. 2024 (MD4, arXiv:2406.04329), table 4.

    Args: t: real [].
    Returns: [] (probability).
    """
    return 1 - t


def cosine(t: Array) -> Array:
    r"""Survival that falls slowly at first, fast where little is left.

        alpha(t) = 1 - cos( pi/2 (1 - t) ) = 1 - sin( pi/2 t )

    Shi et al. 2024, table 4.

    Args: t: real [].
    Returns: [] (probability).
    """
    return 1 - jnp.sin(0.5 * jnp.pi * t)  # in this form exactly 1 at t = 0


def polynomial(power: float) -> Alpha:
    r"""Survival that falls as a power of t.

        alpha(t) = 1 - t^w

    Shi et al. 2024, table 4.

    Args: power: w > 0.
    Returns: an `Alpha`, t [] -> [] (probability).
    """
    if not power > 0:
        raise ValueError(f"expected power > 0, got {power}; 1 is `linear`")
    return lambda t: 1 - t**power


def absorbing_loss(
    denoise: Denoise,
    alpha: Alpha,
    rng: Array,
    x_0: Array,
    *,
    mask: int,
    times: Times = core_times.antithetic,
    length_mask: Array | None = None,
) -> Array:
    r"""The bound of masked diffusion as the number of steps grows.

        L = E_t w(t) sum_{i: x_t_i = mask} -log p~(x_0_i | x_t),
        w = -alpha'(t) / (1 - alpha(t))

    Shi et al. 2024, eq. 7; Sahoo et al. 2024 (MDLM, arXiv:2406.07524), eq. 10. The mask
    has no mass under p~ (imposed here). No K numbers a token besides the logits.

    Args: denoise: one example, real t.  alpha: from 1 to 0.  rng: key, or keys [B].
        x_0: integer [B, ...], without the mask.  mask: the absorbing category.  times:
        how t is drawn.  length_mask: boolean [B, ...], False at padding, which stays
        as it is in x_0 and costs nothing.
    Returns: [] nats per example, summed over its positions.
    """
    categorical.without("x_0", x_0, mask)
    keys, t = _keys_and_times(rng, x_0, times)

    def corrupt(key: Array, x_0: Array, t: Array) -> Array:
        coin = jax.random.uniform(key, x_0.shape)
        return jnp.where(coin < 1 - alpha(t), mask, x_0)

    x_t = jax.vmap(corrupt)(keys, x_0, t)
    # Padding is never masked, and only what is masked costs anything.
    real = infill.lengths(length_mask, x_0.shape)
    x_t = infill.counted(x_t, real, otherwise=x_0)
    logits = jax.vmap(denoise)(x_t, t)
    K = logits.shape[-1]
    categorical.mask("mask", mask, K)
    categorical.tokens("x_0", x_0, K)
    each = vocabulary.log_prob(x_0, logits, impossible=mask)
    missing = jnp.sum(jnp.where(x_t == mask, -each, 0).reshape(len(t), -1), axis=1)
    weight = jax.vmap(lambda t: _unmask_rate(alpha, t))(t)
    return categorical.guard(jnp.mean(weight * missing), x_0, K)


def uniform_loss(
    denoise: Denoise,
    alpha: Alpha,
    rng: Array,
    x_0: Array,
    *,
    K: int,
    times: Times = core_times.antithetic,
    length_mask: Array | None = None,
) -> Array:
    r"""The bound of uniform diffusion as the number of steps grows.

        L = E_t sum_i uniform_cost + KL( q(x_1 | x_0) || 1/K )

    Schiff et al. 2024 (UDLM, arXiv:2412.10193), eq. 18. It is the joint
    parameterization: the optimum is the leave-one-out posterior.

    Args: as for `absorbing_loss`.  K: categories.
    Returns: [] nats per example, summed over its positions.
    """
    categorical.tokens("x_0", x_0, K)
    keys, t = _keys_and_times(rng, x_0, times)

    def one(key: Array, x_0: Array, t: Array, real: Array | None) -> Array:
        law = _towards_uniform(categorical.one_hot(x_0, K), alpha(t))
        noise = jax.random.gumbel(key, law.shape, mode="high")
        drawn = categorical.draw(jnp.log(law), noise)
        x_t = infill.counted(drawn, real, otherwise=x_0)
        each = uniform_cost(alpha, denoise(x_t, t), x_0, x_t, t)
        cost = jnp.sum(infill.counted(each, real))
        last = _towards_uniform(categorical.one_hot(x_0, K), alpha(jnp.ones_like(t)))
        log_last = categorical.log(last)
        flat = jnp.zeros_like(log_last)
        prior = categorical.kl(log_last, infill.counted(flat, real, otherwise=log_last))
        return categorical.guard(cost + prior, x_0, K)

    real = infill.lengths(length_mask, x_0.shape)
    return jnp.mean(jax.vmap(one)(keys, x_0, t, real))


def uniform_cost(
    alpha: Alpha, logits: Array, x_0: Array, x_t: Array, t: Array
) -> Array:
    r"""The integrand of `uniform_loss`, at one t.

        -alpha' / (K alpha) sum_j [ r'_j - r_j + r_j log(r_j / r'_j) ],
        r_j = xb_j / xb_{x_t},    xb = K alpha x_0 + 1 - alpha,    r' of p~ likewise

    Schiff et al. 2024, eq. 18, each term of which is positive.

    Args: alpha: Alpha.  logits: [..., K] of p~.  x_0, x_t: integer [...].  t: real [].
    Returns: [...] nats per unit of time, for each position.
    """
    K = logits.shape[-1]
    a, slope = jax.jvp(alpha, (t,), (jnp.ones_like(t),))
    log_r = _log_ratio(jnp.log(_towards_uniform(categorical.one_hot(x_0, K), a)), x_t)
    log_p = categorical.normalise(logits)
    log_r_hat = _log_ratio(jnp.log(_towards_uniform(log_p, a)), x_t)
    # Where nothing is left of x_0 there is nothing to pay: the sum falls faster than a.
    weight = jnp.where(a > 0, -slope / (K * jnp.where(a > 0, a, 1)), 0)
    return weight * jnp.sum(jump_cost(log_r, log_r_hat), axis=-1)


def jump_cost(log_r: Array, log_r_hat: Array) -> Array:
    r"""What it costs to expect jumps at another rate than the true one.

        r' - r + r log(r / r') >= 0,    0 log 0 = 0

    the divergence of two Poisson processes. Campbell et al. 2022 (arXiv:2205.14987),
    proposition 2.

    Args: log_r, log_r_hat: [...], r and r'.
    Returns: [...] nats per unit of time, for a rate of one.
    """
    possible = log_r > -jnp.inf
    surprise = jnp.where(possible, log_r, 0) - jnp.where(possible, log_r_hat, 0)
    r = jnp.exp(log_r)
    return jnp.exp(log_r_hat) - r + r * surprise


def _unmask_rate(alpha: Alpha, t: Array) -> Array:
    a, slope = jax.jvp(alpha, (t,), (jnp.ones_like(t),))
    some = a < 1  # at t = 0 nothing is masked, and the rate is infinite
    return jnp.where(some, -slope / jnp.where(some, 1 - a, 1), 0)


def _towards_uniform(log_p: Array, a: Array) -> Array:
    return a * jnp.exp(log_p) + (1 - a) / log_p.shape[-1]


def _log_ratio(log_p: Array, x_t: Array) -> Array:
    return log_p - categorical.at(log_p, x_t)[..., None]


def _keys_and_times(rng: Array, x_0: Array, times: Times) -> tuple[Array, Array]:
    keys = jax.vmap(jax.random.split)(chain.example_keys(rng, x_0.shape[0]))
    return keys[:, 1], times(jax.vmap(jax.random.uniform)(keys[:, 0]))
