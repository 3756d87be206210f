"""From where to where one event can lead: the table with everything that is passed on the way left out.

A run rests at a *place*: a machine state or, unrolled, one attempt of it. One event can carry it through transient
states, and through resting ones whose condition holds at once. A *move* is what a trace records of that: a source, an
event, a target.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import cast

from caravela.errors import ExportError
from caravela.machine import Machine, State, Transition
from caravela.nodes import Run
from caravela.vocabulary import BACKOFF, CANCELLING, EVENTLESS, ITERATING, RETRIED, RUNNING

__all__ = ["Move", "Place", "moves", "places", "starts"]


@dataclass(frozen=True, slots=True)
class Place:
    """Where a run can rest.

    Attributes:
        state: The machine state.
        attempt: The attempt, from 1; 0 where attempts are not told apart.
    """

    state: State
    attempt: int = 0

    @property
    def name(self) -> str:
        """The name of the machine state; unrolled, the live name."""
        return self.state.live_name({"attempt": self.attempt}) if self.attempt else self.state.name


@dataclass(frozen=True, slots=True)
class Move:
    """What a trace records of one transition."""

    source: Place
    event: str
    target: Place


def places(machine: Machine, *, unroll: bool) -> tuple[Place, ...]:
    """Give all places, in the order of the table.

    Raises:
        ExportError: There is no last attempt, or the number of items is not known.
    """
    return tuple(
        Place(state, attempt)
        for state in machine.states
        if _rests(machine, state)
        for attempt in (_attempts(machine, state) if unroll else (0,))
    )


def starts(machine: Machine, *, unroll: bool) -> tuple[Place, ...]:
    """Give the places in which a run can begin; the first is where it begins if nothing is passed or fails."""
    initial = machine.initial
    return tuple(_arrivals(machine, Place(initial, 1 if unroll and "attempt" in initial.params else 0), unroll=unroll))


def moves(machine: Machine, *, unroll: bool) -> Iterator[Move]:
    """Give all moves, each once, in the order of the table."""
    for source in places(machine, unroll=unroll):
        seen: set[tuple[str, Place]] = set()
        for transition in machine.outgoing[source.state.name]:
            for entered in _entered(machine, source, transition, unroll=unroll) if transition.event else ():
                for target in _arrivals(machine, entered, unroll=unroll):
                    if (transition.event, target) not in seen:
                        seen.add((transition.event, target))
                        yield Move(source, transition.event, target)


def _rests(machine: Machine, state: State) -> bool:
    """Say whether a run can stop here: at the end, or because some event is waited for."""
    return state.final or any(transition.event for transition in machine.outgoing[state.name])


def _arrivals(machine: Machine, entered: Place, *, unroll: bool) -> Iterator[Place]:
    """Give the places at which a run that enters a state can come to rest: the nearest on its way first."""
    found: set[Place] = set()
    pending = [entered]
    while pending:
        place = pending.pop()
        if place in found:
            continue
        found.add(place)
        if _rests(machine, place.state):
            yield place
        ways = [way for way in machine.outgoing[place.state.name] if way.event == EVENTLESS]
        for way in reversed(ways):  # the first of the table is followed first
            pending.extend(_entered(machine, place, way, unroll=unroll))


def _entered(machine: Machine, place: Place, transition: Transition, *, unroll: bool) -> tuple[Place, ...]:
    """Give the places that a transition of the table enters; several only where the attempt was forgotten."""
    target, source = machine.by_name[transition.target], place.state
    if not unroll:
        return (Place(target),)
    if transition.event == RETRIED and target.index != source.retry and place.attempt < _last(source):
        return ()  # while attempts are left, the function gets what it asked for
    return tuple(Place(target, attempt) for attempt in _entered_attempts(place, target))


def _entered_attempts(place: Place, target: State) -> Iterable[int]:
    """Give the attempts with which a state can be entered from a place; 0 for a state without any."""
    source = place.state
    if "attempt" not in target.params:
        return (0,)
    if target is source:
        return (place.attempt,)
    if source.kind == BACKOFF and source.body == target.index:
        return (place.attempt + 1,)
    if target.kind != BACKOFF:
        return (1,)
    before_the_last = range(1, _last(target))
    if source.kind == CANCELLING:
        return before_the_last  # it shows no attempt
    return (place.attempt,) if place.attempt in before_the_last else ()


def _last(state: State) -> int:
    return cast("int", cast("Run[object]", state.step).policy.retries) + 1


def _attempts(machine: Machine, state: State) -> range:
    """Give the attempts to tell apart; (0,) for a state without any."""
    if "index" in state.params or state.kind == ITERATING:
        raise _refused(machine, state, "how many items there are is known only when it runs", "")
    if "attempt" not in state.params:
        return range(1)
    if cast("Run[object]", state.step).policy.retries is None:
        raise _refused(machine, state, "with retries=None there is no last attempt", "run(..., retries=5), or ")
    return range(1, _last(state) + (state.kind == RUNNING))


def _refused(machine: Machine, state: State, why: str, instead: str) -> ExportError:
    return ExportError(
        f"{state.title} cannot be unrolled into one state per attempt: {why}",
        flow=machine.name,
        step=state.path,
        machine_state=state.title,
        wrong="to_transitions(machine, unroll=True)",
        right=f"{instead}to_transitions(machine)",
    )
