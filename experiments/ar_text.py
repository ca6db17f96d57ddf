"""A transformer from left to right, what D3PM on the same text is measured against.

    diffjax train experiments/ar_text.py --workdir runs/ar_text

1000 steps, a minute on two CPU cores. Expected: 2.0 bits/char.
"""


def get_config():
    return dict(
        seed=0,
        steps=1000,
        batch_size=32,
        log_every=100,
        eval_every=500,
        sample_every=1000,
        checkpoint_every=1000,
        data=dict(name="text", length=32, transforms=("tokens",)),
        model=dict(name="ar"),
        net=dict(name="transformer", width=64, depth=2, heads=8, told=64),
        optimizer=dict(
            name="adamw", learning_rate=1e-3, clip=1.0, warmup=100, decay="cosine"
        ),
        ema=dict(decay=0.999),
        devices=dict(name="mesh"),
    )
