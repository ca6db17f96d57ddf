"""VDVAE on CIFAR-10 at the published scale: 43 layers of latents.

    diffjax train experiments/hvae_cifar10.py --workdir runs/hvae_cifar10

1000000 steps of 32 images, 39.0 million parameters. The set is that of TFDS, prepared
beforehand.
Published: 2.87 bits/dim (Child 2021, arXiv:2011.10650, table 3). Not reproduced here.
"""


def get_config():
    return dict(
        seed=0,
        steps=1_000_000,
        batch_size=32,
        log_every=100,
        eval_every=10_000,
        sample_every=100_000,
        checkpoint_every=10_000,
        data=dict(
            name="cifar10",
            data_dir=None,
            in_memory=True,
            transforms=("tokens",),
            threads=8,
        ),
        model=dict(name="hvae", likelihood="logistic_mixture", mixtures=10),
        net=dict(
            name="ladder",
            depths=((12, 22, 2), (7, 11, 2), (7, 6, 2), (4, 3, 4), (3, 1, 1)),
            width=384,
            latent=16,
            bottleneck=0.25,
        ),
        # The published 200 and 400 are of a loss for each of 3072 dimensions.
        optimizer=dict(
            name="adamw",
            learning_rate=2e-4,
            b2=0.9,
            weight_decay=0.01,
            warmup=100,
            clip=6.1e5,
            skip=1.2e6,
        ),
        ema=dict(decay=0.9999, warm_up=False),
        devices=dict(name="mesh", per_dispatch=10),
    )
