"""Discrete diffusion."""
