"""The only place where networks are seen: two of them, an encoder and a decoder.

Both take and return batches, `enc.apply(params, x [B, ...])` and
`dec.apply(params, z [B, ...])`. Parameters are {"enc": ..., "dec": ...}.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from diffjax.core.batching import of_example
from diffjax.core.bounds import Bound
from diffjax.types import Array, Batch, Metrics, Net, Objective, Params, Sampler
from diffjax.vae import likelihood as _likelihood
from diffjax.vae import losses, samplers
from diffjax.vae.decoders import Likelihood, bernoulli
from diffjax.vae.likelihood import Decode, Encode, Gaussian

Posterior = Callable[[Any], Gaussian]
"""What the encoder's output means: output of one example -> (mean, log_var)."""


class Functions(NamedTuple):
    """A `Net` made of two functions.

    init: (rng, input [B, ...]) -> params.
    apply: (params, input [B, ...]) -> output.
    """

    init: Callable[..., Params]
    apply: Callable[..., Any]


def halves(output: Array) -> Gaussian:
    r"""The last axis holds the mean, then the log variance.

        [mean, log_var] = output

    Args: output: [..., 2 d].
    Returns: mean [..., d], log_var [..., d] (latent units; nats).
    """
    if output.shape[-1] % 2:
        raise ValueError(
            f"expected an even last axis, mean and log_var, got {output.shape}"
        )
    mean, log_var = jnp.split(output, 2, axis=-1)
    return mean, log_var


def bounded_halves(*, limit: float = 20.0) -> Posterior:
    r"""`halves` with a log variance that cannot overflow, nor its gradient vanish soon.

        log_var = limit tanh(raw / limit)

    The published code of Vahdat & Kautz 2020 (NVAE, arXiv:2007.03898) has limit 5.

    Args: limit: of |log_var|, > 0, nats.
    Returns: (output [..., 2 d]) -> mean [..., d], log_var [..., d].
    """
    if not limit > 0:
        raise ValueError(f"expected limit > 0, got {limit}")

    def posterior(output: Array) -> Gaussian:
        mean, raw = halves(output)
        return mean, limit * jnp.tanh(raw / limit)

    return posterior


def bind(
    enc: Net, dec: Net, params: Params, *, posterior: Posterior = halves
) -> tuple[Encode, Decode]:
    r"""Two batched networks as functions of one example.

        encode(x) = posterior(enc(x[None])[0]),    decode(z) = dec(z[None])[0]

    Args: enc, dec: networks.  params: {"enc", "dec"}.  posterior: what the encoder's
        output means.
    Returns: encode: x [...] -> (mean, log_var); decode: z [...] -> decoded.
    """

    output = of_example(enc, params["enc"])
    return lambda x: posterior(output(x)), of_example(dec, params["dec"])


def objective(
    enc: Net,
    dec: Net,
    *,
    likelihood: Likelihood = bernoulli,
    loss: Callable[..., Array] = losses.elbo_loss,
    posterior: Posterior = halves,
) -> Objective:
    r"""Train an encoder and a decoder together.

        (params, rng, batch) -> loss, and the terms of the bound it stands for

    Kingma & Welling 2013 (arXiv:1312.6114), algorithm 1.

    Args: enc: x [B, ...] -> output.  dec: z [B, ...] -> decoded.  likelihood: what
        the decoder's output means.  loss: one of `losses`, its options given by
        `functools.partial`.  posterior: what the encoder's output means.
    Returns: Objective, nats per example.
    """

    def init(rng: Array, batch: Batch) -> Params:
        of_enc, of_dec = jax.random.split(rng)
        params = {"enc": enc.init(of_enc, batch["x"])}
        output = enc.apply(params["enc"], batch["x"])
        mean, _ = jax.vmap(posterior)(output)
        return params | {"dec": dec.init(of_dec, mean)}

    def evaluate(params: Params, rng: Array, batch: Batch) -> tuple[Array, Metrics]:
        encode, decode = bind(enc, dec, params, posterior=posterior)
        args = encode, decode, rng, batch["x"]
        value = loss(*args, likelihood=likelihood)
        terms = _likelihood.bound(*args, likelihood=likelihood)
        means = {
            "elbo": jnp.mean(terms.elbo),
            "rate": jnp.mean(terms.rate),
            "distortion": jnp.mean(terms.distortion),
        }
        return value, {"loss": value, **jax.lax.stop_gradient(means)}

    return Objective(init, evaluate)


def sigma_objective(
    enc: Net,
    dec: Net,
    *,
    posterior: Posterior = halves,
    axis_name: str | None = None,
) -> Objective:
    r"""Train a Gaussian decoder of means with the best sigma of every batch.

        L = D/2 [ log(2 pi sigma*^2) + 1 ] + E KL

    Rybkin et al. 2021 (sigma-VAE, arXiv:2006.13202).

    Args: enc, posterior: as for `objective`.  dec: z [B, ...] -> mean [B, ...].
        axis_name: of the devices among which the batch is split.
    Returns: Objective, nats per example.
    """

    def loss(params: Params, rng: Array, batch: Batch) -> tuple[Array, Metrics]:
        encode, decode = bind(enc, dec, params, posterior=posterior)
        value = losses.sigma_vae_loss(
            encode, decode, rng, batch["x"], axis_name=axis_name
        )
        return value, {"loss": value}

    return Objective(objective(enc, dec, posterior=posterior).init, loss)


