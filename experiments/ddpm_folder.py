"""DDPM on a folder of images of your own, PNG or JPEG, made square and 32 x 32.

    diffjax train experiments/ddpm_folder.py --workdir runs/ddpm_folder \\
        --config.data.path=PNGS

2000 steps, a size for CPUs. A grid of 64 samples appears in runs/ddpm_folder/samples
every 500 steps and at the end, however few they are; --config.steps=20 shows whether
all is in place. Expected: a loss that starts at 1.0, the variance of the noise; on 50
crops of two photographs it was 0.06 after 200 steps, where the grid is patches of
colour under noise. Not run to the end here. Of more images than
memory holds: --config.data.in_memory=False. On a GPU: --config.steps=50000 --config.batch_size=128
--config.net.widths="(128, 256, 256)" --config.net.layers=2
"""


def get_config():
    return dict(
        seed=0,
        steps=2000,
        batch_size=16,
        log_every=20,
        eval_every=500,
        sample_every=500,
        checkpoint_every=500,
        data=dict(
            name="folder",
            path="PNGS",
            size=32,
            augment=("flip",),
            transforms=("symmetric",),
            in_memory=True,  # each file is decoded once; 3 kB of memory for an image
        ),
        model=dict(
            name="ddpm",
            schedule=dict(name="cosine", T=1000),
            parameterization="eps",
            guide="clipped",
            step="ddim",
            steps=50,  # of samples; the loss and the bound know all 1000
            classes=False,  # True: each folder is one, for `diffjax sample --label 3`
        ),
        net=dict(
            name="unet",
            widths=(32, 64, 64),
            attention=(False, False, True),
            layers=1,
            condition="film",
        ),
        optimizer=dict(name="adam", learning_rate=5e-4, clip=1.0, warmup=0),
        ema=dict(decay=0.999),
        devices=dict(name="mesh"),
    )
