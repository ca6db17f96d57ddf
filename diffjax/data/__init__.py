"""Data sets, and the stream of batches that training reads: NumPy in host memory."""

from diffjax.data import dataset, images, pipeline, subwords, text, toys, transforms

__all__ = ["dataset", "images", "pipeline", "subwords", "text", "toys", "transforms"]
