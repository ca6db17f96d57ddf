"""D3PM with a mask on LM1B at the published scale.

    diffjax train experiments/d3pm_absorbing_lm1b.py --workdir runs/d3pm_absorbing_lm1b \\
        --config.data.vocabulary=lm1b.model

1000000 steps of 512 pieces of 128 tokens, 105 million parameters. The set is lm1b of
TFDS, prepared beforehand, and the vocabulary made once by
`diffjax.data.subwords.train_vocabulary("lm1b.model")`: 8192 pieces. The first run packs
the sentences, 2 GB beside TFDS's files.
Published: a perplexity of 76.9 for each word, the end of a sentence counted as one
(Austin et al. 2021, arXiv:2107.03006, table 2, T = 1000). It is 2 to the power of
bits/dim times `subwords.tokens_per_word`. Not reproduced here.
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
        data=dict(
            name="lm1b",
            vocabulary="lm1b.model",
            data_dir=None,
            length=128,
            transforms=("tokens",),
        ),
        model=dict(
            name="d3pm",
            schedule=dict(name="inverse", T=1000),
            transitions="absorbing",
            loss=dict(name="hybrid", lam=10.0),  # 0.01 T
        ),
        net=dict(name="transformer", width=768, depth=12, heads=12),
        # The published clip of 0.25 is of a loss without its factor T.
        optimizer=dict(
            name="adam", learning_rate=5e-4, clip=250.0, warmup=10_000, decay="rsqrt"
        ),
        ema=dict(decay=0.9999, warm_up=False),
        devices=dict(name="mesh", per_dispatch=10),
    )
