"""What training does to the rate of a latent model, the same for a VAE and an HVAE."""

import jax
import jax.numpy as jnp

from diffjax.types import Array


def warm_up(step: Array, *, num: int) -> Array:
    r"""KL annealing: the rate is free at first.

        beta = min(step / num, 1)

    Bowman et al. 2015 (arXiv:1511.06349); Sonderby et al. 2016 (arXiv:1602.02282).

    Args: step: [] of training, from 0.  num: steps until beta = 1.
    Returns: [] beta (no unit).
    """
    if num < 1:
        raise ValueError(f"expected num >= 1 steps of warm-up, got {num}")
    return jnp.minimum(step / num, 1)


def cyclical(step: Array, *, period: int, share: float = 0.5) -> Array:
    r"""KL annealing again and again.

        beta = min( (step mod period) / (share period), 1 )

    Fu et al. 2019 (arXiv:1903.10145).

    Args: step: [] of training, from 0.  period: steps of one cycle.  share: of a cycle
        in which beta grows, in (0, 1].
    Returns: [] beta (no unit).
    """
    if period < 1 or not 0 < share <= 1:
        raise ValueError(
            f"expected period >= 1 and 0 < share <= 1, got {period} and {share}"
        )
    return jnp.minimum((step % period) / (share * period), 1)


def batch_mean(values: Array, *, axis_name: str | None) -> Array:
    r"""The mean over a batch that may be split among devices.

        1/B sum_b v_b

    Args: values: [B, ...].  axis_name: of the devices, or None for one.
    Returns: [...] in the unit of values.
    """
    mean = jnp.mean(values, axis=0)
    return mean if axis_name is None else jax.lax.pmean(mean, axis_name)
