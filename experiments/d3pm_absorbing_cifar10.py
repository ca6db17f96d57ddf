"""D3PM with an absorbing grey on CIFAR-10 at the published scale.

    diffjax train experiments/d3pm_absorbing_cifar10.py --workdir runs/d3pm_absorbing_cifar10

1500000 steps of 128 images, 36.6 million parameters. The set is that of TFDS,
prepared beforehand.
Published: 4.40 bits/dim and FID 30.97 (Austin et al. 2021, arXiv:2107.03006, table 3,
lambda = 0.001), with 1e-6 added to every probability, which makes its own bound worse.
Not reproduced here.
"""


def get_config():
    return dict(
        seed=0,
        steps=1_500_000,
        batch_size=128,
        log_every=100,
        eval_every=10_000,
        sample_every=100_000,
        checkpoint_every=10_000,
        data=dict(
            name="cifar10",
            data_dir=None,
            in_memory=True,
            augment=("flip",),
            transforms=("tokens",),
            threads=8,
        ),
        model=dict(
            name="d3pm",
            schedule=dict(name="inverse", T=1000),
            transitions=dict(name="absorbing_level", level=128),
            loss=dict(name="hybrid", lam=1.0),  # 0.001 T
        ),
        net=dict(
            name="unet",
            widths=(128, 256, 256, 256),
            attention=(False, True, False, False),
            dropout=0.1,
        ),
        # The paper's 1.0 is of a loss in bits/dim without its factor T: our gradients
        # are 1000 * 3072 * log 2 times as large.
        optimizer=dict(name="adam", learning_rate=2e-4, clip=2.13e6),
        ema=dict(decay=0.9999, warm_up=False),
        devices=dict(name="mesh", per_dispatch=10),
    )
