"""VAE of faces, 256 x 256, to latents of 64 x 64 x 3: below `latent_ddpm_celebahq256`.

    diffjax train experiments/vae_celebahq256.py --workdir runs/vae_celebahq256

250000 steps of 16 images, 6.3 million parameters. The set is celeb_a_hq/256 of TFDS,
prepared beforehand; its last 1000 images are for the test.
Published: FID 5.11 of both stages (Rombach et al. 2022, arXiv:2112.10752, table 1),
whose first has perceptual and adversarial losses, which are no likelihood and not in
this library: a bar for samples, out of reach of a plain VAE. Not reproduced here.
"""


def get_config():
    return dict(
        seed=0,
        steps=250_000,
        batch_size=16,
        log_every=100,
        eval_every=10_000,
        sample_every=10_000,
        checkpoint_every=10_000,
        data=dict(
            name="tfds:celeb_a_hq/256",
            data_dir=None,
            train="train[:29000]",
            test="train[29000:]",
            augment=("flip",),
            transforms=("tokens",),
            threads=16,
        ),
        model=dict(name="vae", latent=3, likelihood="discretized_logistic"),
        net=dict(name="conv", widths=(128, 256), blocks=4),
        optimizer=dict(name="adam", learning_rate=1e-4, warmup=1000),
        ema=dict(),
        devices=dict(name="mesh", per_dispatch=10),
    )
