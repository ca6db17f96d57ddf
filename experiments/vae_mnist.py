"""VAE on the static binarized MNIST: 50 latents, convolutions around dense layers.

    diffjax train experiments/vae_mnist.py --workdir runs/vae_mnist
    diffjax evaluate runs/vae_mnist --split test --importance-samples 500

36000 steps, 72 epochs: 35 minutes of one busy CPU core. Looked at while it trains is the
validation split. Expected, of one run: 84.99 nats for -log p(x) of the 10000 test images
by 500 draws each (standard error over images 0.22), -ELBO 89.37. Two dense hidden layers
of 200 reach 90.64 in 100 epochs, since they overfit. Others: pythae's README has 89.78
with one hidden layer of 400.
"""


def get_config():
    return dict(
        seed=0,
        steps=36_000,
        batch_size=100,
        log_every=500,
        eval_every=2500,
        sample_every=0,
        checkpoint_every=1000,
        data=dict(
            name="binarized_mnist",
            data_dir=None,
            test="validation",
            once=("binarize",),
            in_memory=True,
        ),
        model=dict(name="vae", latent=50, likelihood="bernoulli", loss="elbo"),
        net=dict(name="conv_vector", widths=(32, 32), blocks=1, features=32),
        optimizer=dict(name="adam", learning_rate=1e-3, decay="cosine"),
        ema=dict(decay=0.999),
        devices=dict(name="mesh"),
    )
