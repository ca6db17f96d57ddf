"""Weights in and out of other libraries.

net, params = diffusers.load_unet(directory)          pip install "diffjax[interop]"
net, params = inception.load(file)
"""

from diffjax.interop import diffusers, improved_diffusion, inception

__all__ = ["diffusers", "improved_diffusion", "inception"]
