"""VAE on the static binarized MNIST: one layer of 50 latents, one hidden layer of 400.

diffjax train experiments/vae_mnist.py --workdir runs/vae_mnist
"""


def get_config():
    return dict(
        seed=0,
        steps=40_000,
        batch_size=100,
        log_every=500,
        eval_every=2500,
        sample_every=0,
        checkpoint_every=1000,
        data=dict(
            name="binarized_mnist",
            data_dir=None,
            test="validation",
            once=("binarize", "flatten"),
            in_memory=True,
        ),
        model=dict(name="vae", latent=50, likelihood="bernoulli", loss="elbo"),
        net=dict(name="mlp", widths=(400,)),
        optimizer=dict(
            name="adamw", learning_rate=1e-3, weight_decay=0.03, decay="cosine"
        ),
        ema=dict(decay=0.999),
        devices=dict(name="mesh", per_dispatch=50),
    )
