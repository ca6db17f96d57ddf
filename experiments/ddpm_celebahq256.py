"""DDPM on the faces of CelebA-HQ, 256 x 256, at the published scale.

    diffjax train experiments/ddpm_celebahq256.py --workdir runs/ddpm_celebahq256

500000 steps of 64 images at 2.2 steps a second on a TPU v3-8, 114 million parameters
(Ho et al. 2020, appendix B). The set is celeb_a_hq/256 of TFDS, prepared beforehand. It
has no test split: the last 1000 images are kept for the bound, where the paper trains
on all 30000.
Published: samples, and no number (Ho et al. 2020, arXiv:2006.11239, figure 1). Not
reproduced here; the published weights are `google/ddpm-celebahq-256`.
"""


def get_config():
    return dict(
        seed=0,
        steps=500_000,
        batch_size=64,
        log_every=100,
        eval_every=10_000,
        sample_every=100_000,
        checkpoint_every=10_000,
        data=dict(
            name="tfds:celeb_a_hq/256",
            data_dir=None,
            train="train[:29000]",
            test="train[29000:]",
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
