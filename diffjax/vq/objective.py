"""What trains networks: anything with `init` and `apply` will do.

Encoder and decoder are two networks that take and return batches: the encoder gives z
[B, ..., D] for x, the decoder for z_q what the likelihood takes. The parameters are
{"enc": ..., "dec": ..., "codebook": ...}. What is not trained by gradient, averages or
a count of steps, is a pytree that goes into the loss and comes out of it.
"""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from diffjax.core import chain
from diffjax.core.bounds import bits_per_dim
from diffjax.types import (
    Array,
    Batch,
    Metrics,
    Net,
    Objective,
    Params,
    StatefulObjective,
)
from diffjax.vq import gumbel, starts, usage
from diffjax.vq.codebook import commitment_loss, quantize, straight_through
from diffjax.vq.ema import State, ema_init, ema_update
from diffjax.vq.likelihood import Likelihood
from diffjax.vq.quantizers import Quantizer
from diffjax.vq.starts import Start

Renew = Callable[..., State]
"""(rng, state, z, *, axis_name) -> State: `restart` with its threshold, or none."""


def objective(
    enc: Net,
    dec: Net,
    quantizer: Quantizer,
    *,
    likelihood: Likelihood,
    axis_name: str | None = None,
) -> Objective:
    r"""Train encoder, decoder and codebook by gradient.

        L = -log p(x | z_q) + penalty(z),    z = enc(x)

    van den Oord et al. 2017 (VQ-VAE, arXiv:1711.00937), eq. 3, or FSQ without a
    penalty. The metrics hold the bound under the uniform prior, in bits/dim.

    Args: enc: x [B, ...] -> z [B, ..., D].  dec: z_q -> output.  quantizer: of
        `quantizers`.  likelihood: (x, output) -> nats, one example.  axis_name: of the
        devices among which the batch is split, for the codes' counts.
    Returns: Objective (nats per example, plus the penalty).
    """

    def init(rng: Array, batch: Batch) -> Params:
        params, z, key = _init_nets(enc, dec, rng, batch)
        return {**params, "codebook": quantizer.init(key, z)}

    def loss(params: Params, rng: Array, batch: Batch) -> tuple[Array, Metrics]:
        x = batch["x"]
        z = enc.apply(params["enc"], x)
        codes, z_q, penalty = jax.vmap(quantizer.apply, in_axes=(None, 0))(
            params["codebook"], z
        )
        output = dec.apply(params["dec"], z_q)
        distortion = -jnp.mean(jax.vmap(likelihood)(x, output))
        value = distortion + jnp.mean(penalty)
        told = _metrics(value, distortion, codes, quantizer.K, axis_name)
        return value, {**told, **_bits(distortion, codes, quantizer.K, x)}

    return Objective(init, loss)


def ema_objective(
    enc: Net,
    dec: Net,
    K: int,
    *,
    likelihood: Likelihood,
    decay: float = 0.99,
    beta: float = 0.25,
    start: Start = starts.init_from_data,
    renew: Renew = starts.restart,
    axis_name: str | None = None,
) -> StatefulObjective:
    r"""Train encoder and decoder by gradient, the codebook by moving averages.

        L = -log p(x | z_q) + beta || z - sg[e] ||^2
        state' = renew(ema_update(state))

    van den Oord et al. 2017, appendix A.1. The batch is quantized before the update.
    Dead codes are drawn anew with the key of the global batch's first example, so all
    devices draw the same. The averages start with the mean usage of the first batch, so
    that no code is dead on arrival. To sample or evaluate, the parameters are params |
    {"codebook": state.codebook}.

    Args: enc, dec, likelihood, axis_name: as for `objective`.  K: codes.  decay: of
        `ema_update`.  beta: weight of the commitment.  start: of the codebook.  renew:
        what becomes of dead codes.
    Returns: StatefulObjective, its memory a State (nats per example, plus the penalty).
    """

    def init(rng: Array, batch: Batch) -> tuple[Params, State]:
        params, z, key = _init_nets(enc, dec, rng, batch)
        return params, ema_init(start(key, z, K), n=z.size / (z.shape[-1] * K))

    def loss(params: Params, state: State, rng: Array, batch: Batch) -> Any:
        x = batch["x"]
        z = enc.apply(params["enc"], x)
        codes, z_q = quantize(state.codebook, z)
        output = dec.apply(params["dec"], straight_through(z, z_q))
        distortion = -jnp.mean(jax.vmap(likelihood)(x, output))
        commit = functools.partial(commitment_loss, beta=beta)
        value = distortion + jnp.mean(jax.vmap(commit)(z, z_q))
        told = _metrics(value, distortion, codes, K, axis_name)
        moved = ema_update(state, z, codes, decay=decay, axis_name=axis_name)
        renewed = renew(
            _shared_key(rng, len(x), axis_name), moved, z, axis_name=axis_name
        )
        return value, ({**told, **_bits(distortion, codes, K, x)}, renewed)

    return StatefulObjective(init, loss)


