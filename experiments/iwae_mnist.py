"""IWAE of 50 draws on the static binarized MNIST: the networks of vae_mnist.py.

diffjax train experiments/iwae_mnist.py --workdir runs/iwae_mnist
"""


def get_config():
    return dict(
        seed=0,
        steps=50_000,
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
        model=dict(
            name="vae",
            latent=50,
            likelihood="bernoulli",
            loss=dict(name="resampled_iwae", num=50, kept=5),
            elbo_steps=40_000,
        ),
        net=dict(name="mlp", widths=(200, 200)),
        optimizer=dict(name="adam", learning_rate=1e-3, decay="cosine"),
        ema=dict(decay=0.999),
        devices=dict(name="mesh", per_dispatch=50),
    )
