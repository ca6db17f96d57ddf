"""What a run is told: where its batches come from, and what happens when."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

from diffjax.train.state import State
from diffjax.types import Batch


class Batches(Protocol):
    """An endless iterator of batches that knows where it is, as Grain's do.

    Leaves are NumPy arrays [b, ...]: the examples p b .. (p + 1) b of the global batch
    on process p. The position is that of the global batch, the same on every process.
    """

    def __next__(self) -> Batch:
        """The next batch."""

    def get_state(self) -> Any:
        """The position, JSON."""

    def set_state(self, state: Any) -> None:
        """Go to a position."""


class Plan(NamedTuple):
    """What happens when, in steps.

    steps: of the whole run.
    log_every: steps of which one line of metrics is the mean.
    checkpoint_every: steps between checkpoints; the last step has one anyway.
    per_dispatch: steps handed to the devices at once; it divides all others.
    most_skipped: so many steps skipped in a row end the run.
    """

    steps: int
    log_every: int = 100
    checkpoint_every: int = 1000
    per_dispatch: int = 1
    most_skipped: int = 20


class Event(NamedTuple):
    """Something to do now and then: evaluate, draw samples.

    every: steps between two times; the last step has one anyway.
    run: state -> metrics by name, or None; it must not keep the state, whose buffers
        are used again. All processes run it.
    """

    every: int
    run: Callable[[State], Mapping[str, Any] | None]


def check(plan: Plan, events: Sequence[Event]) -> None:
    r"""Every number is at least 1, every interval a whole number of dispatches.

        interval mod per_dispatch = 0

    Args: plan: Plan.  events: Event.
    Returns: nothing (no unit).
    """
    for name, value in {**plan._asdict(), "every": 1}.items():
        if value < 1:
            raise ValueError(f"expected {name} >= 1, got {value}; give a whole number")
    spans = [plan.steps, plan.log_every, plan.checkpoint_every]
    for span in [*spans, *(event.every for event in events)]:
        if span < 1 or span % plan.per_dispatch:
            raise ValueError(
                f"expected intervals that are multiples of per_dispatch = "
                f"{plan.per_dispatch}, got {span}; change one of them"
            )
