"""Stacks of layers: each its own function, or all alike and visited by one scan.

A layer answers with the moments of a diagonal Gaussian, the pair (mean, log_var).
Layers are counted 1..L from the data upwards, as in the lecture.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from diffjax.core import chain, checks, gaussian
from diffjax.core.precision import widen
from diffjax.types import Array

Index = Array | int
"""Of a layer, 1..L: traced in a scan, a number in an unrolled loop."""
Moments = tuple[Array, Array]
"""(mean [...], log_var [...] or [] if shared) of a diagonal Gaussian."""
Noise = Callable[[Index, Array], Array]
"""(i, mean [...]) -> standard noise of layer i, in the shape and dtype of its mean."""
Loop = Callable[[Callable[[Any, Array], tuple[Any, Any]], Any, Sequence[int]], Any]
"""(body, carry, layer numbers) -> (carry, what the body told of each layer, stacked);
the body is (carry, i) -> (carry, told)."""


class Latent(NamedTuple):
    """A draw from a layer's posterior.

    z: [...].
    log_q: [], its own log density, nats.
    moments: (mean, log_var), both [...].
    """

    z: Array
    log_q: Array
    moments: Moments


class Layers(NamedTuple):
    """L functions, counted from 1, and how to visit them.

    at: (i, *arguments) -> what layer i says.
    L: how many.
    loop: a `Loop` over some of them.
    """

    at: Callable[..., Any]
    L: int
    loop: Loop


def own(*functions: Callable[..., Any]) -> Layers:
    r"""Layers that differ: in shape, in width, in anything.

        at(i, ...) = functions[i - 1](...)

    Args: functions: of layers 1..L, from the data upwards; the loop is unrolled.
    Returns: Layers.
    """
    _at_least_one("layers", len(functions))
    return Layers(
        lambda i, *arguments: functions[i - 1](*arguments), len(functions), _unrolled
    )


def alike(
    function: Callable[..., Any], L: int, *, first: Callable[..., Any] | None = None
) -> Layers:
    r"""One function of the layer's number, traced once however many layers there are.

        at(i, ...) = function(i, ...),    at(1, ...) = first(...)

    The number i may be traced: it indexes stacked parameters, or is an input. All
    latents have one shape.

    Args: function: (i, *arguments).  L: how many layers, the first included.  first:
        that of layer 1, where it meets the data and may differ.
    Returns: Layers.
    """
    _at_least_one("L", L)

    def at(i: Index, *arguments: Any) -> Any:
        if first is not None and isinstance(i, int) and i == 1:
            return first(*arguments)
        return function(i, *arguments)

    return Layers(at, L, _scanned)


def common_loop(encode: Layers, decode: Layers) -> Loop:
    r"""How to visit two stacks together: a scan only if both are alike.

        L_enc = L_dec,    loop = loop_enc if loop_enc = loop_dec else unrolled

    Args: encode, decode: Layers of one height.
    Returns: a `Loop` (no unit).
    """
    one_height(encode.L, decode.L)
    return encode.loop if encode.loop is decode.loop else _unrolled


def one_height(L_enc: int, L_dec: int) -> None:
    r"""Raise unless encoder and decoder have as many layers.

        L_enc = L_dec

    Args: L_enc, L_dec: how many each has.
    Returns: nothing (no unit).
    """
    if L_enc != L_dec:
        raise ValueError(
            f"expected as many encoder as decoder layers, got {L_enc} and {L_dec}; "
            "the decoder's first layer makes the data, and a schedule of T steps is "
            "T layers"
        )


def standard_noise(rng: Array, L: int) -> Noise:
    r"""The noise of one example's latents.

        eps_i ~ N(0, I), from fold_in(rng, i); a single layer spends the key whole

    so that with L = 1 the draw is that of a VAE.

    Args: rng: key of the example.  L: how many layers.
    Returns: a `Noise`, [...] standard deviations.
    """

    def noise(i: Index, mean: Array) -> Array:
        return chain.normal(rng if L == 1 else jax.random.fold_in(rng, i), mean)

    return noise


def latent(moments: Moments, noise: Noise, i: Index) -> Latent:
    r"""A draw of layer i, and what it came from.

        z_i = mean + sqrt(var) eps_i,    log q(z_i) = log N(eps_i; 0, I) - 1/2 log var

    Args: moments: (mean [...], log_var [...] or []).  noise: of the layers.  i: [].
    Returns: Latent, float32 at least.
    """
    mean, log_var = moments
    eps = noise(i, mean)
    mean, log_var, eps = widen(mean, log_var, eps)
    log_var = jnp.broadcast_to(log_var, mean.shape)
    z = gaussian.reparameterize(mean, log_var, eps)
    # From eps itself: z - mean has no digits left when the variance is small.
    log_q = gaussian.log_prob_standard(eps) - 0.5 * jnp.sum(log_var)
    return Latent(z, log_q, (mean, log_var))


def agree(name: str, q: Moments, p: Moments) -> None:
    r"""Raise unless encoder and decoder speak of a latent of one shape.

        shape(mean_q) = shape(mean_p)

    Args: name: of the latent, for the message.  q, p: (mean [...], log_var).
    Returns: nothing (no unit).
    """
    if jnp.shape(q[0]) != jnp.shape(p[0]):
        raise ValueError(
            f"expected {name} of one shape, got {jnp.shape(q[0])} from the encoder and "
            f"{jnp.shape(p[0])} from the decoder; layer i of a decoder makes z_(i-1)"
        )


def temperatures(temperature: Callable[[int], float], L: int) -> Array:
    r"""The scale of the noise of every layer, checked.

        tau_i = temperature(i) >= 0

    Args: temperature: (i) -> [].  L: how many layers.
    Returns: [L + 1], entry 0 is of no layer (no unit).
    """
    tau = [temperature(i) for i in range(1, L + 1)]
    if all(map(checks.is_concrete, tau)) and not np.all(np.asarray(tau) >= 0):
        raise ValueError(
            "expected a temperature >= 0 at every layer, got "
            f"{', '.join(map(str, tau))}; 0 takes the means"
        )
    return jnp.stack([jnp.asarray(value, float) for value in (1.0, *tau)])


def _at_least_one(name: str, L: int) -> None:
    if L < 1:
        raise ValueError(f"expected {name} >= 1, got {L}; a VAE has one layer")


def _unrolled(body: Any, carry: Any, numbers: Sequence[int]) -> Any:
    told = []
    for i in numbers:
        carry, one = body(carry, i)
        told.append(one)
    return carry, jnp.stack(told) if told else jnp.zeros(0)


def _scanned(body: Any, carry: Any, numbers: Sequence[int]) -> Any:
    return jax.lax.scan(body, carry, jnp.asarray(numbers, jnp.int32))
