"""Features of a time, a noise level or an index."""

import math

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from diffjax.nets.layers import Computed
from diffjax.types import Array


def sin_cos(
    t: Array, width: int, *, freq_shift: float = 0.0, max_period: float = 1e4
) -> Array:
    r"""Sinusoids of geometrically spaced frequencies, all sines before all cosines.

        [sin(w_k t), cos(w_k t)],    w_k = max_period^(-k / (width / 2 - freq_shift))

    Vaswani et al. 2017 (arXiv:1706.03762), section 3.5; Ho et al. 2020's code has
    freq_shift = 1.

    Args: t: [...], integers or real.  width: an odd one ends in a 0.  freq_shift: in
        the denominator.  max_period: the longest, over 2 pi.
    Returns: [..., width] (no unit).
    """
    sines, cosines = _waves(t, width, freq_shift, max_period)
    return _joined(sines, cosines, width)


def cos_sin(
    t: Array, width: int, *, freq_shift: float = 0.0, max_period: float = 1e4
) -> Array:
    r"""`sin_cos` with the cosines first.

        [cos(w_k t), sin(w_k t)],    w_k = max_period^(-k / (width / 2 - freq_shift))

    Nichol & Dhariwal 2021 (arXiv:2102.09672), published code, with freq_shift = 0.

    Args: t, width, freq_shift, max_period: as for `sin_cos`.
    Returns: [..., width] (no unit).
    """
    sines, cosines = _waves(t, width, freq_shift, max_period)
    return _joined(cosines, sines, width)


def fourier(x: Array, *, first: int = 6, last: int = 7) -> Array:
    r"""Each value at doubling frequencies, so that fine detail is easy to see.

        [sin(2 pi 2^n x_c), cos(2 pi 2^n x_c)],    n = first..last, n fastest

    Kingma et al. 2021 (VDM, arXiv:2107.00630), appendix C, where n = 7, 8 there.

    Args: x: [..., C].  first, last: exponents of the frequencies.
    Returns: [..., 2 C (last - first + 1)], all sines before all cosines (no unit).
    """
    if last < first:
        raise ValueError(f"expected first <= last, got {first} and {last}")
    frequencies = 2.0 ** np.arange(first, last + 1) * 2 * math.pi
    angles = jnp.outer(x.reshape(-1), jnp.asarray(frequencies, x.dtype))
    angles = angles.reshape(*x.shape[:-1], -1)
    return jnp.concatenate([jnp.sin(angles), jnp.cos(angles)], axis=-1)


def gaussian_fourier(t: Array, frequencies: Array) -> Array:
    r"""Sinusoids of given, usually random, frequencies.

        [sin(2 pi w_k t), cos(2 pi w_k t)]

    Tancik et al. 2020 (arXiv:2006.10739); Song et al. 2021 (score SDE,
    arXiv:2011.13456) apply it to the logarithm of the noise level.

    Args: t: [...], real.  frequencies: [K], w.
    Returns: [..., 2 K] (no unit).
    """
    angles = jnp.multiply.outer(t, 2 * math.pi * frequencies)
    return jnp.concatenate([jnp.sin(angles), jnp.cos(angles)], axis=-1)


class GaussianFourier(nn.Module):
    """`gaussian_fourier` with frequencies N(0, scale^2) drawn once and not trained."""

    width: int
    scale: float = 16.0

    @nn.compact
    def __call__(self, t: Array) -> Array:
        """t [...] real -> [..., width]."""
        if self.width % 2:
            raise ValueError(f"expected an even width, got {self.width}")
        init = nn.initializers.normal(self.scale)
        frequencies = self.param("frequencies", init, (self.width // 2,))
        return gaussian_fourier(t, jax.lax.stop_gradient(frequencies))


class Learned(Computed):
    """A trained vector for each index 0..num-1; any other index gives NaN."""

    num: int
    width: int

    @nn.compact
    def __call__(self, index: Array) -> Array:
        """index [...] integer -> [..., width]."""
        if not jnp.issubdtype(index.dtype, jnp.integer):
            raise ValueError(
                f"expected an integer index, got {index.dtype}; real times want sin_cos"
            )
        init = nn.initializers.normal(1.0)
        table = self.param(
            "embedding", init, (self.num, self.width), self.param_dtype
        ).astype(self.dtype or self.param_dtype)
        inside = (index >= 0) & (index < self.num)  # JAX would count -1 from the end
        return jnp.take(table, jnp.where(inside, index, self.num), axis=0, mode="fill")


class TimeMLP(Computed):
    """Two dense layers on the features of a time: what a network is conditioned on."""

    width: int

    @nn.compact
    def __call__(self, features: Array) -> Array:
        """features [B, F] -> [B, width]."""
        hidden = nn.Dense(self.width, name="linear_1", **self.numerics)(features)
        return nn.Dense(self.width, name="linear_2", **self.numerics)(nn.silu(hidden))


def _waves(
    t: Array, width: int, freq_shift: float, max_period: float
) -> tuple[Array, Array]:
    """In float32 throughout, as published networks were trained: w_k t is large."""
    half = width // 2
    if not half > freq_shift:
        raise ValueError(
            f"expected width // 2 > freq_shift = {freq_shift}, got width {width}"
        )
    exponents = np.float32(-math.log(max_period)) * np.arange(half, dtype=np.float32)
    frequencies = np.exp(exponents / np.float32(half - freq_shift))
    angles = jnp.multiply.outer(jnp.asarray(t, jnp.float32), frequencies)
    return jnp.sin(angles), jnp.cos(angles)


def _joined(first: Array, second: Array, width: int) -> Array:
    odd = jnp.zeros((*first.shape[:-1], width % 2), first.dtype)
    return jnp.concatenate([first, second, odd], axis=-1)
