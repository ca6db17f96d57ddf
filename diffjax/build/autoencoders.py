"""Autoencoders: they reconstruct, and have neither a likelihood nor a prior."""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from diffjax import ae
from diffjax.build import nets, tables
from diffjax.build.model import Context, Error, Model, expect_whole
from diffjax.types import Array, Batch, Params


class Kind(NamedTuple):
    """A loss of `ae.losses`, and what its decoder sees of what the encoder says.

    loss: (encode, decode, rng, x, *, error) -> [].
    code: the encoder's output [...] -> code [...], of one example.
    collective: whether it also takes the `axis_name` of the devices.
    """

    loss: Callable[..., Array]
    code: Callable[[Array], Array] = lambda output: output
    collective: bool = False


def _denoising(*, corruption: Any) -> Kind:
    corrupt = tables.make("model.loss.corruption", CORRUPTIONS, corruption)
    return Kind(functools.partial(ae.denoising_loss, corrupt=corrupt))


def _kl(*, lam: float, rho: float = 0.05) -> Kind:
    tables.number("model.loss.lam", lam, least=0)
    if not 0 < tables.number("model.loss.rho", rho, least=0) < 1:
        raise ValueError(f"expected model.loss.rho in (0, 1), got {rho}; try 0.05")
    loss = functools.partial(ae.kl_sparse_loss, lam=lam, rho=rho)
    return Kind(loss, jax.nn.sigmoid, collective=True)


def _k_sparse(*, k: int) -> Kind:
    tables.number("model.loss.k", k, least=1, whole=True)
    kept = functools.partial(ae.k_sparse, k=k)
    return Kind(functools.partial(ae.k_sparse_loss, k=k), kept)


def _weighted(loss: Callable[..., Array]) -> Callable[..., Kind]:
    def weighted(*, lam: float) -> Kind:
        tables.number("model.loss.lam", lam, least=0)
        return Kind(functools.partial(loss, lam=lam))

    return weighted


def _hutchinson(*, lam: float, num: int = 1) -> Kind:
    tables.number("model.loss.num", num, least=1, whole=True)
    return _weighted(functools.partial(ae.hutchinson_loss, num=num))(lam=lam)


CORRUPTIONS: tables.Table = {
    "gaussian": lambda *, sigma: ae.gaussian_noise(sigma),
    "masking": lambda *, probability, value=0.0: ae.masking(probability, value=value),
    "salt_and_pepper": lambda *, probability, low=0.0, high=1.0: ae.salt_and_pepper(
        probability, low=low, high=high
    ),
}
LOSSES: tables.Table = {
    "reconstruction": lambda: Kind(ae.reconstruction_loss),
    "denoising": _denoising,
    "l1": _weighted(ae.l1_loss),
    "kl_sparse": _kl,
    "k_sparse": _k_sparse,
    "contractive": _weighted(ae.contractive_loss),
    "hutchinson": _hutchinson,
}
ERRORS = {
    "squared_error": (ae.squared_error, "data units squared"),
    "cross_entropy": (ae.cross_entropy, "nats"),
}


def ae_model(
    *,
    context: Context,
    latent: int,
    loss: Any = "reconstruction",
    error: str = "squared_error",
) -> Model:
    r"""An autoencoder: plain, denoising, sparse or contractive.

        {"name": "ae", "latent": 8, "loss": {"name": "l1", "lam": 0.1}}

    Args: context: Context.  latent: channels of the code.  loss: of LOSSES.  error:
        "squared_error" of real numbers, "cross_entropy" of levels.
    Returns: Model, whose error is that of clean data.
    """
    data = context.data
    tables.number("model.latent", latent, least=1, whole=True)
    tables.among("model.error", error, ERRORS)
    compare, unit = ERRORS[error]
    if error == "cross_entropy":
        expect_whole(data, "a cross-entropy")
    elif data.whole:
        raise ValueError(
            f"expected real numbers for a squared error, got the integers of "
            f"{data.name}; make `unit` one of data.transforms"
        )
    levels = data.levels if data.whole else 0
    said = (levels,) if levels else ()
    # A sparse code's penalty is no mean over examples, so none has masks of its own.
    enc, dec, places = nets.pair(
        context.net, data.shape, latent, said, levels=levels, fixed={"dropout": 0.0}
    )
    kind: Kind = tables.make("model.loss", LOSSES, loss)
    # What does not fit a code of this size is told now, before a run is begun.
    jax.eval_shape(kind.code, jax.ShapeDtypeStruct((*places, latent), jnp.float32))
    options: dict[str, Any] = {"error": compare}
    if kind.collective:
        options["axis_name"] = context.axis_name
    objective = ae.objective(enc, dec, loss=functools.partial(kind.loss, **options))

    def errors(params: Params, batch: Batch) -> Array:
        encode, decode = ae.bind(enc, dec, params)
        return jax.vmap(lambda x: compare(x, decode(kind.code(encode(x)))))(batch["x"])

    return Model(objective, objective, None, None, error=Error(errors, unit))
