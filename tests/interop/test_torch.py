"""The bridge against diffusers itself, at full size and through its own files."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from diffjax.interop import diffusers
from interop import cases

torch = pytest.importorskip("torch")
theirs = pytest.importorskip("diffusers")
CIFAR10 = {
    **cases.case(cases.CIFAR, (32, 32), (128, 256, 256, 256), norm_eps=1e-6),
    **cases.DDPM,
    "layers_per_block": 2,
    "norm_num_groups": 32,
}


def perturbed(config):
    """A model as torch starts it, moved away from its zeros."""
    torch.manual_seed(0)
    model = theirs.UNet2DModel.from_config(dict(config)).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.05 * torch.randn(parameter.shape))
    return model


@torch.no_grad()
def forward(model, x, t, label):
    label = None if label is None else torch.from_numpy(label)
    x = torch.from_numpy(np.ascontiguousarray(np.moveaxis(x, -1, 1)))
    return np.moveaxis(model(x, torch.from_numpy(t), label).sample.numpy(), 1, -1)


def both_ways(model, config, tmp_path):
    """Their file read here; ours read there, the same to the last bit."""
    model.save_pretrained(tmp_path / "theirs")
    net, params = diffusers.load_unet(tmp_path / "theirs")
    x, t, label = cases.inputs(config)
    label = None if label is None else jnp.asarray(label)
    given = np.asarray(jax.jit(net.apply)(params, x, jnp.asarray(t), label))
    wanted = forward(model, *cases.inputs(config))
    assert np.abs(given - wanted).max() <= 5e-6 * np.abs(wanted).max()
    diffusers.save_unet(tmp_path / "ours", net, params)
    again = theirs.UNet2DModel.from_pretrained(tmp_path / "ours").state_dict()
    for key, value in model.state_dict().items():
        assert torch.equal(again[key], value), key
    return params


@pytest.mark.parametrize("name", cases.CASES)
def test_seeded_networks(name, tmp_path):
    both_ways(perturbed(cases.CASES[name]), cases.CASES[name], tmp_path)


@pytest.mark.slow
def test_the_cifar10_network(tmp_path):
    params = both_ways(perturbed(CIFAR10), CIFAR10, tmp_path)
    assert sum(leaf.size for leaf in jax.tree.leaves(params)) == 35_746_307


def test_files_of_torch(tmp_path):
    model = perturbed(cases.CASES["gray_wide"]).to(torch.bfloat16)
    model.save_pretrained(tmp_path, safe_serialization=False)
    _, params = diffusers.load_unet(tmp_path)
    for key, value in diffusers.keys.to_torch(params).items():
        wanted = model.state_dict()[key]
        assert value.dtype == jnp.bfloat16
        assert torch.equal(torch.from_numpy(value.astype(np.float32)), wanted.float())


@pytest.mark.parametrize("name", ["linear", "scaled_linear", "squaredcos_cap_v2"])
def test_tables(name, tmp_path):
    scheduler = theirs.DDPMScheduler(beta_schedule=name, num_train_timesteps=100)
    scheduler.save_pretrained(tmp_path)
    schedule, _ = diffusers.load_scheduler(tmp_path)
    np.testing.assert_allclose(schedule.beta[1:], scheduler.betas, 2e-5)
    np.testing.assert_allclose(schedule.alpha_bar[1:], scheduler.alphas_cumprod, 2e-5)


@pytest.mark.parametrize("spacing", ["leading", "trailing", "linspace"])
def test_grids(spacing, tmp_path):
    scheduler = theirs.DDIMScheduler(timestep_spacing=spacing)
    scheduler.save_pretrained(tmp_path)
    grid = diffusers.schedulers.read_scheduler(tmp_path).grid
    for steps in (1, 7, 10, 50, 1000):
        scheduler.set_timesteps(steps)
        assert grid(steps) == (*(scheduler.timesteps.numpy() + 1), 0)
