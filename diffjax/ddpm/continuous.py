"""Variational diffusion in continuous time: fixed or learned gamma, t in [0, 1].

    alpha^2 = sigmoid(-gamma(t)),  sigma^2 = sigmoid(gamma(t)),  SNR = exp(-gamma(t))

Kingma et al. 2021 (VDM, arXiv:2107.00630). Here t is real and z_0 already noisy;
`denoise(z_t, t)` estimates x as everywhere else. A gamma is any increasing function.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

from diffjax.core import chain, checks, gaussian, times
from diffjax.core.bounds import Bound
from diffjax.ddpm.predict import Denoise
from diffjax.types import Array

Gamma = Callable[[Array], Array]
"""t [] in [0, 1] -> -log SNR, []."""


def linear_gamma(gamma_min: float = -13.3, gamma_max: float = 5.0) -> Gamma:
    r"""A log signal-to-noise ratio that falls evenly.

        gamma(t) = gamma_min + (gamma_max - gamma_min) t

    Kingma et al. 2021, published configuration.

    Args: gamma_min, gamma_max: its ends, -log SNR.
    Returns: t [] -> gamma [] (nats).
    """
    return lambda t: gamma_min + (gamma_max - gamma_min) * t


class GammaParams(NamedTuple):
    """Weights of the monotone network; slope, inner and outer by absolute value.

    slope, offset: [] of the linear part.  inner, inner_offset, outer: [width].
    """

    slope: Array
    offset: Array
    inner: Array
    inner_offset: Array
    outer: Array


def init_gamma(
    rng: Array, *, gamma_min: float = -13.3, gamma_max: float = 5.0, width: int = 1024
) -> GammaParams:
    r"""A monotone network that starts close to `linear_gamma`.

        slope = gamma_max - gamma_min,    offset = gamma_min,    the rest ~ N(0, 1)

    Kingma et al. 2021, after their published code, which draws smaller weights.

    Args: rng: key.  gamma_min, gamma_max: its ends at the start.  width: hidden units.
    Returns: GammaParams.
    """
    inner, inner_offset, outer = jax.random.normal(rng, (3, width))
    slope, offset = jnp.asarray(gamma_max - gamma_min), jnp.asarray(gamma_min)
    return GammaParams(slope, offset, inner, inner_offset, outer)


def monotone_gamma(params: GammaParams) -> Gamma:
    r"""A learned schedule, increasing whatever its weights.

        gamma(t) = |a| t + b + 1/W sum_i |c_i| (2 sigmoid(|d_i| (2 t - 1) + e_i) - 1)

    Kingma et al. 2021, published code.

    Args: params: GammaParams.
    Returns: t [] -> gamma [] (nats).
    """

    def gamma(t: Array) -> Array:
        inside = jnp.abs(params.inner) * (2 * t - 1) + params.inner_offset
        bend = jnp.abs(params.outer) * (2 * jax.nn.sigmoid(inside) - 1)
        return jnp.abs(params.slope) * t + params.offset + jnp.mean(bend)

    return gamma


def diffuse(gamma: Gamma, x: Array, eps: Array, t: Array) -> Array:
    r"""A draw of z_t given x, as a function of its noise.

        z_t = sqrt(sigmoid(-gamma)) x + sqrt(sigmoid(gamma)) eps

    Kingma et al. 2021, eq. 1.

    Args: gamma: Gamma.  x, eps: [...].  t: real [].
    Returns: [...] z_t (data units).
    """
    g = gamma(t)
    return jnp.sqrt(jax.nn.sigmoid(-g)) * x + jnp.sqrt(jax.nn.sigmoid(g)) * eps


def diffusion_loss(
    denoise: Denoise, gamma: Gamma, x: Array, eps: Array, t: Array
) -> Array:
    r"""The continuous-time diffusion loss of one example, at one t.

        L_inf = -1/2 d SNR/dt || x - x_hat(z_t, t) ||^2
              = 1/2 gamma'(t) || eps - eps_hat ||^2

    Kingma et al. 2021, eqs. 15-18; its mean over t depends on gamma by its ends only.

    Args: denoise: (z_t, t) -> x.  gamma: Gamma.  x, eps: [...].  t: real [].
    Returns: [] nats.
    """
    g, slope = jax.jvp(gamma, (t,), (jnp.ones_like(t),))
    x_hat = denoise(diffuse(gamma, x, eps, t), t)
    return 0.5 * slope * jnp.exp(-g) * jnp.sum(jnp.square(x - x_hat))


def stepped_diffusion_loss(
    denoise: Denoise, gamma: Gamma, x: Array, eps: Array, t: Array, *, T: int
) -> Array:
    r"""The diffusion loss of T steps of one example, at one of them.

        L_T = T/2 ( SNR(s) - SNR(t) ) || x - x_hat(z_t, t) ||^2,    s = t - 1/T

    Kingma et al. 2021, eq. 13, for the step of length 1/T that the given t is in.

    Args: as for `diffusion_loss`.  T: number of steps.
    Returns: [] nats.
    """
    i = jnp.minimum(jnp.floor(t * T), T - 1)
    t, s = (i + 1) / T, i / T
    g_t, g_s = gamma(t), gamma(s)
    lost = jnp.exp(-g_t) * jnp.expm1(g_t - g_s)  # SNR(s) - SNR(t)
    x_hat = denoise(diffuse(gamma, x, eps, t), t)
    return 0.5 * T * lost * jnp.sum(jnp.square(x - x_hat))


def log_decoder(gamma: Gamma, x: Array, z_0: Array, *, levels: int = 256) -> Array:
    r"""The decoder: which level each entry of z_0 came from.

        log p(x | z_0) = sum log softmax_k [ -1/2 SNR(0) (z_0 / alpha_0 - c_k)^2 ],
        c_k = (2 k + 1) / levels - 1

    Kingma et al. 2021, section 3.3 and published code. The levels are at the centres of
    `levels` equal bins, as VDM places them, not at -1 and 1: data placed as in DDPM
    goes in times (levels - 1) / levels, and gives NaN otherwise.

    Args: gamma: Gamma.  x: [...] on those levels.  z_0: [...].  levels: how many.
    Returns: [] nats.
    """
    g_0 = gamma(jnp.zeros((), z_0.dtype))
    centres = (2 * jnp.arange(levels, dtype=z_0.dtype) + 1) / levels - 1
    scaled = z_0 / jnp.sqrt(jax.nn.sigmoid(-g_0))
    shape = (1,) * z_0.ndim + (levels,)
    distance = jnp.square(scaled[..., None] - centres.reshape(shape))
    log_p = jax.nn.log_softmax(-0.5 * jnp.exp(-g_0) * distance)
    index = jnp.round(((x + 1) * levels - 1) / 2).astype(jnp.int32)
    return jnp.sum(jnp.take_along_axis(log_p, index[..., None], axis=-1))


def bound(
    denoise: Denoise, gamma: Gamma, rng: Array, x: Array, *, levels: int = 256
) -> Bound:
    r"""The bound in continuous time, unbiased: one draw of t an example, antithetic.

        log p(x) >= E log p(x | z_0) - L_inf - KL( q(z_1 | x) || N(0, I) )

    Kingma et al. 2021, eqs. 11 and 15.

    Args: denoise: (z_t, t) -> x.  gamma: Gamma, may close over its parameters.  rng:
        key, or keys [B].  x: [B, ...] on the levels of `log_decoder`.  levels: their
        number.
    Returns: Bound of [B], [B, 1], [B]; nats.
    """
    checks.floating("x", x)
    num = x.shape[0]
    keys = jax.vmap(lambda k: jax.random.split(k, 3))(chain.example_keys(rng, num))
    u = jax.vmap(jax.random.uniform)(keys[:, 0])
    t = times.antithetic(u)

    def of_example(keys: Array, x: Array, t: Array) -> Bound:
        eps_0, eps = chain.normal(keys[1], x), chain.normal(keys[2], x)
        z_0 = diffuse(gamma, x, eps_0, jnp.zeros_like(t))
        g_1 = gamma(jnp.ones_like(t))
        mean = jnp.sqrt(jax.nn.sigmoid(-g_1)) * x
        return Bound(
            log_decoder(gamma, x, z_0, levels=levels),
            diffusion_loss(denoise, gamma, x, eps, t)[None],
            gaussian.kl_standard(mean, jax.nn.log_sigmoid(g_1)),
        )

    return jax.vmap(of_example)(keys, x, t)


def continuous_loss(
    denoise: Denoise, gamma: Gamma, rng: Array, x: Array, *, levels: int = 256
) -> Array:
    r"""The loss of VDM: -elbo, for the denoiser and a learned gamma alike.

        L = -E elbo

    Kingma et al. 2021, eq. 11.

    Args: as for `bound`.
    Returns: [] nats per example.
    """
    return -jnp.mean(bound(denoise, gamma, rng, x, levels=levels).elbo)
