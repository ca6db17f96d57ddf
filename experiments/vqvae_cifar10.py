"""VQ-VAE on CIFAR-10 at the published scale: 8 x 8 x 10 codes of 512.

    diffjax train experiments/vqvae_cifar10.py --workdir runs/vqvae_cifar10

250000 steps of 128 images, 9.5 million parameters. The set is that of TFDS, prepared
beforehand. The ten codes of a place share a codebook.
Published: 4.67 bits/dim, of which the codes are 1.875 under their uniform prior (van
den Oord et al. 2017, arXiv:1711.00937, section 4.1). Not reproduced here.
"""


def get_config():
    return dict(
        seed=0,
        steps=250_000,
        batch_size=128,
        log_every=100,
        eval_every=10_000,
        sample_every=10_000,
        checkpoint_every=10_000,
        data=dict(
            name="cifar10",
            data_dir=None,
            in_memory=True,
            transforms=("tokens",),
            threads=8,
        ),
        model=dict(name="vqvae", K=512, latent=64, likelihood="categorical"),
        net=dict(name="conv", widths=(256, 256), blocks=2, vectors=10),
        optimizer=dict(name="adam", learning_rate=2e-4),
        ema=dict(),
        devices=dict(name="mesh", per_dispatch=10),
    )
