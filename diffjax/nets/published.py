"""Networks in the sizes of papers; `.clone(dtype=jnp.bfloat16)` changes a field.

Their dropout is the paper's, and only acts where an `rng` is given.
"""

from diffjax.nets import embeddings, ladder, unet
from diffjax.nets.conv import Decoder, Encoder
from diffjax.nets.dit import DiT
from diffjax.nets.ladder import Level
from diffjax.nets.transformer import Transformer
from diffjax.nets.unet import UNet
from diffjax.nets.vdm import FlatUNet


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


def vdm_cifar10() -> FlatUNet:
    r"""Variational diffusion for 32 x 32 images.

        30,577,667 parameters for 3 channels

    Kingma et al. 2021 (arXiv:2107.00630), appendix B and published code, which has 512
    more, for a conditioning that is always 0.

    Returns: FlatUNet, [B, 32, 32, 3] -> [B, 32, 32, 3].
    """
    return FlatUNet(depth=32, width=128, dropout=0.1)


def dit_xl_2() -> DiT:
    r"""The largest DiT, for latents of ImageNet and learned variances.

        674,834,720 parameters for 4 channels in, 8 out

    Peebles & Xie 2023 (arXiv:2212.09748), table 1. Label 1000 is "no class".

    Returns: DiT, [B, 32, 32, 4] -> [B, 32, 32, 8], eps first.
    """
    return DiT(channels=8, width=1152, depth=28, heads=16, num_classes=1001)


def d3pm_text8() -> Transformer:
    r"""D3PM for text8, 256 characters at a time: 12 layers, 768 wide, 12 heads.

        92,424,988 parameters for 27 characters and the mask

    Austin et al. 2021 (arXiv:2107.03006), appendix B.2, published code; the layers are
    this library's, 85 million in the attention and the MLP as there.

    Returns: Transformer, [B, 256] -> [B, 256, 28].
    """
    return Transformer(K=28, width=768, depth=12, heads=12)


def vqvae_cifar10(*, latent: int = 64) -> tuple[Encoder, Decoder]:
    r"""VQ-VAE for 32 x 32 images, to 8 x 8 vectors, with a softmax over 256 levels.

        2,389,568 and 5,654,784 parameters, for 64 latent channels

    van den Oord et al. 2017 (arXiv:1711.00937), section 4.1: two 4x4 convolutions of
    stride 2 and two residual blocks, 256 channels.

    Args: latent: D, the length of a code's vector.
    Returns: encoder, [B, 32, 32, 3] -> [B, 8, 8, D]; decoder, [B, 8, 8, D] -> logits
        [B, 32, 32, 3, 256].
    """
    widths = (256, 256)
    return (
        Encoder(channels=latent, widths=widths, blocks=2),
        Decoder(shape=(32, 32, 3, 256), widths=widths, blocks=2),
    )


def vdvae_cifar10() -> ladder.Parts:
    r"""VDVAE for 32 x 32 images: 43 layers and a mixture of 10 logistics.

        39,049,380 parameters for 3 channels

    Child 2021 (arXiv:2011.10650), table 3 ("39M") and published code, which has 96,320
    more, in constants of the top layer that its neighbours' biases make up for.

    Returns: Parts, for `hvae.LadderNets(*parts)`; [B, 32, 32, 100] is read.
    """
    levels = (Level(12, 22, 2), Level(7, 11, 2), Level(7, 6, 2), Level(4, 3, 4))
    return ladder.top_down((32, 32), (100,), (*levels, Level(3, 1, 1)))
