"""Each run by itself: losses, the terms of the bound, codes, the last metrics."""

import math
from collections.abc import Sequence
from html import escape

import numpy as np

from diffjax.cli import charts
from diffjax.cli.numbers import number, with_error
from diffjax.cli.results import last
from diffjax.cli.shown import Shown

DIFFUSIONS = {"ddpm": 2, "d3pm": 2, "latent_ddpm": 1, "d3pm_codes": 1}
"""Their divergences are those of t = first..T; the others' of layers 1..L-1."""
TABLED = {"bits/dim", "rate", "distortion"}
"""What the table of the runs has already."""
NAMED = 12
"""Layers whose bars all have their number below."""


def section(runs: Sequence[Shown]) -> str:
    r"""The runs, one after the other.

        loss, KL of each t or layer, codes used

    Args: runs: of `shown.read`.
    Returns: HTML (no unit).
    """
    cards = []
    for run in runs:
        drawn = [losses(run), divergences(run), codes(run), newest(run)]
        figures = "".join(f"<figure>{part}</figure>" for part in drawn if part)
        cards.append(
            f'<section class="card"><h3>{escape(run.name)}</h3>'
            f'<div class="grid charts">{figures}</div></section>'
        )
    return f'<h2>Run by run</h2><div class="grid runs">{"".join(cards)}</div>'


def losses(run: Shown) -> str:
    r"""The loss as training went on.

        loss and eval_loss over steps

    Args: run: Shown.
    Returns: HTML, "" if there is none (no unit).
    """
    drawn = []
    for name, told in (("loss", "training"), ("eval_loss", "test")):
        points = {
            row["step"]: math.nan if row[name] is None else row[name]
            for row in run.rows
            if name in row and "step" in row
        }
        if points:
            x, y = (np.array(list(v), float) for v in (points, points.values()))
            drawn.append(charts.Line(told, x, y))
    if not drawn:
        return ""
    keys = "".join(
        f'<i class="key s{i}"></i>{line.name}' for i, line in enumerate(drawn)
    )
    chart = charts.lines(f"loss of {run.name}", drawn, x_label="step")
    return f"{chart}<figcaption><b>Loss.</b> {keys}</figcaption>"


def divergences(run: Shown) -> str:
    r"""Where the rate is spent.

        KL_t of each t, or KL_l of each layer, the prior's last

    Args: run: Shown.
    Returns: HTML, "" if it was not evaluated or has one latent (no unit).
    """
    found = run.evaluation.get("divergences", {"mean": []})
    prior = run.evaluation.get("prior")
    mean, error = (np.array(found.get(k, []), float) for k in ("mean", "se"))
    if not mean.size or prior is None:
        return ""
    first = DIFFUSIONS.get(run.config["model"]["name"])
    if first is not None:
        line = charts.Line("KL", first + np.arange(mean.size), mean, error)
        chart = charts.lines(f"terms of the bound of {run.name}", [line], x_label="t")
        rest = run.evaluation["distortion"]["mean"]
        told = (
            f"<b>Terms of the bound</b>, nats, t = {first}..{first + mean.size - 1}; "
            f"{'at t = 1, ' if first == 2 else 'below them '}the distortion, "
            f"{rest:.4g}, and the prior term {prior['mean']:.3g}."
        )
        return f"{chart}<figcaption>{told}</figcaption>"
    rates, errors = np.append(mean, prior["mean"]), np.append(error, prior["se"])
    labels = [str(i + 1) for i in range(rates.size)]
    if rates.size > NAMED:
        labels = [name if i % 5 == 4 else "" for i, name in enumerate(labels)]
    chart = charts.bars(
        f"rate of the layers of {run.name}",
        rates,
        labels=labels,
        x_label="layer, the top one last",
        errors=errors,
    )
    return f"{chart}<figcaption><b>Rate of each layer</b>, nats.</figcaption>"


def codes(run: Shown) -> str:
    r"""How often each code is used, most used first.

        p_k = c_k / sum c,    dashed: 1 / K

    Args: run: Shown.
    Returns: HTML, "" if it has no codes (no unit).
    """
    found = run.evaluation.get("codes")
    if found is None:
        return ""
    shares = np.sort(np.array(found["counts"], float))[::-1]
    shares = 100 * shares / max(shares.sum(), 1)
    K = shares.size
    labels = [str(i + 1) if (i + 1) % max(1, K // 4) == 0 else "" for i in range(K)]
    chart = charts.bars(
        f"codes of {run.name}",
        shares,
        labels=labels,
        x_label="code, by rank",
        level=100 / K,
    )
    told = (
        f"<b>Code usage</b>, percent; dashed: all alike. {found['used']:.0%} of {K} "
        f"used, perplexity {found['perplexity']:.1f}."
    )
    return f"{chart}<figcaption>{told}</figcaption>"


def newest(run: Shown) -> str:
    r"""What was evaluated beside the table, and the newest value of every metric.

        name: value

    Args: run: Shown.
    Returns: HTML, "" if there are none (no unit).
    """
    numbers = {
        f"{name}, {part['unit']}": with_error(part["mean"], part["se"])
        for name, part in run.evaluation.items()
        if name not in TABLED and isinstance(part, dict)
        if isinstance(part.get("mean"), float)
    }
    numbers |= {name: number(value) for name, value in last(run.rows).items()}
    told = "".join(
        f"<dt>{escape(name)}</dt><dd>{value}</dd>" for name, value in numbers.items()
    )
    return f"<dl>{told}</dl>" if told else ""
