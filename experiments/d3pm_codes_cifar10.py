"""A D3PM prior over the codes of a VQ-VAE of CIFAR-10, as VQ-Diffusion has one.

    diffjax train experiments/vqvae_cifar10.py --workdir runs/vqvae_cifar10
    diffjax train experiments/d3pm_codes_cifar10.py --workdir runs/d3pm_codes_cifar10

500000 steps of 128 images, 93.2 million parameters in the prior. The first run may be
another: --config.model.first=DIR.
Published: 4.67 bits/dim of the VQ-VAE under a uniform prior, a bar for its bits with a
learned one (van den Oord et al. 2017, arXiv:1711.00937, section 4.1). VQ-Diffusion (Gu
et al. 2022, arXiv:2111.14822) has its prior in 100 steps too, and reports no bits. Not
reproduced here.
"""


def get_config():
    return dict(
        seed=0,
        steps=500_000,
        batch_size=128,
        log_every=100,
        eval_every=10_000,
        sample_every=50_000,
        checkpoint_every=10_000,
        data=dict(name="first"),  # those of the first run
        model=dict(
            name="d3pm_codes",
            first="runs/vqvae_cifar10",
            schedule=dict(name="inverse", T=100),
            transitions="absorbing",
            loss="absorbing",
        ),
        net=dict(name="transformer", width=768, depth=12, heads=12),
        optimizer=dict(
            name="adamw", learning_rate=3e-4, clip=100.0, warmup=5000, decay="cosine"
        ),
        ema=dict(decay=0.9999, warm_up=False),
        devices=dict(name="mesh", per_dispatch=10),
    )
