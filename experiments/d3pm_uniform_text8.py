"""D3PM with uniform transitions on text8 at the published scale.

    diffjax train experiments/d3pm_uniform_text8.py --workdir runs/d3pm_uniform_text8 \\
        --config.data.path=text8

1000000 steps of 512 pieces of 256 characters, 92.4 million parameters. text8 is the
unpacked file of 100 million characters.
Published: 1.61 bits per character (Austin et al. 2021, arXiv:2107.03006, table 1, T =
1000). Not reproduced here.
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
        model=dict(
            name="d3pm",
            schedule=dict(name="cosine_d3pm", T=1000),
            transitions="uniform",
            loss="vb",
        ),
        net=dict(name="transformer", width=768, depth=12, heads=12),
        # The published clip of 0.25 is of a loss without its factor T.
        optimizer=dict(
            name="adam", learning_rate=5e-4, clip=250.0, warmup=10_000, decay="rsqrt"
        ),
        ema=dict(decay=0.9999, warm_up=False),
        devices=dict(name="mesh", per_dispatch=10),
    )
