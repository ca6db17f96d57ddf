"""Pure mathematics: one example at a time, noise as an argument, nats."""

from diffjax.core import (
    annealing,
    batching,
    bounds,
    categorical,
    chain,
    checks,
    gaussian,
    likelihoods,
    oracle,
    precision,
    schedules,
    times,
)

__all__ = [
    "annealing",
    "batching",
    "bounds",
    "categorical",
    "chain",
    "checks",
    "gaussian",
    "likelihoods",
    "oracle",
    "precision",
    "schedules",
    "times",
]
