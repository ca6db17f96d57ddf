"""Masked diffusion in continuous time on text8 (MD4) at the published scale.

    diffjax train experiments/masked_text8.py --workdir runs/masked_text8 \\
        --config.data.path=text8

1000000 steps of 512 pieces of 256 characters, 92.4 million parameters. text8 is the
unpacked file of 100 million characters. The bound that is reported has 1000 steps, a
little worse than that of infinitely many.
Published: 1.37 bits per character (Shi et al. 2024, MD4, arXiv:2406.04329).
Not reproduced here.
"""


def get_config():
    return dict(
        seed=0,
        steps=1_000_000,
        batch_size=512,
        log_every=100,
        eval_every=10_000,
        sample_every=100_000,
        checkpoint_every=10_000,
        data=dict(name="text8", path="text8", length=256, transforms=("tokens",)),
        model=dict(name="masked", alpha="linear", T=1000),
        net=dict(name="transformer", width=768, depth=12, heads=12, time_scale=1000.0),
        optimizer=dict(
            name="adamw",
            learning_rate=5e-4,
            weight_decay=0.03,
            warmup=2000,
            decay="cosine",
        ),
        ema=dict(decay=0.9999, warm_up=False),
        devices=dict(name="mesh", per_dispatch=10),
    )
