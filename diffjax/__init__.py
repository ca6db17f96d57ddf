"""The variational family of generative models, from autoencoders to D3PM, in JAX."""

from diffjax import ae, core, d3pm, ddpm, hvae, types, vae, vq

__all__ = ["ae", "core", "d3pm", "ddpm", "hvae", "types", "vae", "vq"]
__version__ = "0.1.0"
