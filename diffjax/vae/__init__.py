"""Variational autoencoders with one layer of Gaussian latents.

    encode(x) -> (mean, log_var)    decode(z) -> decoded    likelihood(x, decoded)

all of one example; `bound`, `nll`, `sample` and the losses take batches.
"""

from diffjax.core.annealing import cyclical, warm_up
from diffjax.vae import (
    aggregate,
    composed,
    decoders,
    importance,
    likelihood,
    losses,
    samplers,
)
from diffjax.vae.aggregate import (
    active_units,
    aggregate_log_prob,
    blurry_mean,
    index_information,
    source_log_prob,
)
from diffjax.vae.decoders import (
    bernoulli,
    categorical,
    discretized_logistic,
    gaussian_moments,
    gaussian_with,
    logistic_mixture,
)
from diffjax.vae.importance import dreg_loss, iwae_loss, resampled_iwae_loss
from diffjax.vae.likelihood import bound, log_weight, nll
from diffjax.vae.losses import (
    elbo_loss,
    free_bits,
    free_bits_loss,
    optimal_log_var,
    sigma_vae_loss,
)
from diffjax.vae.objective import (
    annealed,
    bind,
    bounded_halves,
    halves,
    net_bound,
    net_nll,
    objective,
    replaced,
    sampler,
    sigma_objective,
    with_log_sigma,
)
from diffjax.vae.samplers import (
    draw_bernoulli,
    draw_categorical,
    draw_discretized_logistic,
    draw_gaussian_moments,
    draw_gaussian_with,
    draw_logistic_mixture,
    sample,
)

__all__ = [
    "active_units",
    "aggregate",
    "aggregate_log_prob",
    "annealed",
    "bernoulli",
    "bind",
    "blurry_mean",
    "bound",
    "bounded_halves",
    "categorical",
    "composed",
    "cyclical",
    "decoders",
    "discretized_logistic",
    "draw_bernoulli",
    "draw_categorical",
    "draw_discretized_logistic",
    "draw_gaussian_moments",
    "draw_gaussian_with",
    "draw_logistic_mixture",
    "dreg_loss",
    "elbo_loss",
    "free_bits",
    "free_bits_loss",
    "gaussian_moments",
    "gaussian_with",
    "halves",
    "importance",
    "index_information",
    "iwae_loss",
    "likelihood",
    "log_weight",
    "logistic_mixture",
    "losses",
    "net_bound",
    "net_nll",
    "nll",
    "objective",
    "optimal_log_var",
    "replaced",
    "resampled_iwae_loss",
    "sample",
    "sampler",
    "samplers",
    "sigma_objective",
    "sigma_vae_loss",
    "source_log_prob",
    "warm_up",
    "with_log_sigma",
]
