"""Models without latents, for what diffusion of categories is measured against."""

from diffjax import vq
from diffjax.build import nets
from diffjax.build.model import Context, Model, expect_whole, objectives


def ar_model(*, context: Context) -> Model:
    r"""Every entry after those before it, in the order of the axes.

        {"name": "ar"}

    Args: context: Context, its data levels or tokens.
    Returns: Model, whose bound is exact and all reconstruction.
    """
    data = context.data
    expect_whole(data, "ar")
    net = nets.causal(context.net, data.levels)
    return Model(
        *objectives(context.net, vq.autoregressive_objective, net),
        vq.autoregressive_sampler(net, data.shape),
        vq.autoregressive_bound(net),
    )
