"""The record of a run's transitions, and its replay through the pure core."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from caravela.core import Effect, RawSnapshot, Record, advance, machine_state, start
from caravela.core.effects import effects
from caravela.core.events import Event
from caravela.core.postponed import Postponed
from caravela.machine import Machine

__all__ = ["TransitionRecord", "recorded", "replay"]


@dataclass(frozen=True, slots=True, kw_only=True)
class TransitionRecord:
    """One transition of one run.

    Attributes:
        seq: Its number in the run, from 1.
        time: When it was made, in seconds of the backend's clock.
        source: The machine state it left; empty for the first.
        event: What made it happen: `signal`, `elapsed`, `succeeded`, … or the name of a declared signal.
        target: The machine state it led to.
        passed: The names of the states passed through without resting, in order.
        effects: What had to be done.
        signals: The names of the postponed signals that were applied on the way, in order.
        input: What the core was given; enough to replay the transition.
    """

    seq: int
    time: float
    source: str
    event: str
    target: str
    passed: tuple[str, ...] = ()
    effects: tuple[Effect, ...] = ()
    signals: tuple[str, ...] = ()
    input: Event = field(default=(), repr=False, compare=False)

    def __str__(self) -> str:
        through = f" through {', '.join(self.passed)}" if self.passed else ""
        return f"{self.time:g} {self.source or 'start'} --{self.event}--> {self.target}{through}"


def recorded(
    machine: Machine, seq: int, time: float, old: RawSnapshot | None, new: RawSnapshot, event: Event, record: Record
) -> TransitionRecord:
    """Make the record of a transition."""
    return TransitionRecord(
        seq=seq,
        time=time,
        source="" if old is None else machine_state(machine, old),
        event=record.event,
        target=machine_state(machine, new),
        passed=tuple(record.passed),
        effects=effects(machine, old, new),
        signals=tuple(record.signals),
        input=tuple(Postponed(part.signals) if isinstance(part, Postponed) else part for part in event),
    )


def replay(machine: Machine, records: Iterable[TransitionRecord]) -> Iterator[RawSnapshot]:
    """Give the snapshots of a recorded run again, by sending its events through the pure core.

    Args:
        machine: The machine of the run.
        records: All records of the run, from the first.
    """
    snapshot: Any = None
    for record in records:
        if not record.source:  # a declared signal may be called `start`
            now, state = record.input
            snapshot = start(machine, state, now=now)
        else:
            snapshot = advance(machine, snapshot, record.input)
        yield snapshot
