"""What there is to draw, the same for all pictures: which states, and which ways between them, in words.

Transient states are folded away: a way that leads to one is followed to the states behind it at which a run can rest
or end, and the conditions on the way there are put into one sentence. Ways between the same two states become one
edge, so that a picture has one line where the table has `signal`, `mark_dirty` and the condition that holds on entry.

An edge is always kept; only its words are cut where they would fill the picture: `any signal` instead of many names,
`the function failed in a, b or 7 more`. The table itself (`machine.transitions`) has all of them.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from caravela.diagrams.words import ANYTHING, Reason, guard_in_words, joined_events, longer
from caravela.errors import ExportError
from caravela.vocabulary import DONE, EVENTLESS

if TYPE_CHECKING:
    from caravela.machine import Machine, State

__all__ = ["AT_ONCE", "Edge", "Node", "Picture", "Way", "fold"]

AT_ONCE = "at once"
"""What stands for the event where a state can be left without one. No signal can have this name."""

_MOST_REASONS = 4
"""So many ways to a folded state are told apart. Without a limit, ten loops in a row would have a thousand."""

_MOST_NAMES = 30


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """One state to draw.

    Attributes:
        state: The machine state.
        title: What is written on it.
        active: Whether it is the one to mark.
    """

    state: State
    title: str
    active: bool = False


@dataclass(frozen=True, slots=True)
class Way:
    """What can make a transition happen: one of some events, under a guard. `str()` puts it into words."""

    events: tuple[str, ...]
    guard: str = ""

    def __str__(self) -> str:
        events = " | ".join(event for event in self.events if event)
        return " ".join(part for part in (events, f"[{self.guard}]" if self.guard else "") if part)


@dataclass(frozen=True, slots=True)
class Edge:
    """One line to draw; `source` is None for the start of a run."""

    source: State | None
    target: State
    ways: tuple[Way, ...]

    @property
    def breaks_off(self) -> bool:
        """Whether it leads to an end other than `done`. Many do, so that pictures keep them in the background."""
        return self.target.final and self.target.kind != DONE


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """What there is to draw, in the order of the table.

    Attributes:
        nodes: The states.
        starts: The edges from outside to the states in which a run can begin.
        edges: All other edges; no two have the same source and target.
    """

    nodes: tuple[Node, ...]
    starts: tuple[Edge, ...]
    edges: tuple[Edge, ...]


def fold(machine: Machine, *, active: str | None = None, transient: bool = False) -> Picture:
    """Give what there is to draw.

    Args:
        machine: The machine.
        active: The name of a machine state to mark; it is drawn even if it is transient.
        transient: Draw the transient states, too.

    Raises:
        ExportError: There is no machine state of that name.

    >>> from caravela.compile import compile_steps
    >>> from caravela.steps import set_state, wait
    >>> picture = fold(compile_steps("nap", (wait(1), set_state(rested=True))))
    >>> for edge in picture.edges:
    ...     print(edge.source.name, *edge.ways, edge.target.name, sep=", ")
    sleeping, elapsed, done
    sleeping, signal, sleeping
    sleeping, elapsed [the function failed in set_state], failed
    sleeping, stop, stopped
    """
    marked = None if active is None else _find(machine, active)
    drawn = [state for state in machine.states if transient or not state.transient or state is marked]
    folding = _Folding(machine, frozenset(state.name for state in drawn))
    return Picture(
        nodes=tuple(Node(state=state, title=_title(state, marked, active), active=state is marked) for state in drawn),
        starts=folding.starts(),
        edges=tuple(edge for state in drawn for edge in folding.edges(state)),
    )


def _title(state: State, marked: State | None, active: str | None) -> str:
    if state is marked and active is not None and state.params and active != state.name:
        return active
    return state.title


def _find(machine: Machine, active: str) -> State:
    """Find a state by its name, with or without the values of its parameters."""
    state = machine.by_name.get(active.partition("(")[0])
    if state is not None:
        params = ", ".join(rf"{param}=\w+" for param in state.params)
        if active == state.name or (state.params and re.fullmatch(rf"{re.escape(state.name)}\({params}\)", active)):
            return state
    names = [state.title for state in machine.states]
    more = f", and {len(names) - _MOST_NAMES} more" if len(names) > _MOST_NAMES else ""
    raise ExportError(
        f"there is no machine state {active!r} to mark; there are {', '.join(names[:_MOST_NAMES])}{more}",
        flow=machine.name,
        wrong=f"active={active!r}",
        right=f"active={names[0]!r}",
    )


def _in_order(edges: Iterable[Edge]) -> tuple[Edge, ...]:
    """Put what goes on first, then what stays, then what breaks off; apart from that the order of the table."""
    return tuple(sorted(edges, key=lambda edge: (edge.breaks_off, edge.target is edge.source)))


class _Folding:
    """Follows the ways of one machine through the states that are not drawn."""

    def __init__(self, machine: Machine, drawn: frozenset[str]) -> None:
        self.machine = machine
        self.drawn = drawn
        self.cache: dict[tuple[str, Reason], dict[str, list[Reason]]] = {}

    def starts(self) -> tuple[Edge, ...]:
        behind = self._behind(self.machine.initial.name, ())
        return _in_order(self._edge(None, target, {EVENTLESS: reasons}) for target, reasons in behind.items())

    def edges(self, source: State) -> tuple[Edge, ...]:
        found: dict[str, dict[str, list[Reason]]] = {}
        for transition in self.machine.outgoing[source.name]:
            event = transition.event or ("" if source.transient else AT_ONCE)
            behind = self._behind(transition.target, longer((), transition.guard))
            for target, reasons in behind.items():
                found.setdefault(target, {}).setdefault(event, []).extend(reasons)
        return _in_order(self._edge(source, target, events) for target, events in found.items())

    def _edge(self, source: State | None, target: str, events: dict[str, list[Reason]]) -> Edge:
        """Make one edge of all ways between two states; events under the same guard share a way."""
        by_guard: dict[str, list[str]] = {}
        for event, reasons in events.items():
            by_guard.setdefault(guard_in_words(reasons), []).append(event)
        ways = tuple(Way(joined_events(names, self.machine.signals), guard) for guard, names in by_guard.items())
        return Edge(source, self.machine.by_name[target], ways)

    def _behind(self, name: str, reason: Reason) -> dict[str, list[Reason]]:
        """Give the drawn states that a way to this state leads to, each with the reasons for which it does."""
        if (name, reason) not in self.cache:
            self.cache[name, reason] = self._followed(name, reason)
        return self.cache[name, reason]

    def _followed(self, name: str, reason: Reason) -> dict[str, list[Reason]]:
        found = {name: [reason]}
        pending = deque([(name, reason)])
        while pending:
            at, because = pending.popleft()
            if at in self.drawn:
                continue
            for way in self.machine.outgoing[at]:
                if way.event != EVENTLESS:  # a yielding loop head: only what follows it is drawn
                    continue
                known = found.setdefault(way.target, [])
                added = self._added(known, way.target, longer(because, way.guard, self.machine.by_name[at]))
                if added is not None:
                    known.append(added)
                    pending.append((way.target, added))
        return {target: reasons for target, reasons in found.items() if target in self.drawn}

    def _added(self, known: list[Reason], target: str, reason: Reason) -> Reason | None:
        """Give what a newly found reason adds to the known ones; None for nothing."""
        if target not in self.drawn and len(known) >= _MOST_REASONS - 1:
            reason = ANYTHING
        return None if reason in known or (target not in self.drawn and ANYTHING in known) else reason