def gumbel_objective(
    enc: Net,
    dec: Net,
    K: int,
    *,
    width: int,
    likelihood: Likelihood,
    temperature: gumbel.Anneal,
    kl_weight: gumbel.Anneal = gumbel.whole,
    relax: gumbel.Relax = gumbel.relaxed,
    axis_name: str | None = None,
) -> StatefulObjective:
    r"""Train a law over codes through its relaxation.

        L = -log p(x | y e) + w KL(q || U),    y = relax(log q, g, tau)

    Jang et al. 2016 (arXiv:1611.01144); Ramesh et al. 2021 (DALL-E, arXiv:2102.12092).
    With w = 1 it is the relaxed bound; only `gumbel.bound` is one on log p(x).

    Args: enc: x -> logits [B, ..., K].  dec, likelihood, axis_name: as for `objective`.
        K: codes.  width: D of the codes' embeddings e.  temperature, kl_weight: of the
        step.  relax: `gumbel.relaxed` or `gumbel.hard`.
    Returns: StatefulObjective, its memory the number of steps done (nats per example).
    """

    for step in (0, 2**30):
        if not float(temperature(jnp.asarray(step))) > 0:
            raise ValueError(
                f"expected a temperature > 0 at every step, got 0 or less at {step}"
            )

    def init(rng: Array, batch: Batch) -> tuple[Params, Array]:
        enc_key, dec_key, key = jax.random.split(rng, 3)
        x = batch["x"]
        enc_params = enc.init(enc_key, x)
        like = jax.eval_shape(enc.apply, enc_params, x)
        z = jnp.zeros((*_logits(like, K).shape[:-1], width), like.dtype)
        codebook = jax.random.normal(key, (K, width)) / jnp.sqrt(width)
        params = {"enc": enc_params, "dec": dec.init(dec_key, z), "codebook": codebook}
        return params, jnp.zeros((), jnp.int32)

    def loss(params: Params, step: Array, rng: Array, batch: Batch) -> Any:
        x = batch["x"]
        logits = _logits(enc.apply(params["enc"], x), K)
        noise = jax.vmap(gumbel.draw)(chain.example_keys(rng, x.shape[0]), logits)
        tau, weight = temperature(step), kl_weight(step)
        output = dec.apply(
            params["dec"], relax(logits, noise, tau) @ params["codebook"]
        )
        distortion = -jnp.mean(jax.vmap(likelihood)(x, output))
        kl = jnp.mean(jax.vmap(gumbel.kl_uniform)(logits))
        value = distortion + weight * kl
        codes = jnp.argmax(logits + noise, axis=-1)
        told = _metrics(value, distortion, codes, K, axis_name)
        return value, ({**told, "kl": kl, "temperature": tau}, step + 1)

    return StatefulObjective(init, loss)


def _init_nets(
    enc: Net, dec: Net, rng: Array, batch: Batch
) -> tuple[Params, Array, Array]:
    """Parameters of both, the vectors of the batch, and a key for the codebook."""
    enc_key, dec_key, key = jax.random.split(rng, 3)
    params = enc.init(enc_key, batch["x"])
    z = enc.apply(params, batch["x"])
    return {"enc": params, "dec": dec.init(dec_key, z)}, z, key


def _metrics(
    loss: Array, distortion: Array, codes: Array, K: int, axis_name: str | None
) -> dict[str, Array]:
    counts = usage.counts(codes, K, axis_name=axis_name)
    told = {"perplexity": usage.perplexity(counts), "used": usage.used(counts)}
    return {"loss": loss, "distortion": distortion, **told}


def _bits(distortion: Array, codes: Array, K: int, x: Array) -> dict[str, Array]:
    rate = codes[0].size * jnp.log(K)  # exact: the encoder is certain
    return {"bits_per_dim": bits_per_dim(distortion + rate, x[0].size)}


def _logits(output: Any, K: int) -> Any:
    if output.shape[-1] != K:
        raise ValueError(
            f"expected logits [B, ..., {K}] of the encoder, got {output.shape}"
        )
    return output


def _shared_key(rng: Array, num: int, axis_name: str | None) -> Array:
    """The key of the first example of the global batch, on every device."""
    key = chain.example_keys(rng, num)[0]
    if axis_name is None:
        return key
    words = jax.lax.all_gather(jax.random.key_data(key), axis_name)[0]
    return jax.random.wrap_key_data(words, impl=jax.random.key_impl(key))
