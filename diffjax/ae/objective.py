"""The only place where networks are seen: two of them, an encoder and a decoder.

Both take and return batches, `enc.apply(params, x [B, ...])` and
`dec.apply(params, code [B, ...])`. Parameters are {"enc": ..., "dec": ...}.
"""

from collections.abc import Callable

import jax

from diffjax.ae import losses
from diffjax.ae.losses import Decode, Encode
from diffjax.core.batching import of_example
from diffjax.types import Array, Batch, Metrics, Net, Objective, Params


def bind(enc: Net, dec: Net, params: Params) -> tuple[Encode, Decode]:
    r"""Two batched networks as functions of one example.

        encode(x) = enc(x[None])[0],    decode(code) = dec(code[None])[0]

    Args: enc, dec: networks.  params: {"enc", "dec"}.
    Returns: encode: x [...] -> code [...]; decode: code [...] -> x_hat [...].
    """

    return of_example(enc, params["enc"]), of_example(dec, params["dec"])


def objective(
    enc: Net,
    dec: Net,
    *,
    loss: Callable[..., Array] = losses.reconstruction_loss,
) -> Objective:
    r"""Train an encoder and a decoder together.

        (params, rng, batch) -> loss(encode, decode, rng, batch["x"])

    Lecture 02 (AE), L_AE and its variants.

    Args: enc: x [B, ...] -> code.  dec: code [B, ...] -> x_hat.  loss: one of
        `losses`, its options given by `functools.partial`.
    Returns: Objective, in the unit of the loss.
    """

    def init(rng: Array, batch: Batch) -> Params:
        of_enc, of_dec = jax.random.split(rng)
        params = enc.init(of_enc, batch["x"])
        code = enc.apply(params, batch["x"])
        return {"enc": params, "dec": dec.init(of_dec, code)}

    def evaluate(params: Params, rng: Array, batch: Batch) -> tuple[Array, Metrics]:
        encode, decode = bind(enc, dec, params)
        value = loss(encode, decode, rng, batch["x"])
        return value, {"loss": value}

    return Objective(init, evaluate)
