"""DDPM of the latents of a VAE on scikit-learn's digits.

    diffjax train experiments/vae_digits.py --workdir runs/vae_digits
    diffjax train experiments/latent_ddpm_digits.py --workdir runs/latent_ddpm_digits

The first run may be another: --config.model.first=DIR. 2000 steps, a minute on two CPU
cores. Expected: 2.011 bits/dim on the 297 test digits, the mean of seeds 0, 1, 2 of both
stages (2.011 / 2.012 / 2.011), each with a standard error of 0.022 over digits. Of
these nats the latents cost 12.6 instead of the 14.2 of the standard Gaussian, with
which it is 2.049.
"""


def get_config():
    return dict(
        seed=0,
        steps=2000,
        batch_size=128,
        log_every=100,
        eval_every=500,
        sample_every=1000,
        checkpoint_every=1000,
        data=dict(name="first"),  # those of the first run
        model=dict(
            name="latent_ddpm",
            first="runs/vae_digits",
            schedule=dict(name="linear", T=100, beta_min=0.01, beta_max=0.12),
            parameterization="v",
            variance="large",
            step="ancestral",
            steps=None,
        ),
        net=dict(name="mlp", width=128, depth=2),
        optimizer=dict(name="adam", learning_rate=1e-3, clip=1.0, warmup=100),
        ema=dict(decay=0.999),
        devices=dict(name="mesh"),
    )
