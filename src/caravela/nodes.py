"""The step tree: what a flow is before it is compiled. Frozen records, one for each step; `steps.py` builds them.

A node holds what the user gave, unchecked: `compile/check.py` knows the place of a step in its flow and can name it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Generic, Literal, TypeAlias, TypeVar

__all__ = [
    "BackoffName",
    "Debounce",
    "Duration",
    "Each",
    "FailStep",
    "JitterName",
    "Parallel",
    "Race",
    "Repeat",
    "RetryPolicy",
    "Run",
    "Sequence",
    "SetState",
    "Step",
    "Task",
    "Tasks",
    "Wait",
    "WaitUntil",
]

S = TypeVar("S")
S_contra = TypeVar("S_contra", contravariant=True)

Duration: TypeAlias = float | timedelta | Callable[[S], float | timedelta]
"""Seconds, a `timedelta`, or a function of the state that gives one."""

Task: TypeAlias = Callable[[], object]
"""A function without arguments, plain or async."""

Tasks: TypeAlias = Iterable[Task] | Mapping[str, Task]

BackoffName: TypeAlias = Literal["constant", "linear", "exponential"]
JitterName: TypeAlias = Literal["none", "full", "equal", "decorrelated"]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Step(Generic[S_contra]):
    """One node of the tree. Two equal-looking steps are still two steps: they compare by identity."""

    name: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class RetryPolicy:
    """When an attempt is made again, and how long it may take.

    Attributes:
        retries: Attempts after the first; None for no limit.
        backoff: The curve of the delays.
        base_delay: Seconds.
        max_delay: Seconds, or None for a day.
        jitter: What chance does to a delay.
        attempt_timeout: Seconds for each attempt, or None.
        retry_on: The types, or a predicate, of the exceptions that are retried.
    """

    retries: int | None = 0
    backoff: BackoffName | Callable[[int], float] = "constant"
    base_delay: Duration[Any] = 0.1
    max_delay: Duration[Any] | None = None
    jitter: JitterName = "none"
    attempt_timeout: Duration[Any] | None = None
    retry_on: Any = Exception


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Sequence(Step[S_contra]):
    """Steps in order."""

    steps: tuple[Step[Any], ...]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Repeat(Step[S_contra]):
    """Steps in order, again and again."""

    steps: tuple[Step[Any], ...]
    times: int | None = None
    until: Callable[[Any], object] | None = None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SetState(Step[S_contra]):
    """A new state, at once. `given` is what the user wrote, `fn` what runs."""

    fn: Callable[[Any], Any]
    changes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Wait(Step[S_contra]):
    """A time to pass."""

    seconds: Duration[Any]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class WaitUntil(Step[S_contra]):
    """A condition to become true."""

    predicate: Callable[[Any], object]
    timeout: Duration[Any] | None = None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Debounce(Step[S_contra]):
    """A time without signals."""

    seconds: Duration[Any]
    max_wait: Duration[Any] | None = None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Run(Step[S_contra]):
    """A function of the state, called with retries."""

    fn: Callable[[Any], Any]
    policy: RetryPolicy
    collect_as: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Each(Step[S_contra]):
    """A function of an item and the state, called with every item of a field."""

    key: str
    fn: Callable[[Any, Any], Any]
    policy: RetryPolicy


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Parallel(Step[S_contra]):
    """Tasks beside each other, until all have returned."""

    tasks: Tasks | Callable[[Any], Tasks]
    collect_as: str
    timeout: Duration[Any] | None = None
    limit: int | None = None
    on_error: Literal["fail", "collect"] = "fail"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Race(Step[S_contra]):
    """Tasks beside each other, until the first has succeeded."""

    tasks: Tasks | Callable[[Any], Tasks]
    collect_as: str
    timeout: Duration[Any] | None = None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FailStep(Step[S_contra]):
    """The end, as a failure."""

    reason: Any
