"""What to do with trained networks: draw, and bound log p(x)."""

from collections.abc import Callable

import jax

from diffjax.core import chain
from diffjax.core.batching import of_example
from diffjax.core.bounds import Bound
from diffjax.types import Array, Batch, Net, Params, Sampler
from diffjax.vq import gumbel, prior
from diffjax.vq.codebook import lookup
from diffjax.vq.likelihood import Decode, Likelihood, LogPrior, bound
from diffjax.vq.prior import Prior
from diffjax.vq.quantizers import Quantizer


def example_decoder(dec: Net, quantizer: Quantizer, params: Params) -> Decode:
    r"""A batched decoder as a function of the codes of one example.

        codes -> dec(lookup(codebook, codes))

    Args: dec: z_q [B, ...] -> output.  quantizer: as trained.  params: {"dec": ...,
        "codebook": ...}.
    Returns: codes integer [...] -> output [...], in the unit of the network's output.
    """

    output = of_example(dec, params["dec"])
    return lambda codes: output(quantizer.lookup(params["codebook"], codes))


def sampler(
    dec: Net,
    quantizer: Quantizer,
    prior: Prior,
    shape: tuple[int, ...],
    *,
    emit: Callable[[Array, Array], Array] = lambda rng, output: output,
) -> Sampler:
    r"""Draw with a trained decoder and any prior.

        codes ~ p(codes),    x ~ p(x | codes)

    van den Oord et al. 2017, section 3.3.

    Args: dec: as trained.  quantizer: as trained; `quantizers.vector(K)` for a codebook
        of averages or of Gumbel.  prior: Prior.  shape: of the codes of one example.
        emit: (rng, output) -> x, a draw from the likelihood; by default the output.
    Returns: Sampler: (params, rng, num) -> [num, ...] (unit of emit).
    """

    def of_example(params: Params, rng: Array) -> Array:
        codes_key, emit_key = jax.random.split(rng)
        codes = prior.sample(codes_key, shape)
        return emit(emit_key, example_decoder(dec, quantizer, params)(codes))

    def draw(params: Params, rng: Array, num: int) -> Array:
        keys = chain.example_keys(rng, num)
        return jax.vmap(of_example, in_axes=(None, 0))(params, keys)

    return draw


def net_bound(
    enc: Net,
    dec: Net,
    quantizer: Quantizer,
    *,
    likelihood: Likelihood,
    log_prior: LogPrior | None = None,
) -> Callable[[Params, Array, Batch], Bound]:
    r"""The bound of a trained model, exact; the key is not used.

        (params, rng, batch) -> Bound

    van den Oord et al. 2017, section 3.1.

    Args: enc, dec, quantizer, likelihood: as for
        `objective`.  log_prior: codes ->
        nats, by default uniform.
    Returns: a function to Bound of [B], [B, 0], [B]; nats.
    """
    log_p = log_prior or prior.uniform(quantizer.K).log_prob

    def evaluate(params: Params, rng: Array, batch: Batch) -> Bound:
        latent = of_example(enc, params["enc"])

        def encode(x: Array) -> Array:
            return quantizer.apply(params["codebook"], latent(x)).codes

        decode = example_decoder(dec, quantizer, params)
        return bound(encode, decode, batch["x"], likelihood=likelihood, log_prior=log_p)

    return evaluate


def gumbel_net_bound(
    enc: Net,
    dec: Net,
    K: int,
    *,
    likelihood: Likelihood,
    log_prior: LogPrior | None = None,
) -> Callable[[Params, Array, Batch], Bound]:
    r"""The bound of a trained discrete VAE, with whole codes and no temperature.

        (params, rng, batch) -> Bound

    Lecture 02 (VAE), theorem 1.

    Args: enc, dec, K, likelihood: as for `gumbel_objective`.  log_prior: codes -> nats,
        by default uniform.
    Returns: a function to Bound of [B], [B, 0], [B]; nats.
    """
    log_p = log_prior or prior.uniform(K).log_prob

    def evaluate(params: Params, rng: Array, batch: Batch) -> Bound:
        encode, output = (
            of_example(n, params[k]) for n, k in ((enc, "enc"), (dec, "dec"))
        )

        def decode(codes: Array) -> Array:
            return output(lookup(params["codebook"], codes))

        return gumbel.bound(
            encode, decode, rng, batch["x"], likelihood=likelihood, log_prior=log_p
        )

    return evaluate
