"""Autoencoders: plain, denoising, sparse, k-sparse, contractive.

    encode(x) -> code    decode(code) -> x_hat    error(x, x_hat) -> []

all of one example; the losses take batches.
"""

from diffjax.ae import corruption, denoiser, losses, penalties
from diffjax.ae.corruption import gaussian_noise, masking, salt_and_pepper
from diffjax.ae.denoiser import denoising_step, predicted_noise, score
from diffjax.ae.losses import (
    contractive_loss,
    cross_entropy,
    denoising_loss,
    hutchinson_loss,
    k_sparse_loss,
    kl_sparse_loss,
    l1_loss,
    reconstruction_loss,
    squared_error,
)
from diffjax.ae.objective import bind, objective
from diffjax.ae.penalties import (
    hutchinson_norm,
    jacobian_norm,
    k_sparse,
    kl_sparsity,
)

__all__ = [
    "bind",
    "contractive_loss",
    "corruption",
    "cross_entropy",
    "denoiser",
    "denoising_loss",
    "denoising_step",
    "gaussian_noise",
    "hutchinson_loss",
    "hutchinson_norm",
    "jacobian_norm",
    "k_sparse",
    "k_sparse_loss",
    "kl_sparse_loss",
    "kl_sparsity",
    "l1_loss",
    "losses",
    "masking",
    "objective",
    "penalties",
    "predicted_noise",
    "reconstruction_loss",
    "salt_and_pepper",
    "score",
    "squared_error",
]
