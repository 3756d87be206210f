"""Which steps can rest, which never end, and how many transient steps can follow each other."""

from __future__ import annotations

import math
from datetime import timedelta
from typing import Any

from caravela.nodes import Debounce, FailStep, Parallel, Race, Repeat, Run, Sequence, SetState, Step, Wait

__all__ = ["always_rests", "ends_here", "never_rests", "transient_steps"]


def never_rests(steps: tuple[Step[Any], ...]) -> bool:
    """Say whether no step among these can ever rest, whatever the state.

    >>> from caravela.steps import set_state, wait, wait_until
    >>> never_rests((set_state(n=1), wait(0))), never_rests((wait_until(bool),))
    (True, False)
    """
    return not any(_can_rest(step) for step in steps)


def _can_rest(step: Step[Any]) -> bool:
    match step:
        case SetState() | FailStep():
            return False
        case Wait(seconds=seconds):
            return callable(seconds) or bool(seconds)
        case Repeat(times=0):
            return False
        case Repeat(steps=steps) | Sequence(steps=steps):
            return not never_rests(steps)
        case Parallel(tasks=tasks) | Race(tasks=tasks):
            return callable(tasks) or bool(tasks)
        case _:
            return True


def always_rests(step: Step[Any]) -> bool:
    """Say whether passing a step always takes a rest, whatever the state."""
    match step:
        case Debounce() | Run():
            return True
        case Wait(seconds=seconds):
            return not callable(seconds) and seconds != timedelta(0) and seconds != 0
        case Repeat(times=0):
            return False
        case Repeat(steps=steps) | Sequence(steps=steps):
            return any(always_rests(inner) for inner in steps)
        case Parallel(tasks=tasks) | Race(tasks=tasks):
            return not callable(tasks) and bool(tasks)
        case _:
            return False


def ends_here(step: Step[Any]) -> bool:
    """Say whether nothing after this step can be reached."""
    match step:
        case FailStep():
            return True
        case Race(tasks=tasks):
            return not callable(tasks) and not tasks
        case Repeat(times=0):
            return False
        case Repeat(times=None, until=None):
            return True
        case Repeat(steps=steps) | Sequence(steps=steps):
            return any(ends_here(inner) for inner in steps)
        case _:
            return False


def transient_steps(steps: tuple[Step[Any], ...]) -> float:
    """Give an upper bound for the transient states that can be passed in a row; infinite for open loops."""
    total = 0.0
    for step in steps:
        match step:
            case Sequence(steps=inner):
                total += transient_steps(inner)
            case Repeat(steps=inner, times=times):
                rounds = math.inf if times is None else times
                total += 1 + (rounds * (1 + transient_steps(inner)) if rounds else 0)
            case _:
                total += 1
    return total
