"""Denoising diffusion of categories: process, bound, losses, samplers.

    family = transitions.absorbing(schedules.inverse(1000).beta[1:], K, mask=K - 1)
    denoise(x_t, t) -> logits of p(x_0 | x_t)      one example

`bound`, `sample` and the losses take batches, everything else one example.
"""

from diffjax.d3pm import (
    closed,
    continuous,
    guidance,
    heads,
    infill,
    likelihood,
    losses,
    masked,
    predict,
    process,
    rates,
    samplers,
    scud,
    transitions,
    unmasking,
    vocabulary,
)
from diffjax.d3pm.likelihood import bound
from diffjax.d3pm.losses import cross_entropy, hybrid_loss, vb_loss
from diffjax.d3pm.masked import absorbing_loss
from diffjax.d3pm.objective import label_and_lengths, objective, sampler
from diffjax.d3pm.process import (
    diffuse,
    marginal_logits,
    posterior_logits,
    transition_logits,
)
from diffjax.d3pm.samplers import (
    ancestral,
    ancestral_with,
    argmax_last,
    sample,
    trajectory,
)
from diffjax.d3pm.unmasking import confidence, first_hitting, remasking, reveal

__all__ = [
    "absorbing_loss",
    "ancestral",
    "ancestral_with",
    "argmax_last",
    "bound",
    "closed",
    "confidence",
    "continuous",
    "cross_entropy",
    "diffuse",
    "first_hitting",
    "guidance",
    "heads",
    "hybrid_loss",
    "infill",
    "label_and_lengths",
    "likelihood",
    "losses",
    "marginal_logits",
    "masked",
    "objective",
    "posterior_logits",
    "predict",
    "process",
    "rates",
    "remasking",
    "reveal",
    "sample",
    "sampler",
    "samplers",
    "scud",
    "trajectory",
    "transition_logits",
    "transitions",
    "unmasking",
    "vb_loss",
    "vocabulary",
]
