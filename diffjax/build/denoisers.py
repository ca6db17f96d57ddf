"""Diffusion of real values: plain, of classes, and with a learned variance."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax.numpy as jnp

from diffjax import ddpm
from diffjax.build import nets, tables
from diffjax.build.data import Prepared
from diffjax.build.diffusions import SCHEDULES, STEPS, chain_of, grid, process_of
from diffjax.build.learned import LOSSES
from diffjax.build.model import Context, Model, objectives
from diffjax.core.bounds import Bound
from diffjax.core.schedules import Schedule
from diffjax.ddpm.conditioning import conditional_objective
from diffjax.ddpm.likelihood import Decoder
from diffjax.ddpm.objective import example_net
from diffjax.ddpm.predict import Denoise, Parameterization
from diffjax.ddpm.samplers import Step
from diffjax.ddpm.variance import Variance
from diffjax.types import Array, Batch, Net, Objective, Params


class _Reverse(NamedTuple):
    """The reverse process of some parameters; last: the variance of p(x_0 | x_1)."""

    denoise: Denoise
    variance: Variance
    last: Variance


class _Reading(NamedTuple):
    """What to train and to evaluate, and what the parameters then stand for."""

    objectives: tuple[Any, Any]
    bounded: Callable[[Params], _Reverse]
    drawn: Callable[[Params], _Reverse]


def ddpm_model(
    *,
    context: Context,
    schedule: Any,
    parameterization: Any = ddpm.predict.EPS,
    weight: Any = ddpm.weights.uniform,
    guide: Any = ddpm.guidance.unguided,
    variance: Any = ddpm.small,
    loss: Any = "hybrid",
    classes: bool = False,
    drop: float = 0.1,
    label: int | None = None,
    guidance: float = 1.0,
    step: Any = "ancestral",
    steps: int | None = None,
) -> Model:
    r"""Denoising diffusion of real values, or of levels on [-1, 1].

        {"name": "ddpm", "schedule": {"name": "cosine", "T": 1000}, ...}

    Args: context: Context.  schedule: of SCHEDULES.  parameterization, weight, guide,
        variance: of CHOICES; a weight is one of eps.  loss: of LOSSES, for a variance
        that is learned.  classes: whether the network is told the label, but for a
        share `drop` of the time; the bound is that of no class.  label, guidance: of
        samples, those of no class if None.  step: of STEPS, for sampling.  steps: for
        sampling, all T if None.
    Returns: Model.
    """
    data = context.data
    _expect_symmetric(data)
    table = tables.make("model.schedule", SCHEDULES, schedule)
    decoder = _decoder(data)
    if weight is not ddpm.weights.uniform:
        weight = ddpm.weights.on(parameterization, weight)
    kind: dict[str, Any] = {"parameterization": parameterization, "weight": weight}
    wanted = _Wanted(drop, label, guidance)
    _check_label(data, classes, wanted)
    if loss != "hybrid" and variance is not ddpm.learned_range:
        raise ValueError(
            f"expected variance 'learned_range' for a loss of one, got loss {loss!r} "
            "without; leave it out"
        )
    if variance is ddpm.learned_range:
        _expect_plain(kind, classes)
        reading = _with_variance(context, table, decoder, loss)
    elif classes:
        reading = _of_classes(context, table, variance, kind, wanted)
    else:
        reading = _plain(context, table, variance, kind)
    move = _moved(tables.make("model.step", STEPS, step))
    return _model(context, table, reading, guide, decoder, move, grid(table.T, steps))


def _model(
    context: Context,
    table: Schedule,
    reading: _Reading,
    guide: Callable[[Denoise], Denoise],
    decoder: Callable[..., Decoder],
    move: Callable[[Variance], Step],
    ts: Any,
) -> Model:
    shape = context.data.shape

    def sampler(params: Params, rng: Array, num: int) -> Array:
        reverse, size = reading.drawn(params), (num, *shape)
        options: dict[str, Any] = {"step": move(reverse.variance), "ts": ts}
        return ddpm.sample(guide(reverse.denoise), table, rng, size, **options)

    def walk(
        params: Params, rng: Array, size: tuple[int, ...], *, every: int
    ) -> tuple[Array, Array]:
        reverse, denoise = reading.drawn(params), guide(reading.drawn(params).denoise)
        options: dict[str, Any] = {"step": move(reverse.variance), "ts": ts}
        return ddpm.trajectory(denoise, table, rng, size, every=every, **options)

    def bound(params: Params, rng: Array, batch: Batch) -> Bound:
        # The bound is of the model that is drawn from, so it is guided too.
        denoise, variance, last = reading.bounded(params)
        options: dict[str, Any] = {"variance": variance, "decoder": decoder(last)}
        return ddpm.bound(guide(denoise), table, rng, batch["x"], **options)

    chain = chain_of(walk, table.T if ts is None else len(ts) - 1, shape)
    process = process_of(table)
    return Model(*reading.objectives, sampler, bound, chain, process=process)


def _plain(
    context: Context, table: Schedule, variance: Variance, kind: dict[str, Any]
) -> _Reading:
    net = nets.denoiser(context.net, context.data.shape)
    parameterization: Parameterization = kind["parameterization"]

    def reverse(params: Params) -> _Reverse:
        denoise = parameterization.denoiser(table, example_net(net, params))
        return _Reverse(denoise, variance, _last(variance, context.data))

    def objective_of(net: Net) -> Objective:
        return ddpm.objective(net, table, **kind)

    return _Reading(objectives(context.net, objective_of, net), reverse, reverse)


def _with_variance(
    context: Context, table: Schedule, decoder: Callable[..., Decoder], loss: Any
) -> _Reading:
    net = nets.denoiser(context.net, context.data.shape, outputs=2)

    def reverse(params: Params) -> _Reverse:
        denoise, variance = ddpm.split_net(net, table, params)
        return _Reverse(denoise, variance, variance)

    given = {"context": context, "net": net, "table": table, "decoder": decoder}
    both = tables.make("model.loss", LOSSES, loss, given=given)
    return _Reading(both, reverse, reverse)


class _Wanted(NamedTuple):
    drop: float
    label: int | None
    guidance: float


def _of_classes(
    context: Context,
    table: Schedule,
    variance: Variance,
    kind: dict[str, Any],
    wanted: _Wanted,
) -> _Reading:
    null, label = context.data.classes, wanted.label
    net = nets.denoiser(context.net, context.data.shape, labels=null + 1)
    denoiser = kind["parameterization"].denoiser

    def of_label(params: Params, label: int) -> Denoise:
        return denoiser(table, example_net(net, params, jnp.asarray(label)))

    def bounded(params: Params) -> _Reverse:
        last = _last(variance, context.data)
        return _Reverse(of_label(params, null), variance, last)

    def drawn(params: Params) -> _Reverse:
        anything = bounded(params)
        if label is None:
            return anything
        guided = of_label(params, label)
        if wanted.guidance != 1:  # at 1 the two networks would give one of them
            guided = ddpm.guidance.classifier_free(
                guided, anything.denoise, wanted.guidance
            )
        return anything._replace(denoise=guided)

    def objective_of(net: Net) -> Objective:
        return conditional_objective(
            net, table, null_label=null, drop=wanted.drop, **kind
        )

    return _Reading(objectives(context.net, objective_of, net), bounded, drawn)


def _last(variance: Variance, data: Prepared) -> Variance:
    """The small variance ends in 0; of levels no one ends in another, as published."""
    keeps = variance is ddpm.large and not data.levels
    return variance if keeps else ddpm.variance.first_clipped


def _moved(step: Step) -> Callable[[Variance], Step]:
    """The ancestral step has the model's variance, any other its own."""
    return ddpm.ancestral_with if step is ddpm.ancestral else lambda variance: step


