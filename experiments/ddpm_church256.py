"""DDPM on LSUN's churches, 256 x 256, at the published scale.

    diffjax train experiments/ddpm_church256.py --workdir runs/ddpm_church256

1200000 steps of 64 images at 2.2 steps a second on a TPU v3-8, 114 million parameters
(Ho et al. 2020, appendix B). The set is lsun/church_outdoor of TFDS, prepared
beforehand; its few hundred validation images serve for the bound.
Published: FID 7.89; 6.36 for the bedrooms, 2400000 steps without flips of
--config.data.name=tfds:lsun/bedroom (Ho et al. 2020, arXiv:2006.11239, table 3). Not
reproduced here; the published weights are `google/ddpm-church-256`.
"""


def get_config():
    return dict(
        seed=0,
        steps=1_200_000,
        batch_size=64,
        log_every=100,
        eval_every=10_000,
        sample_every=100_000,
        checkpoint_every=10_000,
        data=dict(
            name="tfds:lsun/church_outdoor",
            data_dir=None,
            size=256,
            augment=("flip",),
            transforms=("symmetric",),
            threads=16,
        ),
        model=dict(
            name="ddpm",
            schedule=dict(name="linear", T=1000),
            parameterization="eps",
            guide="clipped",
            variance="small",
        ),
        net=dict(
            name="unet",
            widths=(128, 128, 256, 256, 512, 512),
            attention=(False, False, False, False, True, False),
        ),
        optimizer=dict(name="adam", learning_rate=2e-5, clip=1.0, warmup=5000),
        ema=dict(decay=0.9999, warm_up=False),
        devices=dict(name="mesh", per_dispatch=10),
    )
