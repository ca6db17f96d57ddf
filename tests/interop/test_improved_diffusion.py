"""OpenAI's layout against an independent network of that layout."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from diffjax.interop import improved_diffusion
from diffjax.nets import embeddings, published
from diffjax.nets.unet import UNet, film
from interop import cases, openai_keys
from interop.test_golden import assert_close, golden

NET = UNet(
    out_channels=6,
    widths=(4, 8),
    attention=(False, True),
    layers=1,
    time_features=embeddings.cos_sin,
    freq_shift=0.0,
    condition=film,
    heads=2,
    groups=4,
    eps=1e-5,
    down_padding=(1, 1),
)


def state():
    shapes = json.loads(str(golden("improved")["shapes"]))
    return {key: cases.weight(key, tuple(shape)) for key, shape in shapes.items()}


def test_the_network_computes_what_the_layout_says():
    params = improved_diffusion.from_state(state(), NET)
    x, t = cases.wave("x", (2, 8, 8, 3)), jnp.array([7, 801])
    given = jax.jit(NET.apply)(params, jnp.asarray(x), t)
    assert_close(np.asarray(given), golden("improved")["output"])


def test_the_state_dict_survives_the_round_trip():
    theirs = state()
    again = improved_diffusion.to_state(improved_diffusion.from_state(theirs, NET), NET)
    assert again.keys() == theirs.keys()
    for key, value in theirs.items():
        np.testing.assert_array_equal(again[key], value, strict=True)


def test_the_published_network_has_the_published_keys():
    """cifar10_uncond_50M_500K.pt: three blocks a level, attention at 16 and 8."""
    net = published.improved_ddpm_cifar10().clone(num_classes=10)
    widths, attention = (128, 256, 256, 256), (False, True, True, False)
    shapes = openai_keys.shapes(widths, attention, 3, (3, 6), classes=10)
    broadcast = {k: np.broadcast_to(np.float32(0), s) for k, s in shapes.items()}
    with pytest.raises(ValueError, match=r"1 unknown \(extra\)"):
        improved_diffusion.from_state({**broadcast, "extra": np.zeros(1)}, net)
    params = improved_diffusion.from_state(broadcast, net)
    assert sum(leaf.size for leaf in jax.tree.leaves(params)) == 52_546_438 + 5_120


def test_mistakes_are_named(tmp_path):
    theirs = state()
    lost = {key: value for key, value in theirs.items() if "label" not in key}
    del lost["middle_block.1.qkv.weight"]
    with pytest.raises(ValueError, match=r"1 missing \(middle_block\.1\.qkv\.weight\)"):
        improved_diffusion.from_state(lost, NET)
    wrong = {**theirs, "middle_block.1.qkv.bias": np.zeros(8, np.float32)}
    with pytest.raises(ValueError, match=r"qkv\.bias of shape \(24,\), got \(8,\)"):
        improved_diffusion.from_state(wrong, NET)
    wrong = {**theirs, "middle_block.1.proj_out.weight": np.zeros((8, 8), np.float32)}
    with pytest.raises(ValueError, match=r"shape \(8, 8, 1\), got \(8, 8\)"):
        improved_diffusion.from_state(wrong, NET)
    with pytest.raises(FileNotFoundError, match="nowhere.pt, got none"):
        improved_diffusion.load_unet(tmp_path / "nowhere.pt", NET)


def test_files(tmp_path):
    save_file = pytest.importorskip("safetensors.numpy").save_file
    save_file(state(), tmp_path / "net.safetensors")
    given = improved_diffusion.load_unet(tmp_path / "net.safetensors", NET)
    wanted = improved_diffusion.from_state(state(), NET)
    jax.tree.map(np.testing.assert_array_equal, given, wanted)
    torch = pytest.importorskip("torch")
    torch.save({k: torch.from_numpy(v) for k, v in state().items()}, tmp_path / "a.pt")
    given = improved_diffusion.load_unet(tmp_path / "a.pt", NET)
    jax.tree.map(np.testing.assert_array_equal, given, wanted)
