"""Hierarchical VAE on scikit-learn's digits: five layers, top down.

diffjax train experiments/hvae_digits.py --workdir runs/hvae_digits
"""


def get_config():
    return dict(
        seed=0,
        steps=2000,
        batch_size=64,
        log_every=100,
        eval_every=500,
        sample_every=500,
        checkpoint_every=1000,
        data=dict(name="digits", data_dir=None, transforms=("binarize",)),
        model=dict(name="hvae", likelihood="bernoulli"),
        net=dict(
            name="ladder",
            depths=((2, 2, 2), (2, 2, 2), (1, 1, 1)),
            width=32,
            latent=4,
        ),
        optimizer=dict(name="adam", learning_rate=1e-3, clip=100.0, warmup=100),
        ema=dict(decay=0.999),
        devices=dict(name="mesh"),
    )
