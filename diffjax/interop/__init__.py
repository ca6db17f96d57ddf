"""Weights in and out of other libraries.

net, params = diffusers.load_unet(directory)          pip install "diffjax[interop]"
"""

from diffjax.interop import diffusers

__all__ = ["diffusers"]
