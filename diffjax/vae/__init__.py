"""Variational autoencoders with one layer of Gaussian latents.

    encode(x) -> (mean, log_var)    decode(z) -> decoded    likelihood(x, decoded)

all of one example; `bound`, `nll`, `sample` and the losses take batches.
"""

from diffjax.vae import decoders, likelihood
from diffjax.vae.likelihood import bound

__all__ = ["bound", "decoders", "likelihood"]
