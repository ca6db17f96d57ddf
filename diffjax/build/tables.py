"""A table of constructors, and what is said where a configuration misses one."""

import difflib
import inspect
from collections.abc import Callable, Iterable, Mapping
from typing import Any

Table = Mapping[str, Callable[..., Any]]
"""Name -> constructor. Its keyword-only arguments, or the fields of a network, are the
options of a configuration."""
Choices = Mapping[str, Mapping[str, Any]]
"""Option -> name in a configuration -> what it stands for."""


def make(
    place: str,
    table: Table,
    spec: Any,
    *,
    given: Mapping[str, Any] | None = None,
    choices: Choices | None = None,
    beside: Iterable[str] = (),
) -> Any:
    r"""Call the constructor that a configuration names, with its options.

        table[spec["name"]](**given, **(the rest of spec))

    Args: place: of the spec in the configuration, for messages.  table: Table.  spec:
        {"name": ..., option: value, ...}, or the name alone.  given: what the library
        adds, as far as the constructor takes it.  choices: options that are functions.
        beside: options that were taken out of the spec already, for messages.
    Returns: what the constructor returns (no unit).
    """
    spec = {"name": spec} if isinstance(spec, str) else spec
    if not isinstance(spec, Mapping) or "name" not in spec:
        raise ValueError(
            f"expected {place} with a name, one of {', '.join(table)}, got {spec!r}"
        )
    among(f"{place}.name", spec["name"], table)
    constructor, given = table[spec["name"]], given or {}
    options = {key: value for key, value in spec.items() if key != "name"}
    known = _options(constructor)
    free = [name for name in known if name not in given]
    for option in options:
        among(f"an option of {place} {spec['name']!r}", option, [*free, *beside])
    for name in free:
        if known[name].default is inspect.Parameter.empty and name not in options:
            raise ValueError(
                f"expected {place}.{name}, which {spec['name']!r} needs, got none; "
                "set it"
            )
    values = {
        name: _value(f"{place}.{name}", known[name], value, (choices or {}).get(name))
        for name, value in options.items()
    }
    extra = {name: value for name, value in given.items() if name in known}
    return constructor(**extra, **values)


def name(spec: Any) -> Any:
    r"""The name in a spec.

        spec["name"], or spec if it is a name alone

    Args: spec: as for `make`.
    Returns: the name, None if there is none (no unit).
    """
    return spec.get("name") if isinstance(spec, Mapping) else spec


def among(place: str, name: Any, known: Iterable[Any]) -> None:
    r"""A name that is known, or an error that names the nearest.

        name in known

    Args: place: of the name, for the message.  name: any.  known: names.
    Returns: nothing (no unit).
    """
    known = list(known)
    if name in known:
        return
    near = difflib.get_close_matches(str(name), known, n=1)
    hint = f"did you mean {near[0]!r}?" if near else "choose one of them"
    names = ", ".join(known) or "nothing"
    raise ValueError(f"expected {place} among {names}, got {name!r}; {hint}")


def number(place: str, value: Any, *, least: float, whole: bool = False) -> Any:
    r"""A number of at least so much, or an error that says so.

        value >= least

    Args: place: of the value, for the message.  value: any.  least: allowed.  whole:
        whether it must be an integer.
    Returns: the value (its own unit).
    """
    kind = int if whole else int | float
    if isinstance(value, bool) or not isinstance(value, kind) or not value >= least:
        raise ValueError(
            f"expected {place} to be a{' whole' if whole else ''} number >= {least}, "
            f"got {value!r}; correct the configuration"
        )
    return value


def _options(constructor: Callable[..., Any]) -> dict[str, inspect.Parameter]:
    """Keyword arguments of a function, fields of a Flax module but its own two."""
    parameters = inspect.signature(constructor).parameters
    return {name: p for name, p in parameters.items() if name not in ("parent", "name")}


def _value(
    place: str,
    parameter: inspect.Parameter,
    value: Any,
    choices: Mapping[str, Any] | None,
) -> Any:
    """A JSON value as the constructor wants it; wrong kinds are told, not tried."""
    if choices is not None and isinstance(value, str):
        among(place, value, choices)
        return choices[value]
    value = _frozen(value)
    default = parameter.default
    if isinstance(default, str) and isinstance(value, Mapping):
        return value  # a name with options of its own
    kinds = {bool: bool, int: int, float: int | float, str: str, tuple: tuple}
    wanted = kinds.get(type(default))
    is_bool = isinstance(value, bool) and not isinstance(default, bool)
    if wanted and value is not None and (is_bool or not isinstance(value, wanted)):
        raise ValueError(
            f"expected {place} like {default!r}, got {value!r}; correct the "
            "configuration"
        )
    return value


def _frozen(value: Any) -> Any:
    """Lists of JSON as tuples, which Flax modules can hash."""
    return tuple(map(_frozen, value)) if isinstance(value, list | tuple) else value
