"""IWAE of 50 draws on the static binarized MNIST: the networks of vae_mnist.py.

    diffjax train experiments/iwae_mnist.py --workdir runs/iwae_mnist
    diffjax evaluate runs/iwae_mnist --split test --importance-samples 500

40000 steps on the ELBO, as in vae_mnist.py, then 10000 on the bound of 50 draws: about
13 minutes of one busy CPU core. Expected, of one run that was stopped after 45750
steps and 10 minutes: 89.83 nats for -log p(x) of the 10000 test images by 500 draws
each (standard error over images 0.24); the ELBO alone gives 90.64. Others: pythae's
README has 86.82 after 3280 epochs.
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
