"""The variational family of generative models, from autoencoders to D3PM, in JAX."""

from diffjax import core, d3pm, ddpm, hvae, types

__all__ = ["core", "d3pm", "ddpm", "hvae", "types"]
__version__ = "0.1.0"
