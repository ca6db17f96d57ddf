"""What trains a variance that is learned: to train with, and to evaluate."""

from collections.abc import Callable
from typing import Any

from diffjax import ddpm, train
from diffjax.build import tables
from diffjax.build.model import Context, dropout, objectives
from diffjax.core.schedules import Schedule
from diffjax.ddpm.likelihood import Decoder
from diffjax.types import Net, Objective


def _hybrid(
    *,
    context: Context,
    net: Net,
    table: Schedule,
    decoder: Callable[..., Decoder],
    lam: float = 0.001,
) -> tuple[Any, Any]:
    tables.number("model.loss.lam", lam, least=0)

    def objective_of(net: Net) -> Objective:
        return ddpm.hybrid_objective(net, table, lam=lam, decoder=decoder)

    return objectives(context.net, objective_of, net)


def _importance(
    *, context: Context, net: Net, table: Schedule, decoder: Callable[..., Decoder]
) -> tuple[Any, Any]:
    options: dict[str, Any] = {"decoder": decoder, "axis_name": context.axis_name}
    plain = ddpm.importance_objective(net, table, **options)
    if not dropout(context.net):
        return plain, plain
    masked = ddpm.importance_objective(net, table, masked=train.masked, **options)
    return masked, plain


LOSSES: tables.Table = {"hybrid": _hybrid, "importance_vlb": _importance}
"""Of a variance that is learned."""
