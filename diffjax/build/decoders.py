"""What a decoder says of the data, and what it means: likelihoods by name."""

import math
from collections.abc import Callable
from typing import NamedTuple

import jax

from diffjax import vae
from diffjax.build import tables
from diffjax.build.data import Prepared
from diffjax.build.model import expect_whole
from diffjax.core import likelihoods
from diffjax.types import Array


class Said(NamedTuple):
    """What a decoder says, and what it means.

    shape: of what is said: of each entry, () or (K,); or of a whole image.
    log_prob: (x, said) -> [] nats, one example.
    draw: (rng, said) -> x, one example.
    """

    shape: tuple[int, ...]
    log_prob: Callable[[Array, Array], Array]
    draw: Callable[[Array, Array], Array]


def of_entries(data: Prepared, likelihood: str, sigma: float) -> Said:
    r"""The same numbers for each entry, by itself.

        log p(x | z) = sum_i log p(x_i | said_i)

    Bits and reals are drawn as their means, as papers do: grey says more than noise.

    Args: data: Prepared.  likelihood: "bernoulli" for bits, "categorical" or
        "discretized_logistic" for levels, "gaussian" for reals.  sigma: of "gaussian".
    Returns: Said, its shape that of an entry (nats).
    """
    logistic = vae.decoders.discretized_logistic(levels=data.levels)
    draw_logistic = vae.samplers.draw_discretized_logistic(levels=data.levels)
    table = {
        "bernoulli": Said(
            (), likelihoods.bernoulli, lambda rng, logits: jax.nn.sigmoid(logits)
        ),
        "categorical": Said(
            (data.levels,), likelihoods.categorical, vae.samplers.draw_categorical
        ),
        "discretized_logistic": Said(
            (2,),
            lambda x, said: logistic(x, _halves(said)),
            lambda rng, said: draw_logistic(rng, _halves(said)),
        ),
        "gaussian": Said((), vae.decoders.gaussian_with(sigma), lambda rng, mean: mean),
    }
    tables.among("model.likelihood", likelihood, table)
    _expect_data(data, likelihood)
    return table[likelihood]


def of_image(data: Prepared, likelihood: str, sigma: float, mixtures: int) -> Said:
    r"""As `of_entries`, or a mixture of logistics for each pixel.

        log p(x | z) = sum_pixels log p(x_pixel | said_pixel)

    Args: data, likelihood, sigma: as for `of_entries`, or "logistic_mixture" for levels
        of RGB.  mixtures: of logistics.
    Returns: Said, its shape that of a whole image [H, W, channels] (nats).
    """
    if likelihood != "logistic_mixture":
        return _on_one_axis(data, of_entries(data, likelihood, sigma))
    expect_whole(data, "a mixture of logistics")
    tables.number("model.mixtures", mixtures, least=1, whole=True)
    if data.shape[-1] != 3:
        raise ValueError(
            f"expected images [H, W, 3] for a mixture of logistics, got "
            f"{list(data.shape)}; discretized_logistic is for any"
        )
    return Said(
        (*data.shape[:-1], 10 * mixtures),
        vae.decoders.logistic_mixture(levels=data.levels),
        vae.samplers.draw_logistic_mixture(levels=data.levels),
    )


def levels(data: Prepared) -> int:
    r"""How many levels a network should expect x to be integers of.

        K, or 0 for real numbers

    Args: data: Prepared.
    Returns: K (no unit).
    """
    return data.levels if data.whole else 0


def _on_one_axis(data: Prepared, said: Said) -> Said:
    """Of a network a pixel is one axis of channels; the likelihood wants them apart."""
    apart = (*data.shape, *said.shape)
    return Said(
        (*apart[:2], math.prod(apart[2:])),
        lambda x, image: said.log_prob(x, image.reshape(apart)),
        lambda rng, image: said.draw(rng, image.reshape(apart)),
    )


def _halves(said: Array) -> tuple[Array, Array]:
    return said[..., 0], said[..., 1]  # mean, log scale


def _expect_data(data: Prepared, likelihood: str) -> None:
    if likelihood == "bernoulli" and not data.bits:
        raise ValueError(
            f"expected bits for a bernoulli likelihood, got {data.name} with other "
            "values; make `binarize` or `binarize_dynamic` one of data.transforms"
        )
    if likelihood in ("categorical", "discretized_logistic"):
        expect_whole(data, f"a {likelihood} likelihood")
    elif data.whole:
        raise ValueError(
            f"expected real numbers for a {likelihood} likelihood, got the integers of "
            f"{data.name}; make `symmetric` or `unit` one of data.transforms"
        )
