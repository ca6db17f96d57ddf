"""Denoising autoencoder of the digits: noise of 0.3 is to be undone.

    diffjax train experiments/dae_digits.py --workdir runs/dae_digits

1500 steps, 16 s of one CPU core with the compilation. Expected: a squared error of 0.71
for a clean test digit, the mean of seeds 0, 1, 2 (0.71 / 0.72 / 0.70), each with a
standard error of 0.020 over digits. The noise to undo has 5.8.
"""


def get_config():
    return dict(
        seed=0,
        steps=1500,
        batch_size=128,
        log_every=100,
        eval_every=500,
        sample_every=0,
        checkpoint_every=1000,
        data=dict(
            name="digits", data_dir=None, in_memory=True, transforms=("unit", "flatten")
        ),
        model=dict(
            name="ae",
            latent=32,
            loss=dict(name="denoising", corruption=dict(name="gaussian", sigma=0.3)),
        ),
        net=dict(name="mlp", widths=(256,)),
        optimizer=dict(name="adam", learning_rate=1e-3),
        ema=dict(),
        devices=dict(name="mesh"),
    )
