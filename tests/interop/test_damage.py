"""Folders that are damaged, foreign or dangerous: an error that names the culprit."""

import json
import pickle
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from diffjax.interop import diffusers, files
from diffjax.nets import embeddings, unet
from diffjax.nets.unet import UNet
from interop import cases

safetensors = pytest.importorskip("safetensors.numpy")
CONFIG = cases.case(
    {"down": ["DownBlock2D"], "up": ["UpBlock2D"]}, widths=(4,), add_attention=False
)
NET = diffusers.configs.unet_from_config(CONFIG)
PARAMS = jax.tree.map(
    lambda leaf: jnp.asarray(cases.wave("p", leaf.shape)), diffusers.keys.blank(NET, 3)
)
FILE = f"{diffusers.WEIGHTS}.safetensors"


@pytest.fixture
def folder(tmp_path):
    diffusers.save_unet(tmp_path, NET, PARAMS)
    return tmp_path


def refuses(folder, match, error=ValueError):
    with pytest.raises(error, match=match):
        diffusers.load_unet(folder)


def rewrite(folder, change):
    tensors = safetensors.load_file(folder / FILE)
    change(tensors)
    safetensors.save_file(tensors, folder / FILE)


def test_missing_unknown_and_misshapen_tensors_are_named(folder):
    def lose(tensors):
        del tensors["mid_block.resnets.0.conv1.weight"]
        tensors["ema.decay"] = np.zeros(1, np.float32)

    rewrite(folder, lose)
    refuses(folder, r"1 missing \(mid_block\.resnets\.0\.conv1\.weight\).*ema\.decay")


@pytest.mark.parametrize(
    ("wrong", "match"),
    [
        (
            np.zeros((4, 3, 3, 5), np.float32),
            r"conv_in\.weight of shape \(4, 3, 3, 3\)",
        ),
        (np.zeros((4, 3, 3, 3), np.int8), "real numbers in conv_in.weight, got int8"),
    ],
)
def test_misshapen_tensors_are_named(folder, wrong, match):
    rewrite(folder, lambda tensors: tensors.update({"conv_in.weight": wrong}))
    refuses(folder, match)


def test_truncated_files(folder):
    whole = (folder / FILE).read_bytes()
    for size in (0, 7, 100, len(whole) - 1):
        (folder / FILE).write_bytes(whole[:size])
        refuses(folder, "expected a whole safetensors file, got .*copy the file anew")
    (folder / "config.json").write_text('{"in_channels": 3,')
    refuses(folder, r"expected JSON in .*config\.json")
    (folder / "config.json").write_text("[]")
    refuses(folder, r"expected an object \{\.\.\.\} in .* got a list")


def test_absent_files(folder):
    (folder / FILE).rename(folder / "model.safetensors")
    refuses(folder, r"got config\.json, model\.safetensors", FileNotFoundError)
    refuses(folder / "nowhere", "got no such directory", FileNotFoundError)


@pytest.mark.parametrize(
    ("key", "value", "match"),
    [
        (
            "down_block_types",
            ["CrossAttnDownBlock2D"],
            "'DownBlock2D' or 'AttnDownBlock",
        ),
        ("up_block_types", ["SkipUpBlock2D"], "up_block_types .*got 'SkipUpBlock2D'"),
        ("up_block_types", ["UpBlock2D"] * 2, "expected 1 up_block_types"),
        ("time_embedding_type", "fourier", "time_embedding_type 'positional'"),
        ("center_input_sample", True, "expected center_input_sample False, got True"),
        ("mid_block_scale_factor", 1.4, "expected mid_block_scale_factor 1, got 1.4"),
        ("downsample_type", "resnet", "expected downsample_type 'conv'"),
        ("act_fn", "gelu", "expected act_fn 'silu' or 'swish', got 'gelu'"),
        ("resnet_time_scale_shift", "spatial", "'default' or 'scale_shift'"),
        ("class_embed_type", "timestep", "expected class_embed_type None"),
        ("downsample_padding", 2, "expected downsample_padding 0 or 1, got 2"),
        ("cross_attention_dim", 768, "understood, got cross_attention_dim; supported"),
        ("_class_name", "UNet2DConditionModel", "got 'UNet2DConditionModel'"),
    ],
)
def test_what_is_not_understood_is_refused(folder, key, value, match):
    (folder / "config.json").write_text(json.dumps({**CONFIG, key: value}))
    refuses(folder, match)


