"""VQ-VAE on scikit-learn's digits: four codes of 32, the codebook by averages.

diffjax train experiments/vqvae_digits.py --workdir runs/vqvae_digits
"""


def get_config():
    return dict(
        seed=0,
        steps=2000,
        batch_size=128,
        log_every=100,
        eval_every=500,
        sample_every=500,
        checkpoint_every=1000,
        data=dict(name="digits", data_dir=None, transforms=("binarize", "flatten")),
        model=dict(name="vqvae", K=32, latent=8, likelihood="bernoulli"),
        net=dict(name="mlp", widths=(256,), positions=4),
        optimizer=dict(name="adam", learning_rate=1e-3),
        ema=dict(),
        devices=dict(name="mesh"),
    )
