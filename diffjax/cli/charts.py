"""Charts as SVG text: lines and bars, coloured by the page's style sheet."""

import html
import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from diffjax.cli.numbers import short

WIDTH, HEIGHT = 360, 210
LEFT, RIGHT, TOP, BOTTOM = 48, 12, 10, 34
POINTS = 240
"""Of a line; more of them are averaged, a bin each."""
WIDE = 30
"""What is this many times larger than the least is shown on a logarithmic scale."""


class Line(NamedTuple):
    """One line of a chart.

    name: of it.
    x: [N] ascending.
    y: [N], NaN where there is nothing to see.
    error: [N] half the width of the band around it, or None.
    """

    name: str
    x: np.ndarray
    y: np.ndarray
    error: np.ndarray | None = None


class Axis(NamedTuple):
    """A scale from values to places.

    low: value at `start`.
    high: value at `end`.
    start: its place.
    end: its place.
    warp: of values before they are placed: the identity, or the logarithm.
    """

    low: float
    high: float
    start: float
    end: float
    warp: Callable[[float], float]

    def place(self, value: float) -> float:
        """Value -> place in the picture, within the axis."""
        a, b, v = map(self.warp, (self.low, self.high, max(value, self.low)))
        return self.start + (self.end - self.start) * (min(v, b) - a) / (b - a)


def lines(title: str, drawn: Sequence[Line], *, x_label: str) -> str:
    r"""Lines over a common axis; logarithmic if they go far down.

        (x, y) for each line, y - error .. y + error behind it

    Args: title: for readers who do not see.  drawn: Line each.  x_label: of the axis.
    Returns: SVG (no unit).
    """
    drawn = [_thinned(line) for line in drawn]
    seen = np.concatenate([line.y for line in drawn])
    across = np.concatenate([line.x for line in drawn])
    x = Axis(*_apart(across.min(), across.max()), LEFT, WIDTH - RIGHT, float)
    y = _upright(seen[np.isfinite(seen)])
    ticks = [(tick, short(tick)) for tick in _ticks(x.low, x.high)]
    paths = [_path(line, x, y, i) for i, line in enumerate(drawn)]
    return _svg(title, [_frame(y), _feet(x, ticks, x_label), *paths])


def bars(
    title: str,
    heights: np.ndarray,
    *,
    labels: Sequence[str],
    x_label: str,
    errors: np.ndarray | None = None,
    level: float | None = None,
) -> str:
    r"""A bar for each height, from zero.

        height - error .. height + error as a whisker

    Args: title: for readers who do not see.  heights: [N] >= 0.  labels: N, those left
        out are "".  x_label: of the axis.  errors: [N], or None.  level: of a dashed
        line across, or None.
    Returns: SVG (no unit).
    """
    errors = np.zeros(len(heights)) if errors is None else np.nan_to_num(errors)
    top = max(float(np.max(heights + errors)), level or 0.0) or 1.0
    y = Axis(0.0, 1.04 * top, HEIGHT - BOTTOM, TOP, float)
    x = Axis(-0.5, len(heights) - 0.5, LEFT, WIDTH - RIGHT, float)
    room = (WIDTH - LEFT - RIGHT) / len(heights)
    width = min(max(room - 2, 0.7 * room), 48)
    parts = [_frame(y), _feet(x, list(enumerate(labels)), x_label)]
    for i, (height, error) in enumerate(zip(heights, errors, strict=True)):
        centre, up = x.place(i), y.place(height)
        told = labels[i] or str(i + 1)
        parts.append(
            f'<rect class="bar" x="{centre - width / 2:.1f}" y="{up:.1f}" '
            f'width="{width:.1f}" height="{max(y.start - up, 0):.1f}">'
            f"<title>{html.escape(told)}: {height:.4g}</title></rect>"
        )
        if error:
            ends = y.place(height - error), y.place(height + error)
            parts.append(_rule("whisker", (centre, ends[0]), (centre, ends[1])))
    if level is not None:
        place = y.place(level)
        parts.append(_rule("level", (LEFT, place), (WIDTH - RIGHT, place)))
    return _svg(title, parts)


