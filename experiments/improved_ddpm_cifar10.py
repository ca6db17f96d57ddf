"""Improved DDPM on CIFAR-10 at the published scale: learned variances, cosine betas.

    diffjax train experiments/improved_ddpm_cifar10.py --workdir runs/improved_ddpm_cifar10

500000 steps of 128 images, 52.5 million parameters. The set is that of TFDS, prepared
beforehand.
Published: 3.17 bits/dim and FID 3.19 (Nichol & Dhariwal 2021, arXiv:2102.09672, table
2, L_hybrid with 4000 cosine steps). Not reproduced here.
"""


def get_config():
    return dict(
        seed=0,
        steps=500_000,
        batch_size=128,
        log_every=100,
        eval_every=10_000,
        sample_every=100_000,
        checkpoint_every=10_000,
        data=dict(
            name="cifar10",
            data_dir=None,
            in_memory=True,
            transforms=("symmetric",),
            threads=8,
        ),
        model=dict(
            name="ddpm",
            schedule=dict(name="cosine", T=4000),
            guide="clipped",
            variance="learned_range",
        ),
        net=dict(
            name="unet",
            widths=(128, 256, 256, 256),
            attention=(False, True, True, False),
            layers=3,
            heads=4,
            condition="film",
            time_features="cos_sin",
            freq_shift=0.0,
            time_scale=0.25,  # 1000 / T
            eps=1e-5,
            down_padding=(1, 1),
            dropout=0.3,
        ),
        optimizer=dict(name="adam", learning_rate=1e-4),
        ema=dict(decay=0.9999, warm_up=False),
        devices=dict(name="mesh", per_dispatch=10),
    )