def _decoder(data: Prepared) -> Callable[..., Decoder]:
    def decoder(variance: Variance) -> Decoder:
        if data.levels:
            return ddpm.likelihood.discretized_decoder(
                variance=variance, levels=data.levels
            )
        return ddpm.likelihood.gaussian_decoder(variance=variance)

    return decoder


def _expect_symmetric(data: Prepared) -> None:
    if data.whole or (data.levels and data.span != (-1.0, 1.0)):
        raise ValueError(
            f"expected data on [-1, 1] for ddpm, got {data.name} on {list(data.span)}; "
            "make `symmetric` one of data.transforms"
        )


def _expect_plain(kind: dict[str, Any], classes: bool) -> None:
    plain = {"parameterization": ddpm.predict.EPS, "weight": ddpm.weights.uniform}
    if classes or kind != plain:
        raise ValueError(
            "expected eps of uniform weight and no classes with variance "
            "'learned_range', which has an objective of its own, got another "
            "parameterization, weight or classes; leave them out"
        )


def _check_label(data: Prepared, classes: bool, wanted: _Wanted) -> None:
    tables.number("model.guidance", wanted.guidance, least=0)
    if classes and not data.classes:
        raise ValueError(
            f"expected labels for model.classes, got {data.name} without; set it False"
        )
    if not tables.number("model.drop", wanted.drop, least=0) < 1 or wanted.drop == 0:
        raise ValueError(
            f"expected 0 < model.drop < 1, got {wanted.drop}; try 0.1: the bound and "
            "samples of no class need some"
        )
    if wanted.label is None:
        if wanted.guidance != 1:
            raise ValueError("expected a label to guide to, got none; add --label")
        return
    if not classes:
        raise ValueError(
            f"expected no label for a model without classes, got {wanted.label}; train "
            "one with model.classes = True"
        )
    tables.number("--label", wanted.label, least=0, whole=True)
    if wanted.label >= data.classes:
        raise ValueError(
            f"expected a label in 0..{data.classes - 1}, got {wanted.label}"
            f"; these are the classes of {data.name}"
        )
