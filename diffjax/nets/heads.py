"""What wraps an image network: other inputs, other outputs; the same calls.

The logits of D3PM come of an image network with more output channels:

    Logits(Levels(256), UNet(out_channels=3 * 256, ...), 256)
    Logistic(Levels(256), UNet(out_channels=3 * 2, ...), 256, heads.truncated_logistic)

where `truncated_logistic` is one of `diffjax.d3pm.heads`.
"""

from collections.abc import Callable

import flax.linen as nn
import jax
import jax.numpy as jnp

from diffjax.nets.embeddings import Learned
from diffjax.nets.layers import Computed
from diffjax.types import Array


def normalised(x: Array, K: int) -> Array:
    r"""Levels as numbers on [-1, 1].

        2 x / (K - 1) - 1

    Args: x: integer [...], 0..K-1.  K: levels.
    Returns: [...] (no unit).
    """
    return 2 * x.astype(jnp.float32) / (K - 1) - 1


class Levels(nn.Module):
    """Ordinal input: levels as numbers on [-1, 1]."""

    K: int

    @nn.compact
    def __call__(self, x: Array) -> Array:
        """x [B, ..., C] integer -> [B, ..., C]."""
        return normalised(x, self.K)


class Tokens(Computed):
    """Nominal input: a trained vector for each category of each channel."""

    K: int
    width: int

    @nn.compact
    def __call__(self, x: Array) -> Array:
        """x [B, ..., C] integer -> [B, ..., C width]."""
        table = Learned(num=self.K, width=self.width, name="table", **self.numerics)
        return table(x).reshape(*x.shape[:-1], -1)


class Reading(nn.Module):
    """A network of x as `inputs` shows it: net(inputs(x)), an encoder of levels say."""

    inputs: nn.Module
    net: nn.Module

    @nn.compact
    def __call__(self, x: Array, *, rng: Array | None = None) -> Array:
        """x [B, ...] -> [B, ...], as the network's."""
        return self.net(self.inputs(x), rng=rng)


class Apart(nn.Module):
    """An encoder of several vectors at each place: the channels of net, cut."""

    net: nn.Module
    vectors: int

    @nn.compact
    def __call__(self, x: Array, *, rng: Array | None = None) -> Array:
        """x [B, ...] -> [B, ..., vectors, D], of the network's vectors D channels."""
        z = self.net(x, rng=rng)
        return z.reshape(*z.shape[:-1], self.vectors, -1)


class Joined(nn.Module):
    """The decoder to `Apart`: the vectors of a place are channels again."""

    net: nn.Module

    @nn.compact
    def __call__(self, z: Array, *, rng: Array | None = None) -> Array:
        """z [B, ..., vectors, D] -> as the network's."""
        return self.net(z.reshape(*z.shape[:-2], -1), rng=rng)


class Logits(nn.Module):
    """Logits of every level: a network of C K output channels, starting from x_t.

    one_hot(x) + net(inputs(x)). Austin et al. 2021 (arXiv:2107.03006), published code.
    """

    inputs: nn.Module
    net: nn.Module
    K: int

    @nn.compact
    def __call__(
        self,
        x: Array,
        t: Array,
        label: Array | None = None,
        *,
        rng: Array | None = None,
    ) -> Array:
        """x [B, ..., C] integer, t [B] -> [B, ..., C, K]."""
        h = self.net(self.inputs(x), t, label, rng=rng)
        _expect_channels(h, x.shape[-1] * self.K)
        return jax.nn.one_hot(x, self.K, dtype=h.dtype) + h.reshape(*x.shape, self.K)


class Logistic(nn.Module):
    """Logits of a logistic law: a network of 2 C output channels, starting from x_t.

    head(tanh(x' + mean), log_scale, K), with x' on [-1, 1] and the two from the
    network, means first. Austin et al. 2021, appendix B.1 and published code.
    head: (mean [...], log_scale [...], K) -> [..., K], as in `diffjax.d3pm.heads`.
    """

    inputs: nn.Module
    net: nn.Module
    K: int
    head: Callable[[Array, Array, int], Array]

    @nn.compact
    def __call__(
        self,
        x: Array,
        t: Array,
        label: Array | None = None,
        *,
        rng: Array | None = None,
    ) -> Array:
        """x [B, ..., C] integer, t [B] -> [B, ..., C, K]."""
        h = self.net(self.inputs(x), t, label, rng=rng)
        _expect_channels(h, 2 * x.shape[-1])
        mean, log_scale = jnp.split(h, 2, axis=-1)
        return self.head(jnp.tanh(normalised(x, self.K) + mean), log_scale, self.K)


class SelfConditioned(nn.Module):
    """A network that is also shown its own previous estimate, beside its input.

    net([x, previous]). Chen et al. 2022 (Analog Bits, arXiv:2208.04202).
    """

    net: nn.Module

    @nn.compact
    def __call__(
        self,
        x: Array,
        t: Array,
        previous: Array,
        label: Array | None = None,
        *,
        rng: Array | None = None,
    ) -> Array:
        """x, previous [B, ..., C], t [B] -> [B, ..., out_channels]."""
        return self.net(jnp.concatenate([x, previous], axis=-1), t, label, rng=rng)


def _expect_channels(h: Array, channels: int) -> None:
    if h.shape[-1] != channels:
        raise ValueError(
            f"expected a network of {channels} output channels, got {h.shape[-1]}"
        )
