"""The machine: a flat, ordered table of states and transitions. Data only; whoever runs, draws or exports reads it.

A *state* says what is done there and where the ways out lead, as indexes into the table. A *transition* says the same
for readers: which event, under which guard, leads from where to where. Transient states (`set_state`, the ends of a
`repeat`) are passed through without resting; an eventless transition (`event == ""`) leaves them, and leaves a resting
state whose condition holds already on entry.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from caravela.diagrams import to_dot, to_mermaid, to_text
from caravela.nodes import Step

__all__ = ["NOWHERE", "YIELD_AFTER", "Machine", "Requirement", "Row", "State", "Transition"]

NOWHERE = -1
"""An exit that a state does not have."""

YIELD_AFTER = 1_000
"""Transient states in a row after which a loop head gives way to the host."""

Row = tuple[str, Any, int, "State"]
"""What the core reads for one state: its kind, the function or duration to use, the way on, the state itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """One machine state.

    Attributes:
        index: Its place in the table, from 0.
        name: The shortest name that is unique in the flow: `running`, or `running:charge` where several run.
        kind: What it does: `waiting`, `debouncing`, `running`, `backoff`, `set_state`, …
        label: The label of its step.
        params: The parameters that a live state of this name shows, such as `("attempt",)`.
        path: The place of its step in the flow.
        transient: Passed through without resting.
        final: The end of a run.
        postpones: Signals wait here until the function has settled.
        yields: A loop head at which a run that never rests gives way to its host.
        is_async: Whether its function is async; None where that is known only when it is called.
        step: The step that it was compiled from; None for final states.
        register: The register that counts its rounds; -1 for none.
        next: The way on when all went well.
        fail: The way when it failed.
        stop: The way when the flow is stopped.
        body: The first state of a round, or of the next attempt.
        retry: The state that waits before the next attempt.
        cancel: The state that waits for a cancelled function.
    """

    index: int
    name: str
    kind: str
    label: str = ""
    params: tuple[str, ...] = ()
    path: str = ""
    transient: bool = False
    final: bool = False
    postpones: bool = False
    yields: bool = False
    is_async: bool | None = None
    step: Step[Any] | None = field(default=None, repr=False, compare=False)
    register: int = NOWHERE
    next: int = NOWHERE
    fail: int = NOWHERE
    stop: int = NOWHERE
    body: int = NOWHERE
    retry: int = NOWHERE
    cancel: int = NOWHERE

    @property
    def title(self) -> str:
        """The name with its parameters as letters: `running(attempt=n)`."""
        return self.live_name({param: "i" if param == "index" else "n" for param in self.params})

    def live_name(self, values: Mapping[str, object]) -> str:
        """Give the name with the values of its parameters: `running(attempt=2)`."""
        if not self.params:
            return self.name
        return f"{self.name}({', '.join(f'{param}={values[param]}' for param in self.params)})"


@dataclass(frozen=True, slots=True, kw_only=True)
class Transition:
    """One way from a state to another.

    Attributes:
        source: The name of the state it leaves.
        event: What makes it happen; empty if nothing has to.
        target: The name of the state it leads to.
        guard: The condition, in words; empty for none.
    """

    source: str
    event: str
    target: str
    guard: str = ""

    def __str__(self) -> str:
        parts = [self.event, f"[{self.guard}]" if self.guard else ""]
        return f"{self.source} --{' '.join(part for part in parts if part)}--> {self.target}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Requirement:
    """A field that a step names, so that the state can be checked when a flow starts.

    Attributes:
        field: The name of the field.
        option: The option that names it, such as `collect_as`.
        path: The place of the step in the flow.
    """

    field: str
    option: str
    path: str


@dataclass(frozen=True)
class Machine:
    """What the compiler makes of a flow.

    Attributes:
        name: The name of the flow.
        states: All machine states, in the order of the steps; final ones last.
        transitions: All transitions, in the order of their sources.
        signals: The names of the declared signals.
        registers: How many numbers a run remembers beside its state.
        requirements: The fields that the steps name.
    """

    name: str
    states: tuple[State, ...]
    transitions: tuple[Transition, ...]
    signals: tuple[str, ...] = ()
    registers: int = 0
    requirements: tuple[Requirement, ...] = ()
    rows: tuple[Row, ...] = field(default=(), repr=False, compare=False)

    @property
    def initial(self) -> State:
        """The state in which a run begins; it may be transient."""
        return self.states[0]

    @cached_property
    def by_name(self) -> Mapping[str, State]:
        """The states by their names."""
        return {state.name: state for state in self.states}

    @cached_property
    def outgoing(self) -> Mapping[str, tuple[Transition, ...]]:
        """The transitions by the names of their sources."""
        found: dict[str, list[Transition]] = {state.name: [] for state in self.states}
        for transition in self.transitions:
            found[transition.source].append(transition)
        return {name: tuple(ways) for name, ways in found.items()}

    def to_mermaid(self, *, active: str | None = None, transient: bool = False) -> str:
        """Draw the machine as a Mermaid state diagram.

        Args:
            active: A machine state to mark, such as `running(attempt=2)`.
            transient: Draw the states that are passed without resting, too.
        """
        return to_mermaid(self, active=active, transient=transient)

    def to_dot(self, *, active: str | None = None, transient: bool = False) -> str:
        """Draw the machine in Graphviz' DOT language; the arguments are those of `to_mermaid`."""
        return to_dot(self, active=active, transient=transient)

    def to_text(self, *, active: str | None = None, transient: bool = False) -> str:
        """Show the machine as a table for a terminal; the arguments are those of `to_mermaid`."""
        return to_text(self, active=active, transient=transient)

    def _repr_mimebundle_(self, **_: object) -> dict[str, str]:
        return mimebundle(self)


def mimebundle(machine: Machine) -> dict[str, str]:
    """Give what a notebook shows for a machine."""
    return {"text/plain": machine.to_text(), "text/vnd.mermaid": machine.to_mermaid()}
