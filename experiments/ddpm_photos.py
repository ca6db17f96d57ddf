"""DDPM on 32 x 32 crops of scikit-learn's two photographs.

    diffjax train experiments/ddpm_photos.py --workdir runs/ddpm_photos

20000 steps, made for a GPU. Expected: a loss that starts at 1.0, the variance of the
noise; it was not yet run to the end.
"""


def get_config():
    return dict(
        seed=0,
        steps=20000,
        batch_size=64,
        log_every=100,
        eval_every=2000,
        sample_every=5000,
        checkpoint_every=1000,
        data=dict(
            name="photos",
            size=32,
            stride=4,
            augment=("flip",),
            transforms=("symmetric",),
        ),
        model=dict(
            name="ddpm",
            schedule=dict(name="cosine", T=1000),
            parameterization="eps",
            guide="clipped",
        ),
        net=dict(
            name="unet",
            widths=(64, 128, 128),
            attention=(False, False, True),
            condition="film",
        ),
        optimizer=dict(name="adam", learning_rate=2e-4, clip=1.0, warmup=1000),
        ema=dict(decay=0.9999),
        devices=dict(name="mesh"),
    )
