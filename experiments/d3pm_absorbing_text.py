"""D3PM with a mask on the letters of Python's own reference.

    diffjax train experiments/d3pm_absorbing_text.py --workdir runs/d3pm_absorbing_text

1000 steps, 38 s of one CPU core with the compilation. Expected: 3.255 bits/char on the
last tenth of the reference of Python 3.11, the mean of seeds 0, 1, 2 (3.243 / 3.259 /
3.263), each with a standard error of 0.011 over pieces of text. The letters alone have
an entropy of 4.08; uniform transitions reach 3.448 and a transformer from left to right
2.108 (d3pm_uniform_text.py, ar_text.py, as large and as long). Trained on the
cross-entropy, whose optimum is the bound's for a mask, with less noise: on the bound
itself (loss "absorbing") it is 3.447; the uniform one then is 6.1, its optimum another.

    diffjax sample runs/d3pm_absorbing_text --infill "the ____ of a ________"
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
        model=dict(
            name="d3pm",
            schedule=dict(name="inverse", T=32),
            transitions="absorbing",
            loss=dict(name="cross_entropy", times="stratified"),
        ),
        net=dict(name="transformer", width=64, depth=2, heads=8, told=64),
        optimizer=dict(
            name="adamw", learning_rate=1e-3, clip=1.0, warmup=100, decay="cosine"
        ),
        ema=dict(decay=0.999),
        devices=dict(name="mesh"),
    )
