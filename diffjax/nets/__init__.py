"""Networks in Flax linen: arrays in, arrays out; no loss, schedule or sampling inside.

    net.apply(params, x [B, ..., C], t [B], label [B] or None, rng=keys [B])

Channels come last. Without `rng` nothing is dropped; with it, one key or a key per
example, every layer and every example has a mask of its own, so that the result of
training does not depend on how a batch is cut into devices. Every network has the
fields `dtype` (of the computation; parameters and input decide if None), `param_dtype`,
`precision` and `remat` (recompute activations in the backward pass to save memory);
Inception, which is never trained here, takes x alone and has no `remat`.
"""

from diffjax.nets import (
    classifier,
    conv,
    dense_ladder,
    dit,
    embeddings,
    heads,
    inception,
    ladder,
    layers,
    mlp,
    published,
    stack,
    transformer,
    unet,
    vdm,
)

__all__ = [
    "classifier",
    "conv",
    "dense_ladder",
    "dit",
    "embeddings",
    "heads",
    "inception",
    "ladder",
    "layers",
    "mlp",
    "published",
    "stack",
    "transformer",
    "unet",
    "vdm",
]
