"""What diffusers computes with the checkpoints of `cases`; needs torch and diffusers.

Command:  python tests/interop/make_golden.py        (the environment of extra `bench`)

Each file in golden/ holds the keys and shapes of a state dict and the network's output;
chains.npz holds what its samplers make of one network, improved.npz the output of
`openai`, a network in the layout of improved-diffusion.
"""

import json
import sys
from pathlib import Path

import diffusers
import numpy as np
import torch
from diffusers.schedulers import scheduling_ddpm

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent))
from interop import cases, openai, openai_keys  # noqa: E402


def model(config):
    """A UNet2DModel with the weights of the formula."""
    net = diffusers.UNet2DModel.from_config(dict(config)).eval()
    state = {k: cases.weight(k, tuple(v.shape)) for k, v in net.state_dict().items()}
    net.load_state_dict({k: torch.from_numpy(v) for k, v in state.items()})
    return net


@torch.no_grad()
def forward(net, x, t, label=None):
    """Channels last, in and out."""
    label = None if label is None else torch.from_numpy(label)
    nchw = torch.from_numpy(np.ascontiguousarray(np.moveaxis(x, -1, 1)))
    return np.moveaxis(net(nchw, torch.as_tensor(t), label).sample.numpy(), 1, -1)


def chain(net, scheduler, steps, noises):
    """The loop of DDPMPipeline from a given start, with given noise; every state."""
    scheduler.set_timesteps(steps)
    x, states = noises[0], []
    draws = iter(noises[1:])
    scheduling_ddpm.randn_tensor = lambda *_, **__: torch.from_numpy(next(draws))
    for t in scheduler.timesteps:
        eps = torch.from_numpy(forward(net, x, t))
        x = scheduler.step(eps, t, torch.from_numpy(x)).prev_sample.numpy()
        states.append(x)
    return np.stack(states)


def main():
    """Write every file."""
    (HERE / "golden").mkdir(exist_ok=True)
    for name, config in cases.CASES.items():
        net = model(config)
        shapes = {k: list(v.shape) for k, v in net.state_dict().items()}
        output = forward(net, *cases.inputs(config))
        path = HERE / "golden" / f"{name}.npz"
        np.savez_compressed(path, shapes=json.dumps(shapes), output=output)
    shapes = openai_keys.shapes((4, 8), (False, True), 1, (3, 6))
    state = {k: torch.from_numpy(cases.weight(k, s)) for k, s in shapes.items()}
    x = torch.from_numpy(np.moveaxis(cases.wave("x", (2, 8, 8, 3)), -1, 1).copy())
    output = openai.forward(state, x, torch.tensor([7, 801]), 2).permute(0, 2, 3, 1)
    path = HERE / "golden" / "improved.npz"
    np.savez_compressed(path, shapes=json.dumps(shapes), output=output.numpy())
    config = cases.CASES["gray_wide"]
    net, shape = model(config), (2, *config["sample_size"], 1)
    noises = [cases.wave(f"noise {i}", shape) for i in range(5)]
    ddpm = diffusers.DDPMScheduler.from_config(cases.SCHEDULER)
    plain = {**cases.SCHEDULER, "_class_name": "DDIMScheduler", "clip_sample": False}
    ddim = diffusers.DDIMScheduler.from_config(plain)
    np.savez_compressed(
        HERE / "golden" / "chains.npz",
        ddpm=chain(net, ddpm, 4, noises),
        ddim=chain(net, ddim, 5, noises),
    )


if __name__ == "__main__":
    main()
