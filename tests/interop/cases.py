"""Tiny checkpoints whose every number comes from a formula, so none need be stored."""

import json
import zlib

import numpy as np

TINY = {"norm_num_groups": 4, "layers_per_block": 1, "attention_head_dim": None}
"""Of all cases; what a case does not say is diffusers' default."""
PLAIN = {"down": ["DownBlock2D"] * 2, "up": ["UpBlock2D"] * 2}
ATTENDING = {
    "down": ["DownBlock2D", "AttnDownBlock2D"],
    "up": ["AttnUpBlock2D", "UpBlock2D"],
}


def case(blocks, size=(8, 8), widths=(8, 16), **options):
    return {
        "_class_name": "UNet2DModel",
        "sample_size": list(size),
        "block_out_channels": list(widths),
        "down_block_types": blocks["down"],
        "up_block_types": blocks["up"],
        **TINY,
        **options,
    }


CIFAR = {
    "down": ["DownBlock2D", "AttnDownBlock2D", "DownBlock2D", "DownBlock2D"],
    "up": ["UpBlock2D", "UpBlock2D", "AttnUpBlock2D", "UpBlock2D"],
}
DDPM = {"downsample_padding": 0, "flip_sin_to_cos": False, "freq_shift": 1}
CASES = {
    "cifar10": case(CIFAR, widths=(4, 8, 8, 8), norm_eps=1e-6, **DDPM),
    "gray_wide": case(PLAIN, size=(8, 12), in_channels=1, out_channels=1),
    "scale_shift": case(ATTENDING, resnet_time_scale_shift="scale_shift"),
    "classes": case(PLAIN, num_class_embeds=5, add_attention=False, **DDPM),
    "heads": case(ATTENDING, attention_head_dim=4, out_channels=6),
    "one_way": case(
        {"down": ["AttnDownBlock2D", "DownBlock2D"], "up": PLAIN["up"]},
        attn_norm_num_groups=2,
        time_embedding_dim=20,
    ),
}
"""Structure of google/ddpm-cifar10-32, then what else the family can do."""
SCHEDULER = {
    "_class_name": "DDPMScheduler",
    "num_train_timesteps": 1000,
    "beta_schedule": "linear",
    "variance_type": "fixed_large",
    "clip_sample": True,
}


def wave(name, shape):
    """Values like noise of variance 1, a function of name and shape alone."""
    places = np.arange(np.prod(shape, dtype=int)) + zlib.crc32(name.encode()) % 9973
    drawn = np.modf(np.abs(np.sin(places * 12.9898)) * 43758.5453)[0]
    return (np.sqrt(12) * (drawn - 0.5)).reshape(shape).astype(np.float32)


def weight(key, shape):
    """Far from any initialisation: norms not 1, biases and last layers not 0."""
    noise = wave(key, shape)
    if len(shape) > 1:
        return noise / np.float32(np.sqrt(np.prod(shape[1:])))
    return np.float32("norm" in key and key.endswith("weight")) + noise / 5


def inputs(config):
    """x [2, H, W, C], t [2] (0-based), label [2] or None."""
    channels, classes = config.get("in_channels", 3), config.get("num_class_embeds")
    x = wave("x", (2, *config["sample_size"], channels))
    return x, np.array([7, 801]), np.array([1, 4]) if classes else None


def write(directory, config, shapes, save_file):
    """A checkpoint as diffusers leaves it on disk."""
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "config.json").write_text(json.dumps(config))
    tensors = {key: weight(key, tuple(shape)) for key, shape in shapes.items()}
    save_file(tensors, directory / "diffusion_pytorch_model.safetensors")
    return tensors
