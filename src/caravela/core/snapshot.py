"""Where one run stands: plain data, enough to go on from.

Inside it is a plain tuple, since one is made for every event. `Snapshot` is the same for whoever wants to read it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from caravela.machine import Machine

__all__ = ["Failure", "RawSnapshot", "Snapshot", "describe", "failure_of", "machine_state"]

RawSnapshot: TypeAlias = tuple[int, Any, float, int, tuple[int, ...], Any]
"""At which row, the state, the deadline, the number of the invocation, the registers, and what the step remembers."""

AT: Final = 0
STATE: Final = 1
DUE: Final = 2
TOKEN: Final = 3
REGISTERS: Final = 4
MEMORY: Final = 5

NEVER: Final = math.inf
"""The deadline of a state that waits for no time."""


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a run failed.

    Attributes:
        reason: What was given: a text, or the exception.
        error: The exception behind it; `StepFailedError` for a text.
        path: The place of the step in the flow.
        machine_state: The machine state, with its parameters.
        attempts: The exceptions of the step's attempts, in order.
    """

    reason: Any
    error: BaseException
    path: str
    machine_state: str
    attempts: tuple[BaseException, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """Where one run stands, to read.

    Attributes:
        machine_state: The name of the machine state, with its parameters.
        state: The user's state.
        due: The next deadline, in seconds; infinite for none.
        token: The number of the current or next invocation.
        registers: The counts of the open loops.
        memory: What the current step remembers.
        failure: Why the run failed; None if it did not.
    """

    machine_state: str
    state: Any
    due: float
    token: int
    registers: tuple[int, ...]
    memory: Any
    failure: Failure | None


@dataclass(frozen=True, slots=True)
class Attempt:
    """What `running`, `iterating` and `backoff` remember.

    Attributes:
        number: The attempt, from 1.
        errors: The exceptions of the attempts before, in order.
        delay: Seconds waited before this attempt; None before the first retry.
        after: Seconds that a `Retry(after=...)` asked for; None for none.
        index: The index of the item, from 0.
        items: The items of an `each`.
    """

    number: int = 1
    errors: tuple[BaseException, ...] = ()
    delay: float | None = None
    after: float | None = None
    index: int = 0
    items: tuple[Any, ...] = ()


@dataclass(frozen=True, slots=True)
class Tasks:
    """What `gathering` and `racing` remember. The log is a chain of (index, value, log before), newest first.

    Attributes:
        given: The tasks that a function of the state gave; None where the step names them.
        total: How many tasks there are.
        started: How many were started.
        returned: How many have returned.
        log: What they returned.
    """

    given: Any
    total: int
    started: int
    returned: int = 0
    log: Any = None

    @property
    def in_flight(self) -> int:
        """How many tasks have been started and have not returned."""
        return self.started - self.returned


@dataclass(frozen=True, slots=True)
class Leaving:
    """What `cancelling` remembers: how many functions it waits for, and the way it takes then.

    Attributes:
        in_flight: How many cancelled functions have not settled.
        source: What the cancelled step remembers.
        exit: The row to go on to.
        failure: The failure to go on with; None for none.
    """

    in_flight: int
    source: Any
    exit: int
    failure: Failure | None = None


def machine_state(machine: Machine, snapshot: RawSnapshot) -> str:
    """Give the name of the machine state, with the values of its parameters: `running(attempt=2)`."""
    state = machine.states[snapshot[AT]]
    if not state.params:
        return state.name
    memory = snapshot[MEMORY]
    # In `backoff` the memory is that of the attempt that failed.
    number = memory.number if isinstance(memory, Attempt) else 1
    return state.live_name({"attempt": number, "index": getattr(memory, "index", 0)})


def failure_of(snapshot: RawSnapshot) -> Failure | None:
    """Give why a run failed; None if it did not."""
    return snapshot[MEMORY] if isinstance(snapshot[MEMORY], Failure) else None


def describe(machine: Machine, snapshot: RawSnapshot) -> Snapshot:
    """Give a snapshot to read.

    >>> from caravela.compile import compile_steps
    >>> from caravela.core.advance import start
    >>> from caravela.steps import wait
    >>> nap = compile_steps("nap", (wait(1),))
    >>> describe(nap, start(nap, {"n": 1}, now=10.0)).due
    11.0
    """
    _, state, due, token, registers, memory = snapshot
    return Snapshot(
        machine_state=machine_state(machine, snapshot),
        state=state,
        due=due,
        token=token,
        registers=registers,
        memory=memory,
        failure=failure_of(snapshot),
    )
