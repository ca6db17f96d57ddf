"""Numbers as a person reads them."""

import math
from typing import Any

MISSING = "–"


def number(value: Any) -> str:
    r"""A number as a person reads it.

        four digits

    Args: value: a number, or None.
    Returns: text (no unit).
    """
    if value is None or math.isnan(value):
        return MISSING
    if math.isinf(value):
        return "∞" if value > 0 else "−∞"
    return f"{value:.4g}" if abs(value) < 1e4 else short(value)


def with_error(value: Any, error: Any) -> str:
    r"""A number and how far to trust it, to the same place.

        value ± error, two digits of the error

    Args: value: a number, or None.  error: alike.
    Returns: text (no unit).
    """
    known = error is not None and math.isfinite(error) and error > 0
    if value is None or not math.isfinite(value) or not known:
        return number(value)
    places = max(0, 1 - math.floor(math.log10(error)))
    if places > 6:
        return f"{short(value)} ± {error:.1e}".replace("e-0", "e-")
    return f"{value:.{places}f} ± {error:.{places}f}"


def short(value: float) -> str:
    r"""A number of a few characters.

        1500 -> 1.5k

    Args: value: any.
    Returns: text (no unit).
    """
    for size, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if size <= abs(value) < 1000 * size:
            return f"{value / size:.3g}{unit}"
    return f"{value:.3g}".replace("e-0", "e-")
