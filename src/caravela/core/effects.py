"""What has to be done: the difference between two snapshots, as data."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias, cast

from caravela import vocabulary as v
from caravela.core.snapshot import AT, DUE, MEMORY, NEVER, STATE, TOKEN, Attempt, RawSnapshot, Tasks
from caravela.machine import Machine
from caravela.nodes import Each, Parallel, Race, Run
from caravela.state import copied

__all__ = ["Cancel", "Effect", "End", "Invoke", "SetTimer", "Yield", "effects", "invocation", "invoked"]


@dataclass(frozen=True, slots=True)
class SetTimer:
    """Send `elapsed` at a time, instead of the one planned before; at no time if `due` is infinite."""

    due: float


@dataclass(frozen=True, slots=True)
class Invoke:
    """Call a function, or one of several tasks, under a number."""

    token: int
    index: int = 0


@dataclass(frozen=True, slots=True)
class Cancel:
    """Cancel all functions that were called under a number."""

    token: int


@dataclass(frozen=True, slots=True)
class Yield:
    """Let others have their turn, then send `resumed`."""


@dataclass(frozen=True, slots=True)
class End:
    """The run is over."""

    kind: str


Effect: TypeAlias = SetTimer | Invoke | Cancel | Yield | End


def effects(machine: Machine, old: RawSnapshot | None, new: RawSnapshot) -> tuple[Effect, ...]:
    """Give what has to be done between two snapshots; `old` is None at the start.

    >>> from caravela.compile import compile_steps
    >>> from caravela.core.advance import start
    >>> from caravela.steps import debounce
    >>> calm = compile_steps("calm", (debounce(0.5),))
    >>> effects(calm, None, start(calm, {}, now=1.0))
    (SetTimer(due=1.5),)
    """
    found: list[Effect] = []
    if new[DUE] != (NEVER if old is None else old[DUE]):
        found.append(SetTimer(new[DUE]))
    kind = machine.rows[new[AT]][0]
    if kind == v.CANCELLING and old is not None and machine.rows[old[AT]][0] != v.CANCELLING:
        found.append(Cancel(new[TOKEN]))
    found.extend(Invoke(new[TOKEN], index) for index in invoked(machine, old, new))
    if kind in v.FINAL_KINDS:
        found.append(End(kind))
    elif kind in v.TRANSIENT_KINDS:
        found.append(Yield())
    return tuple(found)


def invoked(machine: Machine, old: RawSnapshot | None, new: RawSnapshot) -> range:
    """Give the indexes of the functions that `new` has in flight and `old` had not."""
    if machine.rows[new[AT]][0] not in v.INVOKING_KINDS:
        return range(0)
    memory = new[MEMORY]
    going_on = old is not None and old[AT] == new[AT] and old[TOKEN] == new[TOKEN]
    if isinstance(memory, Attempt):
        return range(0 if going_on else 1)
    return range(cast("Tasks", cast("RawSnapshot", old)[MEMORY]).started if going_on else 0, memory.started)


def invocation(machine: Machine, snapshot: RawSnapshot, index: int) -> tuple[Callable[..., Any], tuple[Any, ...]]:
    """Give the function to call, and its arguments."""
    step = machine.states[snapshot[AT]].step
    match step:
        case Run(fn=fn):
            return fn, (copied(snapshot[STATE]),)
        case Each(fn=fn):
            return fn, (snapshot[MEMORY].items[snapshot[MEMORY].index], copied(snapshot[STATE]))
        case _:
            given = snapshot[MEMORY].given
            tasks = cast("Parallel[Any] | Race[Any]", step).tasks if given is None else given
            return tuple(tasks.values() if isinstance(tasks, Mapping) else cast("Any", tasks))[index], ()
