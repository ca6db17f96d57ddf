"""VQ-VAE of scikit-learn's digits, all 17 levels: four codes of 32, by averages.

    diffjax train experiments/vqvae_digits.py --workdir runs/vqvae_digits

1000 steps, 13 s of one CPU core with the compilation. Expected: 2.218 bits/dim on the
297 test digits, the mean of seeds 0, 1, 2 (2.200 / 2.221 / 2.232), each with a standard
error of 0.020 over digits. That is under the uniform prior, whose rate is 4 log 32 =
13.9 nats. More codes, or more steps, fit the training digits alone.
"""


def get_config():
    return dict(
        seed=0,
        steps=1000,
        batch_size=128,
        log_every=100,
        eval_every=500,
        sample_every=1000,
        checkpoint_every=500,
        data=dict(
            name="digits",
            data_dir=None,
            in_memory=True,
            transforms=("tokens", "flatten"),
        ),
        model=dict(name="vqvae", K=32, latent=4, likelihood="discretized_logistic"),
        net=dict(name="mlp", widths=(128,), positions=4),
        optimizer=dict(
            name="adamw",
            learning_rate=1e-3,
            weight_decay=0.1,
            warmup=50,
            decay="cosine",
        ),
        ema=dict(),
        devices=dict(name="mesh"),
    )
