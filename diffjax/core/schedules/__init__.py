"""Noise schedules as tables indexed like the paper: [T + 1], and step 0 is the data.

In Ho's letters, q(x_t | x_{t-1}) = N(sqrt(1 - beta_t) x_{t-1}, beta_t I), and
alpha_bar_t is the product of 1 - beta. The course writes
N(sqrt(1 - beta^2) x, beta^2 I) instead, so beta_Ho = beta_course^2 and
alpha_bar_Ho = alpha_bar_course^2.

Tables are computed in NumPy float64; only finished tables become float32 (or stay
float64 under x64).
"""

from diffjax.core.schedules.families import (
    constant,
    cosine,
    cosine_d3pm,
    inverse,
    linear,
    quadratic,
    rescaled_linear,
    sigmoid,
    sigmoid_alpha_bar,
)
from diffjax.core.schedules.spacing import (
    rescale_zero_terminal_snr,
    respace,
    respace_steps,
)
from diffjax.core.schedules.table import (
    Schedule,
    from_alpha_bar,
    from_betas,
    from_gamma,
)

__all__ = [
    "Schedule",
    "constant",
    "cosine",
    "cosine_d3pm",
    "from_alpha_bar",
    "from_betas",
    "from_gamma",
    "inverse",
    "linear",
    "quadratic",
    "rescale_zero_terminal_snr",
    "rescaled_linear",
    "respace",
    "respace_steps",
    "sigmoid",
    "sigmoid_alpha_bar",
]