def annealed(make: Callable[[Array], Objective]) -> Objective:
    r"""An objective that changes as training goes on.

        loss = make(step).loss,    step = batch["step"]

    for example `make = lambda step: objective(enc, dec, loss=partial(elbo_loss,
    beta=warm_up(step, num=1000)))`.

    Args: make: step [] -> Objective.
    Returns: Objective, whose batches have "step", integer [B], the same B times.
    """

    def init(rng: Array, batch: Batch) -> Params:
        return make(jnp.zeros((), jnp.int32)).init(rng, batch)

    def loss(params: Params, rng: Array, batch: Batch) -> tuple[Array, Metrics]:
        return make(_step(batch)).loss(params, rng, batch)

    return Objective(init, loss)


def replaced(first: Objective, then: Objective, *, at: int) -> Objective:
    r"""An objective that another one replaces as training goes on.

        loss = first.loss  if step < at else  then.loss,    step = batch["step"]

    of which only the one in force is computed. The cheap ELBO first and a bound of many
    draws for the rest is how Burda et al. 2015 (arXiv:1509.00519), section 5.2, see
    what the second one gains. XLA:CPU is slow at gradients of convolutions inside a
    branch: two runs are quicker there, the second begun with the first's parameters.

    Args: first, then: with the same parameters and metrics.  at: the first step of
        `then`, counted from 0.
    Returns: Objective, whose batches have "step", integer [B], the same B times.
    """

    def loss(params: Params, rng: Array, batch: Batch) -> tuple[Array, Metrics]:
        is_first = _step(batch) < at
        return jax.lax.cond(is_first, first.loss, then.loss, params, rng, dict(batch))

    return Objective(first.init, loss)


def with_log_sigma(dec: Net) -> Functions:
    r"""A decoder of means that learns one sigma too; for `gaussian_moments`.

        z -> (mean, 2 log sigma),    params {"net": ..., "log_sigma": []}

    Lecture 02 (VAE), "Gaussian VAE", min over theta and sigma. It starts at sigma = 1.

    Args: dec: z [B, ...] -> mean [B, ...].
    Returns: Functions to mean [B, ...] and log_var [B] (data units; nats).
    """

    def init(rng: Array, z: Array) -> Params:
        return {"net": dec.init(rng, z), "log_sigma": jnp.zeros(())}

    def apply(params: Params, z: Array) -> tuple[Array, Array]:
        log_var = jnp.broadcast_to(2 * params["log_sigma"], z.shape[:1])
        return dec.apply(params["net"], z), log_var

    return Functions(init, apply)


def net_bound(
    enc: Net,
    dec: Net,
    *,
    likelihood: Likelihood = bernoulli,
    posterior: Posterior = halves,
) -> Callable[[Params, Array, Batch], Bound]:
    r"""The bound of trained networks.

        (params, rng, batch) -> Bound

    Args: enc, dec, likelihood, posterior: as for `objective`.
    Returns: a function to Bound of [B], [B, 0], [B]; nats.
    """

    def evaluate(params: Params, rng: Array, batch: Batch) -> Bound:
        encode, decode = bind(enc, dec, params, posterior=posterior)
        return _likelihood.bound(encode, decode, rng, batch["x"], likelihood=likelihood)

    return evaluate


def net_nll(
    enc: Net,
    dec: Net,
    *,
    num: int,
    likelihood: Likelihood = bernoulli,
    posterior: Posterior = halves,
) -> Callable[[Params, Array, Batch], Array]:
    r"""The negative log likelihood of trained networks, by importance sampling.

        (params, rng, batch) -> nll

    Args: enc, dec, likelihood, posterior: as for `objective`.  num: k, draws of z for
        each example.
    Returns: a function to [B] nats.
    """

    def evaluate(params: Params, rng: Array, batch: Batch) -> Array:
        encode, decode = bind(enc, dec, params, posterior=posterior)
        return _likelihood.nll(
            encode, decode, rng, batch["x"], num=num, likelihood=likelihood
        )

    return evaluate


def sampler(
    dec: Net, shape: tuple[int, ...], *, draw: samplers.Draw = samplers.draw_bernoulli
) -> Sampler:
    r"""Draw with a trained decoder.

        z ~ N(0, I),    x ~ p(x | z)

    Args: dec: as trained.  shape: of one latent.  draw: of x from the decoder's output.
    Returns: Sampler: (params, rng, num) -> [num, ...] (data units).
    """

    def sample(params: Params, rng: Array, num: int) -> Array:
        decode = of_example(dec, params["dec"])
        return samplers.sample(decode, rng, (num, *shape), draw=draw)

    return sample


def _step(batch: Batch) -> Array:
    if "step" not in batch:
        raise ValueError(
            f'expected "step" in the batch, got {sorted(batch)}; add '
            "jnp.full(batch_size, step), the same for every example"
        )
    return batch["step"][0]
