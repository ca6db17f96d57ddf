"""Optimizers, averages and devices that a configuration can name."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from diffjax import train
from diffjax.build import tables
from diffjax.train import averages, devices, guards

OPTIMIZERS: tables.Table = {
    "adam": optax.adam,
    "adamw": optax.adamw,
    "lion": optax.lion,
    "sgd": optax.sgd,
}
"""Beside their own options, each has these:"""
BESIDE = ("learning_rate", "warmup", "decay", "clip", "skip")


class Devices(NamedTuple):
    """How a run is laid out.

    layout: Layout.
    per_dispatch: steps handed to the devices at once.
    micro_batches: parts of a batch whose gradients are computed one after another.
    """

    layout: train.Layout
    per_dispatch: int
    micro_batches: int


def optimizer(spec: Any, steps: int) -> optax.GradientTransformation:
    r"""The optimizer of a configuration.

        {"name": ..., "learning_rate": ..., "warmup": 0, "decay": "none", "clip": 0.0}

    Args: spec: warmup, steps in which the rate rises from 0; decay, "cosine" or
        "linear" to 0 at the end, "rsqrt" as 1 / sqrt(step) from the warm-up on; clip,
        of the gradient's global norm, 0 for none; skip, as for `guard`.  steps: of the
        run.
    Returns: an optax transformation (no unit).
    """
    spec = {"name": spec} if isinstance(spec, str) else dict(spec)
    rate = spec.pop("learning_rate", None)
    if not isinstance(rate, int | float) or not rate > 0:
        raise ValueError(
            f"expected optimizer.learning_rate > 0, got {rate!r}; try 1e-3 or less"
        )
    warmup = spec.pop("warmup", 0)
    tables.number("optimizer.warmup", warmup, least=0, whole=True)
    clip = tables.number("optimizer.clip", spec.pop("clip", 0.0), least=0)
    spec.pop("skip", None)
    schedule = _schedule(rate, warmup, spec.pop("decay", "none"), steps)
    given = {"learning_rate": schedule}
    found = tables.make("optimizer", OPTIMIZERS, spec, given=given, beside=BESIDE)
    return optax.chain(optax.clip_by_global_norm(clip), found) if clip else found


def guard(spec: Any) -> guards.Guard:
    r"""Which steps the optimizer of a configuration skips.

        {"name": ..., "skip": 0.0, ...}

    Args: spec: skip, the norm from which a gradient is too large, before it is clipped;
        0 for what is unusual in the run itself.
    Returns: Guard (no unit).
    """
    most = 0.0 if isinstance(spec, str) else spec.get("skip", 0.0)
    tables.number("optimizer.skip", most, least=0)
    return guards.below(most) if most else guards.adaptive()


def ema(spec: Mapping[str, Any]) -> dict[str, averages.Decay]:
    r"""The moving average of a configuration, if it has one.

        {"decay": 0.9999, "warm_up": True},    {} for none

    Args: spec: decay, in (0, 1); warm_up, whether the average forgets its start soon.
    Returns: name -> decay, for `train` (no unit).
    """
    for key in spec:
        tables.among("an option of ema", key, ("decay", "warm_up"))
    if not spec:
        return {}
    rules = {True: averages.warmed_up, False: averages.constant}
    tables.among("ema.warm_up", spec.get("warm_up", True), rules)
    decay = tables.number("ema.decay", spec.get("decay"), least=0)
    return {"ema": rules[spec.get("warm_up", True)](decay)}


def layout(spec: Any) -> Devices:
    r"""The devices of a configuration.

        {"name": "mesh" | "fsdp" | "pmap", "per_dispatch": 1, "micro_batches": 1}

    On a CPU both are 1 where there are convolutions: XLA:CPU takes many times as long
    for the gradients of their kernels inside a loop.

    Args: spec: of the configuration.
    Returns: Devices.
    """
    spec = {"name": spec} if isinstance(spec, str) else dict(spec)
    parts = {key: spec.pop(key, 1) for key in ("per_dispatch", "micro_batches")}
    for key, value in parts.items():
        tables.number(f"devices.{key}", value, least=1, whole=True)
    found = tables.make("devices", LAYOUTS, spec, beside=tuple(parts))
    return Devices(found, **parts)


def check_batch(batch_size: int, micro_batches: int) -> None:
    r"""Every device, and every part of its batch, has as many examples.

        batch_size mod (devices x micro_batches) = 0

    Args: batch_size: of the global batch.  micro_batches: of `Devices`.
    Returns: nothing (no unit).
    """
    parts = jax.device_count() * micro_batches
    if batch_size % parts:
        raise ValueError(
            f"expected a batch_size divisible by {jax.device_count()} devices x "
            f"{micro_batches} micro_batches, got {batch_size}; try "
            f"{max(batch_size // parts, 1) * parts}"
        )


def _mesh() -> train.Layout:
    return devices.mesh()


def _fsdp(*, smallest: int = 2**16) -> train.Layout:
    return devices.mesh(rule=devices.fsdp(smallest=smallest))


def _pmap() -> train.Layout:
    return devices.pmap()


LAYOUTS: tables.Table = {"mesh": _mesh, "fsdp": _fsdp, "pmap": _pmap}


def _schedule(rate: float, warmup: int, decay: str, steps: int) -> optax.Schedule:
    rest = steps - warmup
    if rest < 1:
        raise ValueError(
            f"expected optimizer.warmup < steps, got {warmup} of {steps}; lower it, to "
            "0 for a trial"
        )
    start = max(warmup, 1)
    table = {
        "none": optax.constant_schedule(rate),
        "cosine": optax.cosine_decay_schedule(rate, rest),
        "linear": optax.linear_schedule(rate, 0.0, rest),
        "rsqrt": lambda step: rate * jnp.sqrt(start / (start + step)),
    }
    tables.among("optimizer.decay", decay, table)
    rise = optax.linear_schedule(0.0, rate, start)
    return optax.join_schedules([rise, table[decay]], [warmup])
