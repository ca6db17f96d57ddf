"""Pure mathematics: one example at a time, noise as an argument, nats."""

from diffjax.core import (
    bounds,
    categorical,
    chain,
    checks,
    gaussian,
    likelihoods,
    oracle,
    schedules,
    times,
)

__all__ = [
    "bounds",
    "categorical",
    "chain",
    "checks",
    "gaussian",
    "likelihoods",
    "oracle",
    "schedules",
    "times",
]
