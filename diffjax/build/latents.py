"""Latent-variable models: VAE, hierarchical VAE, VQ-VAE."""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from diffjax import hvae, vae, vq
from diffjax.build import decoders, nets, tables
from diffjax.build.model import Coder, Context, Latent, Model, objectives
from diffjax.core.batching import of_example
from diffjax.core.bounds import Bound, importance_bound
from diffjax.types import Array, Batch, Net, Objective, Params


def _elbo(*, beta: float = 1.0) -> Callable[..., Array]:
    tables.number("model.loss.beta", beta, least=0)
    return functools.partial(vae.elbo_loss, beta=beta)


def _weighted(loss: Callable[..., Array]) -> Callable[..., Callable[..., Array]]:
    def weighted(*, num: int) -> Callable[..., Array]:
        tables.number("model.loss.num", num, least=1, whole=True)
        return functools.partial(loss, num=num)

    return weighted


def _resampled(*, num: int, kept: int) -> Callable[..., Array]:
    tables.number("model.loss.kept", kept, least=1, whole=True)
    return functools.partial(_weighted(vae.resampled_iwae_loss)(num=num), kept=kept)


LOSSES: tables.Table = {
    "elbo": _elbo,
    "resampled_iwae": _resampled,
    "iwae": _weighted(vae.iwae_loss),
    "dreg": _weighted(vae.dreg_loss),
}
"""Of the VAE; what is reported is the bound, whichever of them is trained on."""


def vae_model(
    *,
    context: Context,
    latent: int,
    likelihood: str = "bernoulli",
    loss: Any = "elbo",
    elbo_steps: int = 0,
    sigma: float = 0.1,
) -> Model:
    r"""A VAE with one Gaussian latent.

        {"name": "vae", "latent": 50, "loss": {"name": "iwae", "num": 50}}

    Args: context: Context.  latent: its channels.  likelihood: "bernoulli" for bits,
        "categorical" or "discretized_logistic" for levels, "gaussian" for reals.
        loss: of LOSSES.  elbo_steps: steps that are trained on the bound before the
        loss.  sigma: of "gaussian".
    Returns: Model.
    """
    data, shape = context.data, context.data.shape
    said = decoders.of_entries(data, likelihood, sigma)
    tables.number("model.latent", latent, least=1, whole=True)
    enc, dec, places = nets.pair(
        context.net, shape, 2 * latent, said.shape, levels=decoders.levels(data)
    )
    tables.number("model.elbo_steps", elbo_steps, least=0, whole=True)
    cost = tables.make("model.loss", LOSSES, loss)
    of_loss = functools.partial(vae.objective, likelihood=said.log_prob)

    def of_nets(enc: Net, dec: Net) -> Objective:
        found = of_loss(enc, dec, loss=cost)
        if not elbo_steps:
            return found
        return vae.replaced(of_loss(enc, dec), found, at=elbo_steps)

    return Model(
        *objectives(context.net, of_nets, enc, dec),
        vae.sampler(dec, (*places, latent), draw=said.draw),
        vae.net_bound(enc, dec, likelihood=said.log_prob),
        latent=Latent(
            (*places, latent),
            functools.partial(vae.bind, enc, dec),
            said.log_prob,
            said.draw,
        ),
        nll=lambda num: vae.net_nll(enc, dec, num=num, likelihood=said.log_prob),
    )


def hvae_model(
    *,
    context: Context,
    likelihood: str = "bernoulli",
    sigma: float = 0.1,
    mixtures: int = 10,
) -> Model:
    r"""A top-down hierarchical VAE.

        {"name": "hvae", "likelihood": "categorical"}

    Args: context: Context.  likelihood, sigma: as for `vae_model`, or
        "logistic_mixture" for levels of RGB images.  mixtures: of logistics.
    Returns: Model.
    """
    data = context.data
    said = decoders.of_image(data, likelihood, sigma, mixtures)
    levels = decoders.levels(data)
    parts = nets.top_down(context.net, data.shape, said.shape[2:], levels=levels)
    stack = hvae.LadderNets(*parts)

    def sampler(params: Params, rng: Array, num: int) -> Array:
        _, decode, _ = hvae.ladder_of(stack, params)
        return hvae.ladder.sample(decode, rng, num, draw=said.draw)

    def bound(params: Params, rng: Array, batch: Batch) -> Bound:
        encode, decode, features = hvae.ladder_of(stack, params)
        return hvae.ladder.bound(
            encode, decode, rng, batch["x"], likelihood=said.log_prob, features=features
        )

    objective = hvae.ladder_objective(stack, likelihood=said.log_prob)
    nll = functools.partial(_ladder_nll, stack, said.log_prob)
    return Model(objective, objective, sampler, bound, nll=nll)


