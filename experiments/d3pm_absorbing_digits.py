"""D3PM with a mask on the 17 levels of scikit-learn's digits.

    diffjax train experiments/d3pm_absorbing_digits.py --workdir runs/d3pm_absorbing_digits

1000 steps, 15 s of one CPU core with the compilation. Expected: 2.090 bits/dim on the
297 test digits, the mean of seeds 0, 1, 2 (2.093 / 2.078 / 2.097), each with a standard
error of 0.014 over digits.
"""  # noqa: E501


def get_config():
    return dict(
        seed=0,
        steps=1000,
        batch_size=64,
        log_every=100,
        eval_every=500,
        sample_every=1000,
        checkpoint_every=500,
        data=dict(name="digits", data_dir=None, in_memory=True, transforms=("tokens",)),
        model=dict(
            name="d3pm",
            schedule=dict(name="inverse", T=64),
            transitions="absorbing",
            loss=dict(name="absorbing", times="stratified"),
        ),
        net=dict(name="mlp", width=128, depth=2),
        optimizer=dict(
            name="adamw", learning_rate=2e-3, clip=1.0, warmup=100, decay="cosine"
        ),
        ema=dict(decay=0.999),
        devices=dict(name="mesh"),
    )
