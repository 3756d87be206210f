"""Where a transition stands while it is made: the one mutable thing in the core, gone when `advance` returns."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from caravela.backoff import seconds_of
from caravela.core.record import Record
from caravela.core.snapshot import MEMORY, NEVER, Attempt, Failure, Leaving, RawSnapshot, machine_state
from caravela.errors import StateError, StepError, StepFailedError
from caravela.functions import discard_awaitable
from caravela.machine import Machine, State
from caravela.nodes import Step
from caravela.outcomes import Abort, Fail, Ok, Retry, Skip
from caravela.state import changed

__all__ = ["CANCEL_TIMEOUT", "Cursor", "duration", "error_of", "holds", "require_state"]

CANCEL_TIMEOUT = 5.0
"""Seconds after which a cancelled function that does not settle counts as abandoned."""


class Cursor:
    """Where a transition stands while it is made."""

    __slots__ = ("apply", "at", "draw", "due", "machine", "memory", "now", "record", "registers", "state", "token")

    def __init__(
        self,
        machine: Machine,
        snapshot: RawSnapshot,
        now: float,
        record: Record | None,
        draw: float = 0.0,
        apply: Callable[[Any], Any] | None = None,
    ) -> None:
        self.machine = machine
        self.at, self.state, self.due, self.token, self.registers, self.memory = snapshot
        self.now = now
        self.record = record
        self.draw = draw
        self.apply = apply

    @property
    def row(self) -> State:
        """The state at which it stands."""
        return self.machine.states[self.at]

    def snapshot(self) -> RawSnapshot:
        """Give where it stands, frozen."""
        return (self.at, self.state, self.due, self.token, self.registers, self.memory)

    def event(self, name: str) -> None:
        """Say what made the transition happen."""
        if self.record is not None:
            self.record.event = name

    def change(self, new: Any) -> None:
        """Take a new state."""
        if self.record is not None and changed(self.state, new):
            self.record.change(new)
        self.state = new

    def apply_postponed(self) -> None:
        """Apply the signals that waited for a function to settle. They are applied once."""
        if self.apply is not None:
            self.state = self.apply(self.state)
            self.apply = None

    def go(self, at: int, memory: Any = None) -> None:
        """Stand at another state, which is entered next."""
        self.at = at
        self.memory = memory

    def rest(self, due: float = NEVER, memory: Any = None) -> bool:
        """Stay here until an event comes."""
        self.due = due
        self.memory = memory
        return False

    def fail(
        self, row: State, error: BaseException, reason: Any = None, attempts: tuple[BaseException, ...] = ()
    ) -> None:
        """Go the way of a failure of this state."""
        self.go(row.fail, self.failure(row, error, reason, attempts))

    def failure(
        self, row: State, error: BaseException, reason: Any = None, attempts: tuple[BaseException, ...] = ()
    ) -> Failure:
        """Give the failure of this state, saying where it happened."""
        name = machine_state(self.machine, (row.index, self.state, NEVER, self.token, (), self.memory))
        if isinstance(error, StepError):
            error.locate(flow=self.machine.name, step=row.path, machine_state=name)
        return Failure(
            reason=error if reason is None else reason,
            error=error,
            path=row.path,
            machine_state=name,
            attempts=attempts or getattr(self.memory, "errors", ()),
        )

    def cancel(self, row: State, in_flight: int, exit_to: int, source: Any, failure: Failure | None = None) -> None:
        """Rest until the functions of this state have settled; then go on to `exit_to`."""
        self.at = row.cancel
        self.rest(self.now + CANCEL_TIMEOUT, Leaving(in_flight, source, exit_to, failure))


def in_flight(snapshot: RawSnapshot) -> int:
    """Give how many functions of an invoking state are out."""
    memory = snapshot[MEMORY]
    return 1 if isinstance(memory, Attempt) else int(memory.in_flight)


def duration(value: Any, state: Any, what: str) -> float:
    """Give a duration in seconds, asking its function if it is one."""
    if type(value) is float:
        return value
    return seconds_of(value(state) if callable(value) else value, what)


def holds(answer: Any, what: str) -> bool:
    """Give a condition's answer as a bool."""
    if answer is True or answer is False:
        return bool(answer)
    if discard_awaitable(answer):
        raise StateError(
            f"{what} gave an awaitable, which is always true",
            wrong=f"{what}=lambda state: check(state), where check is async",
            right="run(check, collect_as=...), and a condition on what it stored",
        )
    return bool(answer)


def require_state(new: Any, what: str) -> Any:
    """Refuse what cannot have been meant as a state: None, an awaitable, an outcome, a step."""
    if new is None:
        fault = "None; is a return missing?"
    elif isinstance(new, (Ok, Retry, Fail, Abort, Skip)):
        fault = f"{type(new).__name__}(...), an outcome, which only functions of run and each return"
    elif isinstance(new, Step):
        fault = "a step"
    elif discard_awaitable(new):
        fault = "an awaitable; async functions belong into run"
    else:
        return new
    raise StateError(
        f"{what} gave no state but {fault}",
        wrong="lambda state: state.update(dirty=False)",
        right="lambda state: evolve(state, dirty=False)",
    )


def error_of(reason: Any) -> BaseException:
    """Give the exception behind a reason."""
    return reason if isinstance(reason, BaseException) else StepFailedError(reason)
