"""The discrete VAE: vector, residual and scalar quantization, Gumbel-softmax, bounds.

    codes, z_q = vq.quantize(codebook, z)              z [..., D], codebook [K, D]
    state = vq.ema_update(state, z, codes, decay=0.99)
    vq.bound(encode, decode, x, likelihood=..., log_prior=vq.prior.uniform(K).log_prob)

`bound` takes a batch, everything else one example or any leading axes.
"""

from diffjax.types import StatefulObjective
from diffjax.vq import (
    autoregressive,
    codebook,
    composed,
    ema,
    gumbel,
    likelihood,
    prior,
    quantizers,
    scalar,
    starts,
    trained,
    usage,
)
from diffjax.vq.autoregressive import (
    autoregressive_bound,
    autoregressive_objective,
    autoregressive_sampler,
)
from diffjax.vq.codebook import (
    Residual,
    codebook_loss,
    commitment_loss,
    lookup,
    quantize,
    residual,
    straight_through,
)
from diffjax.vq.ema import State, ema_init, ema_update, laplace
from diffjax.vq.likelihood import bound
from diffjax.vq.objective import ema_objective, gumbel_objective, objective
from diffjax.vq.scalar import fsq, fsq_lookup, fsq_size
from diffjax.vq.starts import (
    init_from_data,
    init_kmeans,
    init_uniform,
    no_restart,
    restart,
)
from diffjax.vq.trained import gumbel_net_bound, net_bound, sampler
from diffjax.vq.usage import counts, perplexity, used

__all__ = [
    "Residual",
    "State",
    "StatefulObjective",
    "autoregressive",
    "autoregressive_bound",
    "autoregressive_objective",
    "autoregressive_sampler",
    "bound",
    "codebook",
    "codebook_loss",
    "commitment_loss",
    "composed",
    "counts",
    "ema",
    "ema_init",
    "ema_objective",
    "ema_update",
    "fsq",
    "fsq_lookup",
    "fsq_size",
    "gumbel",
    "gumbel_net_bound",
    "gumbel_objective",
    "init_from_data",
    "init_kmeans",
    "init_uniform",
    "laplace",
    "likelihood",
    "lookup",
    "net_bound",
    "no_restart",
    "objective",
    "perplexity",
    "prior",
    "quantize",
    "quantizers",
    "residual",
    "restart",
    "sampler",
    "scalar",
    "starts",
    "straight_through",
    "trained",
    "usage",
    "used",
]
