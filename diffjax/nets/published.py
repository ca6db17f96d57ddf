"""Networks in the sizes of papers; `.clone(dtype=jnp.bfloat16)` changes a field.

Their dropout is the paper's, and only acts where an `rng` is given.
"""

from diffjax.nets import embeddings, unet
from diffjax.nets.unet import UNet


def ddpm_cifar10() -> UNet:
    r"""DDPM for 32 x 32 images.

        35,746,307 parameters for 3 channels

    Ho et al. 2020 (arXiv:2006.11239), appendix B; `google/ddpm-cifar10-32`.

    Returns: UNet, [B, 32, 32, 3] -> [B, 32, 32, 3].
    """
    return UNet(
        out_channels=3,
        widths=(128, 256, 256, 256),
        attention=(False, True, False, False),
        dropout=0.1,
    )


def ddpm_256() -> UNet:
    r"""DDPM for 256 x 256 images.

        113,673,219 parameters for 3 channels

    Ho et al. 2020, appendix B; `google/ddpm-celebahq-256` and others.

    Returns: UNet, [B, 256, 256, 3] -> [B, 256, 256, 3].
    """
    return UNet(
        out_channels=3,
        widths=(128, 128, 256, 256, 512, 512),
        attention=(False, False, False, False, True, False),
    )


def improved_ddpm_cifar10() -> UNet:
    r"""Improved DDPM for 32 x 32 images, with learned variances.

        52,546,438 parameters for 3 channels in, 6 out

    Nichol & Dhariwal 2021 (arXiv:2102.09672), section 3 and published code; dropout is
    that of the cosine schedule.

    Returns: UNet, [B, 32, 32, 3] -> [B, 32, 32, 6], eps first.
    """
    return UNet(
        out_channels=6,
        widths=(128, 256, 256, 256),
        attention=(False, True, True, False),
        layers=3,
        time_features=embeddings.cos_sin,
        freq_shift=0.0,
        condition=unet.film,
        heads=4,
        eps=1e-5,
        down_padding=(1, 1),
        dropout=0.3,
    )
