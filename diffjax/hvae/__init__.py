"""Hierarchical VAEs: L layers of latents, z_1 next to the data, z_L at the top.

    markov      q climbs from the data, p comes down: a stack of VAEs, L = 1 the VAE
    ladder      q comes down with p: every term a Gaussian KL in closed form
    diffusion   the fixed linear Gaussian encoder, which makes the first the DDPM

Each room has `terms` of one example and given noise, and `bound`; the first two also
`sample` and `log_weights`. `losses` weights the terms in training; `objective` binds
networks.
"""

from diffjax.hvae import diffusion, ladder, losses, markov, posteriors
from diffjax.hvae.diffusion import (
    Known,
    denoising_decoder,
    fixed_gaussian_encoder,
    fixed_gaussian_posterior,
)
from diffjax.hvae.ladder import Ladder
from diffjax.hvae.layers import Layers, alike, own
from diffjax.hvae.losses import collapsed, kl_report, layer_kls, warm_up
from diffjax.hvae.markov import bound, log_weights, sample
from diffjax.hvae.objective import (
    LadderNets,
    Nets,
    alike_nets,
    frozen,
    ladder_objective,
    ladder_of,
    objective,
    own_nets,
    sampler,
)
from diffjax.hvae.posteriors import ABSOLUTE, PRECISION, RESIDUAL, Posterior

__all__ = [
    "ABSOLUTE",
    "Known",
    "Ladder",
    "LadderNets",
    "Layers",
    "Nets",
    "PRECISION",
    "Posterior",
    "RESIDUAL",
    "alike",
    "alike_nets",
    "bound",
    "collapsed",
    "denoising_decoder",
    "diffusion",
    "fixed_gaussian_encoder",
    "fixed_gaussian_posterior",
    "frozen",
    "kl_report",
    "ladder",
    "ladder_objective",
    "ladder_of",
    "layer_kls",
    "log_weights",
    "losses",
    "markov",
    "objective",
    "own",
    "own_nets",
    "posteriors",
    "sample",
    "sampler",
    "warm_up",
]
