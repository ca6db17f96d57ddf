"""A latent DDPM of faces, 256 x 256, at the published scale of its second stage.

    diffjax train experiments/vae_celebahq256.py --workdir runs/vae_celebahq256
    diffjax train experiments/latent_ddpm_celebahq256.py --workdir runs/latent_ddpm_celebahq256

410000 steps of 48 images, 274 million parameters in the prior. The first run may be
another: --config.model.first=DIR.
Published: FID 5.11 (Rombach et al. 2022, arXiv:2112.10752, table 1), whose first stage
has perceptual and adversarial losses, which are not in this library. Not reproduced
here.
"""


def get_config():
    return dict(
        seed=0,
        steps=410_000,
        batch_size=48,
        log_every=100,
        eval_every=10_000,
        sample_every=50_000,
        checkpoint_every=10_000,
        data=dict(name="first"),  # those of the first run
        model=dict(
            name="latent_ddpm",
            first="runs/vae_celebahq256",
            schedule=dict(name="linear", T=1000),
            parameterization="eps",
        ),
        net=dict(
            name="unet",
            widths=(224, 448, 672, 896),
            attention=(False, True, True, True),
            head_dim=32,
        ),
        optimizer=dict(name="adam", learning_rate=9.6e-5),
        ema=dict(decay=0.9999, warm_up=False),
        devices=dict(name="mesh", per_dispatch=10),
    )
