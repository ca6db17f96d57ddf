"""VAE on the static binarized MNIST: one layer of 48 latents, 3 at each of 4 x 4 spots.

diffjax train experiments/vae_mnist.py --workdir runs/vae_mnist
"""


def get_config():
    return dict(
        seed=0,
        steps=10_000,
        batch_size=50,
        log_every=200,
        eval_every=1000,
        sample_every=0,
        checkpoint_every=500,
        data=dict(
            name="binarized_mnist",
            data_dir=None,
            test="validation",
            once=("binarize",),
            in_memory=True,
        ),
        model=dict(name="vae", latent=3, likelihood="bernoulli", loss="elbo"),
        net=dict(name="conv", widths=(16, 32, 64), blocks=1),
        optimizer=dict(name="adam", learning_rate=2e-3, decay="cosine", warmup=100),
        ema=dict(decay=0.999),
        devices=dict(name="mesh"),
    )
