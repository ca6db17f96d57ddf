"""The bridge against numbers that diffusers computed; no torch needed."""

import json
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from diffjax import ddpm
from diffjax.interop import diffusers, keys
from interop import cases

save_file = pytest.importorskip("safetensors.numpy").save_file
GOLDEN = Path(__file__).parent / "golden"


def golden(name):
    with np.load(GOLDEN / f"{name}.npz") as stored:
        return {key: stored[key] for key in stored}


def checkpoint(directory, name, config=None):
    shapes = json.loads(str(golden(name)["shapes"]))
    return cases.write(directory, config or cases.CASES[name], shapes, save_file)


def assert_close(given, wanted, tolerance=5e-6):
    assert np.abs(given - wanted).max() <= tolerance * np.abs(wanted).max()


def as_jax(value):
    return None if value is None else jnp.asarray(value)


@pytest.mark.parametrize("name", cases.CASES)
def test_networks_compute_what_diffusers_computes(name, tmp_path):
    tensors = checkpoint(tmp_path, name)
    net, params = diffusers.load_unet(tmp_path)
    out = jax.jit(net.apply)(params, *map(as_jax, cases.inputs(cases.CASES[name])))
    assert_close(np.asarray(out), golden(name)["output"])
    assert sum(leaf.size for leaf in jax.tree.leaves(params)) == sum(
        tensor.size for tensor in tensors.values()
    )


@pytest.mark.parametrize("name", cases.CASES)
def test_save_and_load_are_inverse(name, tmp_path):
    tensors = checkpoint(tmp_path / "theirs", name)
    net, params = diffusers.load_unet(tmp_path / "theirs")
    size = cases.CASES[name]["sample_size"]
    diffusers.save_unet(tmp_path / "ours", net, params, sample_size=tuple(size))
    again, params_again = diffusers.load_unet(tmp_path / "ours")
    assert again == net
    jax.tree.map(np.testing.assert_array_equal, params_again, params)
    written = diffusers.files.read_tensors(tmp_path / "ours", diffusers.WEIGHTS)
    assert written.keys() == tensors.keys()
    for key, tensor in tensors.items():
        np.testing.assert_array_equal(written[key], tensor, strict=True)
    config = json.loads((tmp_path / "ours" / "config.json").read_text())
    assert config.items() >= {**cases.CASES[name], "sample_size": size}.items()


def test_half_precision_weights_stay_as_they_are(tmp_path):
    tensors = checkpoint(tmp_path, "gray_wide")
    for dtype in (np.float16, jnp.bfloat16):
        half = {key: value.astype(dtype) for key, value in tensors.items()}
        save_file(half, tmp_path / "diffusion_pytorch_model.safetensors")
        net, params = diffusers.load_unet(tmp_path)
        for key, value in keys.to_torch(params).items():
            np.testing.assert_array_equal(value, half[key], strict=True)


def test_names_of_2022_load(tmp_path):
    tensors = checkpoint(tmp_path, "heads")
    _, params = diffusers.load_unet(tmp_path)
    old = {"to_q": "query", "to_k": "key", "to_v": "value", "to_out.0": "proj_attn"}
    renamed = {}
    for key, value in tensors.items():
        head, dot, tail = key.rpartition(".")
        for new, name in old.items():
            if head.endswith(f".{new}"):
                head = head.removesuffix(new) + name
        renamed[head + dot + tail] = value
    assert any(".proj_attn." in key for key in renamed)
    assert not any(".to_" in key for key in renamed)
    save_file(renamed, tmp_path / "diffusion_pytorch_model.safetensors")
    jax.tree.map(
        np.testing.assert_array_equal, diffusers.load_unet(tmp_path)[1], params
    )
    renamed["mid_block.attentions.0.to_q.bias"] = np.zeros(16, np.float32)
    save_file(renamed, tmp_path / "diffusion_pytorch_model.safetensors")
    with pytest.raises(ValueError, match=r"one tensor for .*to_q\.bias, got two"):
        diffusers.load_unet(tmp_path)


