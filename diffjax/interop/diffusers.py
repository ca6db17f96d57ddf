"""Networks and pipelines of Hugging Face diffusers: `google/ddpm-*` and their kind.

    net, params = diffusers.load_unet(directory)
    pipeline = diffusers.load_pipeline(directory)
    images = diffusers.sample(pipeline, rng, 64, steps=50, step=ddpm.ddim())

A directory is what `git clone` or `huggingface-cli download` leaves on disk. Weights
come from safetensors, or from a .bin if torch is installed; no code in it is ever run.
Diffusers counts t = 0..T-1; `net` keeps that, everything else here counts 1..T.
"""

import functools
from collections.abc import Callable
from os import PathLike
from pathlib import Path
from typing import Any, NamedTuple

import jax

from diffjax import ddpm
from diffjax.core.schedules import Schedule
from diffjax.ddpm.objective import example_net
from diffjax.ddpm.predict import Denoise, Parameterization
from diffjax.ddpm.samplers import Step
from diffjax.ddpm.variance import Variance
from diffjax.interop import configs, files, keys, schedulers
from diffjax.nets.unet import UNet
from diffjax.types import Array, Net, Params, Sampler

WEIGHTS = "diffusion_pytorch_model"
PIPELINES = ("DDPMPipeline", "DDIMPipeline")


class Pipeline(NamedTuple):
    """A published network with the process it was trained on.

    net, params: as of `load_unet`; the net counts t from 0.
    schedule, variance: as of `load_scheduler`.
    parameterization: what the network's output means.
    clip: denoise -> denoise, as the checkpoint's sampler clips its estimates.
    denoise: (x_t [H, W, C], t []) -> x_0 estimate, one example, t = 1..T, not clipped.
    grid: number of steps -> ts, as the checkpoint's sampler spaces them.
    shape: of one example, (H, W, C), or None if its config does not say.
    """

    net: UNet
    params: Params
    schedule: Schedule
    variance: Variance
    parameterization: Parameterization
    clip: Callable[[Denoise], Denoise]
    denoise: Denoise
    grid: Callable[[int], tuple[int, ...]]
    shape: tuple[int, int, int] | None


class OneBased(NamedTuple):
    """A network called with t = 1..T, of one that counts from 0.

    init, apply: of the `Net`.
    """

    init: Callable[..., Params]
    apply: Callable[..., Any]


def load_unet(directory: str | PathLike[str]) -> tuple[UNet, Params]:
    r"""A `UNet2DModel` from config.json and its weights.

        net.apply(params, x [B, H, W, C], t [B]),    t = 0..T-1 as in the checkpoint

    Args: directory: with config.json and diffusion_pytorch_model.safetensors or .bin.
    Returns: UNet and its parameters, arrays [...] bit for bit as in the file.
    """
    path = Path(directory)
    config = files.read_config(path / "config.json")
    net = configs.unet_from_config(config)
    channels = config.get("in_channels", configs.DEFAULTS["in_channels"])
    tensors = files.read_tensors(path, WEIGHTS)
    return net, keys.from_torch(tensors, keys.blank(net, channels))


def save_unet(
    directory: str | PathLike[str],
    net: UNet,
    params: Params,
    *,
    sample_size: int | tuple[int, int] | None = None,
) -> None:
    r"""Write a network so that `UNet2DModel.from_pretrained(directory)` reads it.

        config.json, diffusion_pytorch_model.safetensors

    Diffusers will call it with t = 0..T-1: a network trained here on t = 1..T must have
    been trained as `one_based(net)`. Each file appears whole or not at all.

    Args: directory: is made if need be.  net: UNet.  params: {"params": tree}.
        sample_size: of the images, for diffusers' pipelines.
    Returns: nothing (no unit).
    """
    tensors = keys.to_torch(params)
    channels = tensors["conv_in.weight"].shape[1] if "conv_in.weight" in tensors else 3
    keys.from_torch(tensors, keys.blank(net, channels))  # raises if they do not match
    config = configs.config_from_unet(net, channels, sample_size=sample_size)
    path = Path(directory)
    files.write_all(
        {
            path / f"{WEIGHTS}.safetensors": functools.partial(
                files.write_safetensors, tensors
            ),
            path / "config.json": functools.partial(files.write_config, config),
        }
    )


