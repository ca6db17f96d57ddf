"""VAE of scikit-learn's digits in black and white: the parity anchor.

    diffjax train experiments/vae_binarized_digits.py --workdir runs/vae_binarized_digits

2000 steps, 20 s of one CPU core with the compilation. Expected: -ELBO 18.54 nats (0.42
bits/dim of bits, not of levels) on the 297 test digits, the mean of seeds 0, 1, 2
(18.67 / 18.50 / 18.44), each with a standard error of 0.326 over digits. Of these nats
6.8 are the rate. The NLL beside other libraries is in tests/vae/test_digits.py.
"""  # noqa: E501


def get_config():
    return dict(
        seed=0,
        steps=2000,
        batch_size=128,
        log_every=100,
        eval_every=500,
        sample_every=500,
        checkpoint_every=1000,
        data=dict(
            name="digits",
            data_dir=None,
            in_memory=True,
            transforms=("binarize", "flatten"),
        ),
        model=dict(name="vae", latent=8, likelihood="bernoulli"),
        net=dict(name="mlp", widths=(512,)),
        optimizer=dict(name="adam", learning_rate=1e-3),
        ema=dict(),
        devices=dict(name="mesh"),
    )
