"""Leave out the states that nothing can reach, such as `done` behind an endless `repeat`."""

from __future__ import annotations

from caravela.compile.draft import Draft
from caravela.compile.link import linked

__all__ = ["prune"]


def prune(draft: Draft) -> Draft:
    """Leave out the states that nothing can reach.

    >>> from caravela.compile import compile_steps
    >>> from caravela.steps import repeat, wait
    >>> [state.name for state in compile_steps("f", (repeat(wait(1)),)).states]
    ['sleeping', 'again', 'stopped']
    """
    ways: dict[str, list[str]] = {}
    for transition in draft.transitions:
        ways.setdefault(transition.source, []).append(transition.target)
    reached = {draft.states[0].name}
    pending = [draft.states[0].name]
    while pending:
        for target in ways.get(pending.pop(), ()):
            if target not in reached:
                reached.add(target)
                pending.append(target)
    kept = tuple(block for block, state in zip(draft.blocks, draft.states, strict=True) if state.name in reached)
    return linked(draft, kept)