def _thinned(line: Line) -> Line:
    if len(line.x) <= POINTS:
        return line
    cuts = np.array_split(np.arange(len(line.x)), POINTS)

    def mean(values: np.ndarray) -> np.ndarray:
        return np.array([np.mean(values[cut]) for cut in cuts])

    error = None if line.error is None else mean(line.error)
    return Line(line.name, mean(line.x), mean(line.y), error)


def _upright(seen: np.ndarray) -> Axis:
    low, high = (seen.min(), seen.max()) if seen.size else (0.0, 1.0)
    ends = HEIGHT - BOTTOM, TOP
    if low > 0 and high > WIDE * low:
        return Axis(float(low) / 1.15, float(high) * 1.15, *ends, math.log10)
    low, high = _apart(low, high)
    if 0 <= low < 0.3 * high:
        return Axis(0.0, 1.05 * high, *ends, float)
    margin = 0.05 * (high - low)
    return Axis(low - margin, high + margin, *ends, float)


def _apart(low: float, high: float) -> tuple[float, float]:
    if low < high:
        return float(low), float(high)
    width = abs(low) or 1.0
    return float(low - width / 2), float(high + width / 2)


def _ticks(low: float, high: float) -> list[float]:
    rough = (high - low) / 4
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * n for n in (1, 2, 2.5, 5, 10) if power * n >= 0.999 * rough)
    first, last = math.ceil(low / step - 0.001), math.floor(high / step + 0.001)
    return [i * step for i in range(first, last + 1)]


def _powers(low: float, high: float) -> list[float]:
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    few = (1,) if math.log10(high / low) > 2 else (1, 2, 5)
    found = [n * 10.0**power for power in decades for n in few]
    inside = [tick for tick in found if low <= tick <= high]
    return inside[:: math.ceil(len(inside) / 6)]


def _frame(y: Axis) -> str:
    ticks = (_ticks if y.warp is float else _powers)(y.low, y.high)
    parts = []
    for tick in ticks:
        place = y.place(tick)
        parts.append(_rule("grid", (LEFT, place), (WIDTH - RIGHT, place)))
        parts.append(_text(LEFT - 6, place + 3.5, "end", short(tick)))
    return "".join(parts)


def _feet(x: Axis, ticks: Sequence[tuple[float, str]], label: str) -> str:
    foot = HEIGHT - BOTTOM
    parts = [_rule("axis", (LEFT, foot), (WIDTH - RIGHT, foot))]
    parts += [_text(x.place(v), foot + 14, "middle", told) for v, told in ticks if told]
    parts.append(_text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 5, "middle", label))
    return "".join(parts)


def _path(line: Line, x: Axis, y: Axis, number: int) -> str:
    parts = []
    good = np.isfinite(line.y)
    pieces = np.split(np.arange(len(good)), np.flatnonzero(np.diff(good)) + 1)
    for piece in (piece for piece in pieces if good[piece[0]]):
        places = [(x.place(line.x[i]), y.place(line.y[i])) for i in piece]
        if line.error is not None:
            error = np.nan_to_num(line.error)
            up = [(x.place(line.x[i]), y.place(line.y[i] + error[i])) for i in piece]
            low = [(x.place(line.x[i]), y.place(line.y[i] - error[i])) for i in piece]
            parts.append(
                f'<path class="band s{number}" d="{_points(up + low[::-1])}"/>'
            )
        if len(places) == 1:
            a, b = places[0]
            parts.append(f'<circle class="s{number}" cx="{a:.1f}" cy="{b:.1f}" r="3"/>')
        parts.append(f'<path class="line s{number}" d="{_points(places)}"/>')
    return "".join(parts)


def _points(places: Sequence[tuple[float, float]]) -> str:
    return "M" + "L".join(f"{a:.1f},{b:.1f}" for a, b in places)


def _rule(kind: str, a: tuple[float, float], b: tuple[float, float]) -> str:
    ends = f'x1="{a[0]:.1f}" y1="{a[1]:.1f}" x2="{b[0]:.1f}" y2="{b[1]:.1f}"'
    return f'<line class="{kind}" {ends}/>'


def _text(x: float, y: float, anchor: str, text: str) -> str:
    place = f'x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"'
    return f"<text {place}>{html.escape(text)}</text>"


def _svg(title: str, parts: Sequence[str]) -> str:
    label = html.escape(title, quote=True)
    box = f'viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{label}"'
    return f"<svg {box}>{''.join(parts)}</svg>"
