"""Weights in and out of other libraries.

net, params = diffusers.load_unet(directory)          pip install "diffjax[interop]"
"""

from diffjax.interop import diffusers, improved_diffusion

__all__ = ["diffusers", "improved_diffusion"]
