"""What the passes hand on: a flow on its way to a machine."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from caravela.machine import NOWHERE, Machine, Requirement, Row, State, Transition
from caravela.nodes import Repeat, Sequence, Step

__all__ = ["Block", "Draft", "builder_name", "children", "inner_steps", "places"]


@dataclass(slots=True, eq=False)
class Block:
    """A machine state while the table is being built: exits are other blocks, not yet indexes."""

    kind: str
    path: str = ""
    label: str = ""
    step: Step[Any] | None = None
    params: tuple[str, ...] = ()
    register: int = NOWHERE
    transient: bool = False
    final: bool = False
    postpones: bool = False
    yields: bool = False
    next: Block | None = None
    fail: Block | None = None
    stop: Block | None = None
    body: Block | None = None
    retry: Block | None = None
    cancel: Block | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """A flow on its way to a machine; every pass gives a new one with more of it filled in.

    Attributes:
        flow: The name of the flow.
        steps: The tree.
        signals: The declared signals.
        labels: The label of each step, by path.
        blocks: The states in order, from lowering on.
        registers: How many registers the states use.
        requirements: The fields that the steps name.
        states: The finished states, from linking on.
        transitions: The finished transitions, from linking on.
        rows: What the core reads.
    """

    flow: str
    steps: tuple[Step[Any], ...]
    signals: Mapping[str, Callable[..., Any]]
    labels: Mapping[str, str] = field(default_factory=dict)
    blocks: tuple[Block, ...] = ()
    registers: int = 0
    requirements: tuple[Requirement, ...] = ()
    states: tuple[State, ...] = ()
    transitions: tuple[Transition, ...] = ()
    rows: tuple[Row, ...] = ()

    def machine(self) -> Machine:
        """Give the finished machine."""
        return Machine(
            name=self.flow,
            states=self.states,
            transitions=self.transitions,
            signals=tuple(self.signals),
            registers=self.registers,
            requirements=self.requirements,
            rows=self.rows,
        )


_BUILDERS = {
    "SetState": "set_state",
    "WaitUntil": "wait_until",
    "FailStep": "fail",
}


def builder_name(step: Step[Any]) -> str:
    """Give the name of the function that builds such a step."""
    name = type(step).__name__
    return _BUILDERS.get(name, name.lower())


def children(steps: tuple[Any, ...], path: str = "") -> Iterator[tuple[str, Any]]:
    """Give each of some steps with its path: `repeat[0].run[2]`."""
    for index, step in enumerate(steps):
        shown = builder_name(step) if isinstance(step, Step) else "?"
        yield f"{path}{'.' if path else ''}{shown}[{index}]", step


def inner_steps(step: Step[Any]) -> tuple[Step[Any], ...]:
    """Give the steps inside a step."""
    return step.steps if isinstance(step, (Sequence, Repeat)) else ()


def places(steps: tuple[Any, ...], path: str = "") -> Iterator[tuple[str, Any]]:
    """Give all steps of a tree with their paths, outer before inner."""
    for place, step in children(steps, path):
        yield place, step
        if isinstance(step, Step):
            yield from places(inner_steps(step), place)