def load_scheduler(directory: str | PathLike[str]) -> tuple[Schedule, Variance]:
    r"""The process and the reverse variance of a scheduler_config.json.

        beta_schedule -> schedule,    variance_type -> variance

    Args: directory: with the file.
    Returns: Schedule of tables [T + 1], and small or large of `ddpm.variance`.
    """
    scheduler = schedulers.read_scheduler(Path(directory))
    return scheduler.schedule, scheduler.variance


def load_pipeline(directory: str | PathLike[str]) -> Pipeline:
    r"""A repository of an unconditional DDPM or DDIM pipeline.

        unet/ and scheduler/, or all files side by side

    Args: directory: of the repository.
    Returns: Pipeline.
    """
    path = Path(directory)
    if (path / "model_index.json").is_file():
        index = files.read_config(path / "model_index.json")
        configs.expect_class(index, PIPELINES)
    home = path / "unet" if (path / "unet").is_dir() else path
    rules = path / "scheduler" if (path / "scheduler").is_dir() else path
    scheduler = schedulers.read_scheduler(rules)
    config = files.read_config(home / "config.json")
    if config.get("num_class_embeds"):
        raise ValueError(
            "expected an unconditional network, got num_class_embeds = "
            f"{config['num_class_embeds']}; use load_unet and load_scheduler"
        )
    net, params = load_unet(home)
    eps = example_net(one_based(net), params)
    return Pipeline(
        net=net,
        params=params,
        schedule=scheduler.schedule,
        variance=scheduler.variance,
        parameterization=scheduler.parameterization,
        clip=scheduler.clip,
        denoise=scheduler.parameterization.denoiser(scheduler.schedule, eps),
        grid=scheduler.grid,
        shape=_shape(config),
    )


def one_based(net: Net) -> OneBased:
    r"""A network that counts t = 0..T-1, for code that counts 1..T.

        net'(x, t) = net(x, t - 1)

    Args: net: (x [B, ...], t [B], ...) -> [B, ...].
    Returns: OneBased, a Net with the same parameters.
    """

    def init(rng: Array, x: Array, t: Array, *extra: Any) -> Params:
        return net.init(rng, x, t - 1, *extra)

    def apply(params: Params, x: Array, t: Array, *extra: Any, rng: Any = None) -> Any:
        return net.apply(params, x, t - 1, *extra, rng=rng)

    return OneBased(init, apply)


def sampler(
    pipeline: Pipeline, *, steps: int | None = None, step: Step | None = None
) -> Sampler:
    r"""The compiled sampler of a published network, with its clipping.

        x_T ~ N(0, I),    x_s ~ p(x_s | x_t) with clip(denoise)

    Where estimates are clipped, `ddpm.ddim` derives eps from the clipped ones, as
    diffusers does with use_clipped_model_output=True.

    Args: pipeline: of `load_pipeline`.  steps: how many, by default all.  step: of
        `ddpm`, by default ancestral with the checkpoint's variance.
    Returns: Sampler: (params, rng, num) -> [num, H, W, C] (on [-1, 1] if it clips).
    """
    if pipeline.shape is None:
        raise ValueError(
            "expected sample_size in config.json, got null; use ddpm.sample with "
            "pipeline.denoise and a shape"
        )
    draw = ddpm.sampler(
        one_based(pipeline.net),
        pipeline.schedule,
        pipeline.shape,
        parameterization=pipeline.parameterization,
        step=ddpm.ancestral_with(pipeline.variance) if step is None else step,
        ts=pipeline.grid(pipeline.schedule.T if steps is None else steps),
        guide=pipeline.clip,
    )
    return jax.jit(draw, static_argnums=2)


def sample(
    pipeline: Pipeline,
    rng: Array,
    num: int,
    *,
    steps: int | None = None,
    step: Step | None = None,
) -> Array:
    r"""Images from a published network; `sampler`, to call it more than once.

        x_T ~ N(0, I),    x_s ~ p(x_s | x_t) with clip(denoise)

    Args: pipeline: of `load_pipeline`.  rng: key.  num: how many.  steps, step: as for
        `sampler`.
    Returns: [num, H, W, C] (on [-1, 1] if the checkpoint clips).
    """
    return sampler(pipeline, steps=steps, step=step)(pipeline.params, rng, num)


def _shape(config: dict[str, Any]) -> tuple[int, int, int] | None:
    size = config.get("sample_size")
    if size is None:
        return None
    height, width = (size, size) if isinstance(size, int) else size
    return height, width, config.get("in_channels", configs.DEFAULTS["in_channels"])
