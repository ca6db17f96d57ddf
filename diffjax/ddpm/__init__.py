"""Denoising diffusion with Gaussian noise: process, bound, losses, samplers.

    schedule = schedules.linear(1000)
    denoise(x_t, t) -> x_0      one example: all the mathematics asks of a network

`bound`, `sample` and the losses take batches, everything else one example.
"""

from diffjax.ddpm import (
    conditioning,
    continuous,
    guidance,
    likelihood,
    predict,
    samplers,
    solvers,
    times,
    variance,
    variational,
    weights,
)
from diffjax.ddpm.importance import importance_objective, importance_vlb_loss
from diffjax.ddpm.likelihood import bound, flow_log_prob
from diffjax.ddpm.losses import (
    hybrid_loss,
    simple_loss,
    v_loss,
    vlb_loss,
    x_0_loss,
)
from diffjax.ddpm.objective import (
    hybrid_objective,
    net_bound,
    objective,
    sampler,
    split_net,
)
from diffjax.ddpm.process import diffuse, forward, marginal, posterior, transition
from diffjax.ddpm.samplers import (
    ancestral,
    ancestral_with,
    ddim,
    ddim_inverse,
    decode,
    invert,
    sample,
    trajectory,
)
from diffjax.ddpm.solvers import dpm_solver_pp, heun, heun_with_churn, plms
from diffjax.ddpm.variance import large, learned, learned_range, small

__all__ = [
    "ancestral",
    "ancestral_with",
    "bound",
    "conditioning",
    "continuous",
    "ddim",
    "ddim_inverse",
    "decode",
    "diffuse",
    "dpm_solver_pp",
    "flow_log_prob",
    "forward",
    "guidance",
    "heun",
    "heun_with_churn",
    "hybrid_loss",
    "hybrid_objective",
    "importance_objective",
    "importance_vlb_loss",
    "invert",
    "large",
    "learned",
    "learned_range",
    "likelihood",
    "marginal",
    "net_bound",
    "objective",
    "plms",
    "posterior",
    "predict",
    "sample",
    "sampler",
    "samplers",
    "simple_loss",
    "small",
    "solvers",
    "split_net",
    "times",
    "trajectory",
    "transition",
    "v_loss",
    "variance",
    "variational",
    "vlb_loss",
    "weights",
    "x_0_loss",
]
