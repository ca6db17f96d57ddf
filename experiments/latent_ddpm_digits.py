"""DDPM of the latents of a VAE on scikit-learn's digits.

    diffjax train experiments/vae_digits.py --workdir runs/vae_digits
    diffjax train experiments/latent_ddpm_digits.py --workdir runs/latent_ddpm_digits

The first run may be another: --config.model.first=DIR. 2000 steps, a minute on two CPU
cores. Expected: -ELBO 89.2 +- 1.0 nats on the test digits (2.01 bits/dim), of which
the latents cost 12.6 instead of 14.3 under the standard Gaussian (2.04).
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
