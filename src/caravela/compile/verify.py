"""Verify the finished table, so that a mistake of the compiler is found here and not in a run."""

from __future__ import annotations

from caravela.compile.draft import Draft
from caravela.errors import CaravelaError
from caravela.machine import State

__all__ = ["verify"]


def verify(draft: Draft) -> Draft:
    """Verify that names are unique, that ways lead somewhere and that only final states have none.

    Raises:
        CaravelaError: The compiler made a mistake. Please report the flow that shows it.

    >>> from caravela.compile import compile_steps
    >>> from caravela.steps import wait
    >>> compile_steps("f", (wait(1),)).initial.name
    'sleeping'
    """
    names = [state.name for state in draft.states]
    left = {transition.source for transition in draft.transitions}
    faults = [f"two states are called {name}" for name in sorted({name for name in names if names.count(name) > 1})]
    faults += [f"{state.name} {fault}" for state in draft.states if (fault := _fault(state, left))]
    faults += [f"{way} leads nowhere" for way in draft.transitions if not {way.source, way.target} <= set(names)]
    if faults:
        raise CaravelaError(f"the compiler made a wrong table, please report it: {'; '.join(faults)}", flow=draft.flow)
    return draft


def _fault(state: State, left: set[str]) -> str:
    if state.final == (state.name in left):
        return "is final and can be left" if state.final else "cannot be left"
    return ""