def test_heads_that_do_not_fit_are_refused(folder):
    attends = {"down_block_types": ["AttnDownBlock2D"], "attention_head_dim": 3}
    (folder / "config.json").write_text(json.dumps({**CONFIG, **attends}))
    refuses(folder, r"attention_head_dim to divide .* \[4\], got 3")


class Evil:
    def __reduce__(self):
        return print, ("this code must never run",)


def test_pickles_are_never_run(folder, capsys):
    torch = pytest.importorskip("torch")
    (folder / FILE).unlink()
    path = folder / f"{diffusers.WEIGHTS}.bin"
    for save in (
        lambda value: path.write_bytes(pickle.dumps(value, protocol=2)),
        lambda value: torch.save(value, path),
        lambda value: path.write_bytes(b"PK truncated"),
    ):
        save({"conv_in.weight": Evil()})
        refuses(folder, "nothing but tensors in .*convert it to safetensors")
    torch.save({"step": 3}, path)
    refuses(folder, "nothing but tensors in .* got 'step'")
    torch.save([torch.zeros(1)], path)
    refuses(folder, "expected a state dict in .* got a list")
    assert capsys.readouterr().out == ""


def test_a_bin_without_torch_says_what_to_install(folder, monkeypatch):
    (folder / FILE).rename(folder / f"{diffusers.WEIGHTS}.bin")
    monkeypatch.setitem(__import__("sys").modules, "torch", None)
    refuses(folder, "expected torch .*pip install", ImportError)


def test_safetensors_is_optional(folder, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "safetensors.numpy", None)
    monkeypatch.setitem(__import__("sys").modules, "safetensors", None)
    refuses(folder, re.escape('pip install "diffjax[interop]"'), ImportError)
    with pytest.raises(ImportError, match="safetensors"):
        diffusers.save_unet(folder, NET, PARAMS)


def test_a_failed_save_leaves_what_was_there(folder, monkeypatch):
    before = {path.name: path.read_bytes() for path in folder.iterdir()}

    def full_disk(config, path):
        path.write_text("{")
        raise OSError("no space left on device")

    monkeypatch.setattr(files, "write_config", full_disk)
    with pytest.raises(OSError, match="no space"):
        diffusers.save_unet(folder, NET, jax.tree.map(jnp.zeros_like, PARAMS))
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_a_mismatch_is_not_saved(tmp_path):
    params = {"params": {**PARAMS["params"]}}
    del params["params"]["conv_in"]
    with pytest.raises(ValueError, match=r"2 missing \(conv_in.bias, conv_in.weight\)"):
        diffusers.save_unet(tmp_path / "out", NET, params)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"time_features": embeddings.fourier}, "time_features to be one of"),
        ({"time_scale": 0.25}, "time_scale to be one of"),
        ({"down_padding": (1, 0)}, "down_padding to be one of"),
        ({"mid_groups": 0, "mid_attention": True}, "mid_groups > 0"),
    ],
)
def test_what_a_config_cannot_say_is_not_saved(change, match):
    with pytest.raises(ValueError, match=match):
        diffusers.configs.config_from_unet(NET.clone(**change), 3)


def test_heads_are_saved_by_their_dimension():
    both = UNet(3, (8, 16), (True, True), heads=2, groups=4)
    with pytest.raises(ValueError, match=r"heads of one dimension.*\[8, 16\]"):
        diffusers.configs.config_from_unet(both, 3)
    one = both.clone(attention=(False, True), condition=unet.film)
    config = diffusers.configs.config_from_unet(one, 3)
    assert config["attention_head_dim"] == 8
    assert config["attn_norm_num_groups"] == 4
