"""Variational diffusion (VDM) on CIFAR-10 at the published scale.

    diffjax train experiments/vdm_cifar10.py --workdir runs/vdm_cifar10

10000000 steps of 128 images, 30.6 million parameters and the two ends of the schedule,
which are learned. The set is that of TFDS, prepared beforehand, without augmentation.
Published: 2.65 bits/dim (Kingma et al. 2021, arXiv:2107.00630, table 1); 2.637 in the
notes on its published code. Not reproduced here.
"""


def get_config():
    return dict(
        seed=0,
        steps=10_000_000,
        batch_size=128,
        log_every=100,
        eval_every=10_000,
        sample_every=100_000,
        checkpoint_every=10_000,
        data=dict(
            name="cifar10",
            data_dir=None,
            in_memory=True,
            transforms=("centred",),
            threads=8,
        ),
        model=dict(
            name="vdm",
            gamma=dict(name="learned_ends", gamma_min=-13.3, gamma_max=5.0),
            steps=1000,
        ),
        net=dict(name="flat_unet", depth=32, width=128, dropout=0.1),
        optimizer=dict(name="adamw", learning_rate=2e-4, b2=0.99, weight_decay=0.01),
        ema=dict(decay=0.9999, warm_up=False),
        devices=dict(name="mesh", per_dispatch=10),
    )
