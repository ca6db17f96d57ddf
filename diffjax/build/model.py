"""What a model is to the commands, and what it is built from."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

from diffjax import train
from diffjax.build import tables
from diffjax.build.data import Prepared
from diffjax.core.bounds import Bound
from diffjax.types import (
    Array,
    Batch,
    Net,
    Objective,
    Params,
    Sampler,
    StatefulObjective,
)


class Error(NamedTuple):
    """How far reconstructions are from the data.

    of: (params, batch) -> [B].
    unit: its own.
    """

    of: Callable[[Params, Batch], Array]
    unit: str


class Coder(NamedTuple):
    """The codes of a model that has some, to see how many are used.

    K: codes there are.
    codes: (params, batch) -> integer [B, ...].
    """

    K: int
    codes: Callable[[Params, Batch], Array]


class Process(NamedTuple):
    """The forward process of a diffusion, to look at.

    T: its steps.
    diffuse: (rng, x_0 [...], t []) -> x_t [...], of one example.
    matrix: t [] -> the law of x_t given each x_0, [K, K]; None of real values.
    """

    T: int
    diffuse: Callable[[Array, Array, Array], Array]
    matrix: Callable[[Array], Array] | None = None


class Latent(NamedTuple):
    """The one layer of latents of a model, for another model to be its prior.

    shape: of the latent of one example.
    bind: params -> (encode, decode) of one example, as the chapter's bound takes them.
    log_prob: (x, decoded) -> log p(x | latent) [] nats.
    draw: (rng, decoded) -> x.
    """

    shape: tuple[int, ...]
    bind: Callable[[Params], tuple[Callable[..., Any], Callable[..., Any]]]
    log_prob: Callable[[Array, Array], Array]
    draw: Callable[[Array, Array], Array]


class Model(NamedTuple):
    """All that the commands need to know of a model.

    objective: to train, with dropout if the networks have it.
    evaluated: the same to evaluate, without.
    sampler: (params, rng, num) -> [num, ...], or None if it is no generator.
    bound: (params, rng, batch) -> Bound, or None if it has no likelihood.
    chain: (params, rng, num) -> [num, frames, ...], noisiest first, or None.
    trained: (params, memory) -> the params that these take.
    error: of its reconstructions, if it has no bound.
    coder: Coder, or None.
    process: Process, or None.
    latent: Latent, or None.
    frozen: (params of the first stage, batches of training data) -> the memory that
        training begins with; None for a model of one stage.
    nll: k -> ((params, rng, batch) -> -log p(x) [B] nats, by k draws for each example),
        or None if it has no importance weights.
    """

    objective: Objective | StatefulObjective
    evaluated: Objective | StatefulObjective
    sampler: Sampler | None
    bound: Callable[[Params, Array, Batch], Bound] | None
    chain: Callable[[Params, Array, int], Array] | None = None
    trained: Callable[[Params, Any], Params] = lambda params, memory: params
    error: Error | None = None
    coder: Coder | None = None
    process: Process | None = None
    latent: Latent | None = None
    frozen: Callable[[Params, Iterable[Batch]], Any] | None = None
    nll: Callable[[int], Callable[[Params, Array, Batch], Array]] | None = None


class Context(NamedTuple):
    """What a model is built from beside its options.

    data: Prepared.
    net: spec of the network.
    axis_name: of the devices, for objectives with collectives.
    """

    data: Prepared
    net: Any
    axis_name: str | None


def objectives(
    spec: Any, objective_of: Callable[..., Objective], *nets: Net
) -> tuple[Objective, Objective]:
    r"""What to train, with the dropout of a configuration, and what to evaluate.

        train.dropped(objective_of, *nets),    objective_of(*nets)

    Args: spec: of the networks, with "dropout" or without.  objective_of: nets ->
        Objective, whose loss is a mean over examples.  nets: of the spec.
    Returns: two of Objective, the same one twice if nothing is dropped.
    """
    plain = objective_of(*nets)
    return (train.dropped(objective_of, *nets) if dropout(spec) else plain), plain


def dropout(spec: Any) -> float:
    r"""The share of units that a configuration drops in training.

        0 <= rate < 1

    Args: spec: of the networks, with "dropout" or without.
    Returns: rate (no unit).
    """
    rate = spec.get("dropout", 0.0) if isinstance(spec, Mapping) else 0.0
    if not tables.number("net.dropout", rate, least=0) < 1:
        raise ValueError(f"expected net.dropout < 1, got {rate}; try 0.1")
    return rate


def expect_whole(data: Prepared, reader: str) -> None:
    r"""Data that a reader of categories can read.

        x in {0, ..., levels - 1}

    Args: data: Prepared.  reader: who wants it so, for the message.
    Returns: nothing (no unit).
    """
    if not data.whole or not data.levels:
        raise ValueError(
            f"expected integers for {reader}, got the real numbers of {data.name}; "
            "leave out the transforms that scale, or end with `tokens`"
        )