@pytest.fixture(scope="module")
def repository(tmp_path_factory):
    """A repository in the flat layout of google/ddpm-*."""
    home = tmp_path_factory.mktemp("flat")
    checkpoint(home, "gray_wide")
    (home / "scheduler_config.json").write_text(json.dumps(cases.SCHEDULER))
    index = {"_class_name": "DDPMPipeline", "unet": ["diffusers", "UNet2DModel"]}
    (home / "model_index.json").write_text(json.dumps(index))
    return home


def states(pipeline, denoise, step, steps):
    """The chain of `make_golden`, with its noise, by a step of ddpm."""
    shape, ts = (2, *pipeline.shape), pipeline.grid(steps)

    @jax.jit
    def move(x, t, s, eps):
        def one(x, eps):
            return step(denoise, pipeline.schedule, x, t, s, eps, None)[0]

        return jax.vmap(one)(x, eps)

    x, passed = jnp.asarray(cases.wave("noise 0", shape)), []
    for i, (t, s) in enumerate(zip(ts[:-1], ts[1:], strict=True)):
        noise = jnp.asarray(cases.wave(f"noise {i + 1}", shape))
        x = move(x, jnp.asarray(t), jnp.asarray(s), noise)
        passed.append(x)
    return np.stack(passed)


def test_chains_are_those_of_diffusers(repository):
    """Its DDPM loop, clipped, with the large variance; and its DDIM loop."""
    pipeline = diffusers.load_pipeline(repository)
    clipped = pipeline.clip(pipeline.denoise)
    ancestral = ddpm.ancestral_with(pipeline.variance)
    wanted = golden("chains")
    assert_close(states(pipeline, clipped, ancestral, 4), wanted["ddpm"], 1e-4)
    given = states(pipeline, pipeline.denoise, ddpm.ddim(), 5)
    assert_close(given, wanted["ddim"], 1e-4)


def test_a_pipeline_samples_within_its_clipping(repository):
    pipeline = diffusers.load_pipeline(repository)
    images = diffusers.sample(pipeline, jax.random.key(0), 3, steps=4, step=ddpm.ddim())
    assert images.shape == (3, 8, 12, 1)
    assert jnp.abs(images).max() == 1  # so much does noise for weights overshoot


def test_both_layouts_are_one_pipeline(repository, tmp_path):
    checkpoint(tmp_path / "unet", "gray_wide")
    (tmp_path / "scheduler").mkdir()
    name = "scheduler_config.json"
    (tmp_path / "scheduler" / name).write_text((repository / name).read_text())
    (tmp_path / "model_index.json").write_text('{"_class_name": "DDIMPipeline"}')
    nested, flat = map(diffusers.load_pipeline, (tmp_path, repository))
    assert nested.net == flat.net
    assert nested.shape == flat.shape == (8, 12, 1)
    jax.tree.map(np.testing.assert_array_equal, nested.params, flat.params)


def test_pipelines_that_cannot_be_sampled(repository, tmp_path):
    checkpoint(tmp_path, "classes")
    (tmp_path / "scheduler_config.json").write_text(json.dumps(cases.SCHEDULER))
    with pytest.raises(ValueError, match="unconditional network, got num_class_embeds"):
        diffusers.load_pipeline(tmp_path)
    checkpoint(tmp_path, "gray_wide", {**cases.CASES["gray_wide"], "sample_size": None})
    with pytest.raises(ValueError, match="expected sample_size in config.json"):
        diffusers.sampler(diffusers.load_pipeline(tmp_path))
    (tmp_path / "model_index.json").write_text('{"_class_name": "LDMPipeline"}')
    with pytest.raises(ValueError, match="expected _class_name .*got 'LDMPipeline'"):
        diffusers.load_pipeline(tmp_path)
