"""Exact optimal models: what a perfect network would say, for data with a known law.

A Gaussian is a mixture of one component. A diffused mixture is a mixture, and so is
what is known of x_0 after seeing x_t: these few functions compose into exact denoisers,
scores, classifiers and inpaintings. Finite data sets have functions of their own, which
never form a covariance. `linear_gaussian` is the VAE with everything in closed form.
"""

from diffjax.core.oracle import linear_gaussian
from diffjax.core.oracle.enumerable_codes import (
    CodeModel,
    code_encoder,
    code_log_prob,
    code_model,
    code_posterior,
)
from diffjax.core.oracle.finite_data import (
    attract,
    finite_dae,
    finite_denoiser,
    smoothed_log_prob,
    source_weights,
)
from diffjax.core.oracle.finite_discrete import (
    discrete_denoiser,
    discrete_leave_one_out,
)
from diffjax.core.oracle.gaussian_chain import (
    GaussianChain,
    chain_conditional,
    chain_gap,
    chain_law,
    chain_log_prob,
    chain_posterior,
    gaussian_chain,
)
from diffjax.core.oracle.gaussian_mixture import (
    Mixture,
    denoiser,
    diffused,
    gaussian,
    gaussian_flow,
    log_class_prob,
    log_prob,
    mixture,
    moments,
    of_class,
    posterior,
    posterior_variance,
)

__all__ = [
    "CodeModel",
    "GaussianChain",
    "Mixture",
    "attract",
    "chain_conditional",
    "chain_gap",
    "chain_law",
    "chain_log_prob",
    "chain_posterior",
    "code_encoder",
    "code_log_prob",
    "code_model",
    "code_posterior",
    "denoiser",
    "diffused",
    "discrete_denoiser",
    "discrete_leave_one_out",
    "finite_dae",
    "finite_denoiser",
    "gaussian",
    "gaussian_chain",
    "gaussian_flow",
    "linear_gaussian",
    "log_class_prob",
    "log_prob",
    "mixture",
    "moments",
    "of_class",
    "posterior",
    "posterior_variance",
    "smoothed_log_prob",
    "source_weights",
]
