"""What may come in. An event is a plain tuple that begins with its kind and the time of its handling, in seconds.

Tuples, and small whole numbers for the kinds, because events are made on the hot path (`docs/design.md`). The functions
here are their constructors; nobody else needs to know the order of the parts.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, TypeAlias

__all__ = [
    "Event",
    "abandoned",
    "elapsed",
    "raised",
    "resumed",
    "returned",
    "settled",
    "signal",
    "stop",
]

Event: TypeAlias = tuple[Any, ...]

Apply: TypeAlias = Callable[[Any], Any]
"""What is done to the state between the settling of a function and the way on: the postponed signals."""

SIGNAL: Final = 0
ELAPSED: Final = 1
RETURNED: Final = 2
RAISED: Final = 3
SETTLED: Final = 4
ABANDONED: Final = 5
STOP: Final = 6
RESUMED: Final = 7


def signal(
    now: float, fn: Callable[..., Any], args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None, name: str = ""
) -> Event:
    """Apply `fn(state, *args, **kwargs)` to the state.

    Args:
        now: The time of handling, in seconds.
        fn: The signal function.
        args: Its arguments after the state.
        kwargs: Its keyword arguments.
        name: The name of a declared signal; empty for any other.
    """
    return (SIGNAL, now, fn, args, kwargs, name)


def elapsed(now: float, due: float, draw: float = 0.0, apply: Apply | None = None) -> Event:
    """Time has passed, up to and including `due`.

    Args:
        now: The time of handling, in seconds; new deadlines count from it.
        due: The time for which the tick was planned.
        draw: A random number in [0, 1) for jitter.
        apply: What to do to the state when a function is given up; the postponed signals.
    """
    return (ELAPSED, now, due, draw, apply)


def returned(
    now: float, token: int, value: Any, index: int = 0, draw: float = 0.0, apply: Apply | None = None
) -> Event:
    """A function has returned.

    Args:
        now: The time of handling, in seconds.
        token: The number of the invocation.
        value: What it returned.
        index: Which of several tasks it was.
        draw: A random number in [0, 1) for jitter.
        apply: What to do to the state before the way on; the postponed signals.
    """
    return (RETURNED, now, token, value, index, draw, apply)


def raised(
    now: float, token: int, error: BaseException, index: int = 0, draw: float = 0.0, apply: Apply | None = None
) -> Event:
    """A function has raised; the arguments are those of `returned`."""
    return (RAISED, now, token, error, index, draw, apply)


def settled(now: float, token: int, index: int = 0, draw: float = 0.0) -> Event:
    """A cancelled function has come to its end; the arguments are those of `returned`."""
    return (SETTLED, now, token, index, draw)


def abandoned(now: float, token: int, index: int = 0, draw: float = 0.0) -> Event:
    """A cancelled function goes on, as threads do, and nobody waits for it; the arguments are those of `returned`."""
    return (ABANDONED, now, token, index, draw)


def stop(now: float, apply: Apply | None = None) -> Event:
    """End the run.

    Args:
        now: The time of handling, in seconds.
        apply: What to do to the state when a function is given up; the postponed signals.
    """
    return (STOP, now, apply)


def resumed(now: float) -> Event:
    """Go on after a yield."""
    return (RESUMED, now)