def _ladder_nll(
    stack: hvae.LadderNets, log_prob: Callable[..., Array], num: int
) -> Callable[[Params, Array, Batch], Array]:
    weigh = functools.partial(hvae.ladder.log_weights, likelihood=log_prob, num=num)

    def nll(params: Params, rng: Array, batch: Batch) -> Array:
        encode, decode, features = hvae.ladder_of(stack, params)
        log_w = weigh(encode, decode, rng, batch["x"], features=features)
        return -importance_bound(log_w)

    return nll


def vqvae_model(
    *,
    context: Context,
    K: int,
    latent: int,
    likelihood: str = "bernoulli",
    beta: float = 0.25,
    decay: float = 0.99,
    sigma: float = 0.1,
) -> Model:
    r"""A VQ-VAE whose codebook is moving averages, with a uniform prior.

        {"name": "vqvae", "K": 128, "latent": 16, "likelihood": "bernoulli"}

    Args: context: Context.  K: codes.  latent: length of a code's vector.  likelihood,
        sigma: as for `vae_model`.  beta: weight of the commitment.  decay: of the
        averages.
    Returns: Model.
    """
    data, said = context.data, decoders.of_entries(context.data, likelihood, sigma)
    # The averages are of a whole batch, so no example can have masks of its own.
    fixed: dict[str, Any] = {"levels": decoders.levels(data), "fixed": {"dropout": 0.0}}
    enc, dec, places = nets.pair(context.net, data.shape, latent, said.shape, **fixed)
    quantizer, prior = vq.quantizers.vector(K), vq.prior.uniform(K)
    objective = vq.ema_objective(
        enc,
        dec,
        K,
        likelihood=said.log_prob,
        beta=beta,
        decay=decay,
        axis_name=context.axis_name,
    )

    def bind(params: Params) -> tuple[vq.likelihood.Encode, vq.likelihood.Decode]:
        latent = of_example(enc, params["enc"])

        def encode(x: Array) -> Array:
            return quantizer.apply(params["codebook"], latent(x)).codes

        return encode, vq.trained.example_decoder(dec, quantizer, params)

    def codes(params: Params, batch: Batch) -> Array:
        return jax.vmap(bind(params)[0])(batch["x"])

    return Model(
        objective,
        objective,
        vq.trained.sampler(dec, quantizer, prior, places, emit=said.draw),
        vq.trained.net_bound(enc, dec, quantizer, likelihood=said.log_prob),
        trained=lambda params, memory: {**params, "codebook": memory.codebook},
        coder=Coder(K, codes),
        latent=Latent(places, bind, said.log_prob, said.draw),
    )


def counts(codes: Array, K: int) -> Array:
    r"""How often each example uses each code.

        c_ik = sum over positions of 1[codes_i = k]

    Args: codes: integer [B, ...].  K: codes there are.
    Returns: integer [B, K] (codes, no unit).
    """
    return jax.vmap(lambda one: vq.usage.counts(one, K))(codes)


def usage(counts: np.ndarray) -> dict[str, Any]:
    r"""How a data set uses a codebook.

        perplexity, share of the codes used, counts

    Args: counts: [K] over the whole set.
    Returns: JSON, by these names (no unit).
    """
    found = jnp.asarray(counts)
    return {
        "perplexity": float(vq.usage.perplexity(found)),
        "used": float(vq.usage.used(found)),
        "counts": counts.tolist(),
    }
