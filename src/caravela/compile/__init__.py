"""Steps to machine. `PASSES` is the whole compiler: one pass, one file, one verb."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from caravela.compile.check import check
from caravela.compile.draft import Draft
from caravela.compile.link import link
from caravela.compile.lower import lower
from caravela.compile.name import name
from caravela.compile.prune import prune
from caravela.compile.verify import verify

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from caravela.machine import Machine
    from caravela.nodes import Step

__all__ = ["PASSES", "compile_steps"]

PASSES: tuple[Callable[[Draft], Draft], ...] = (check, name, lower, link, prune, verify)


def compile_steps(
    flow: str, steps: tuple[Step[Any], ...], signals: Mapping[str, Callable[..., Any]] | None = None
) -> Machine:
    """Compile the steps of a flow.

    Raises:
        FlowDefinitionError: A step, an option or their order is wrong.

    >>> from caravela.steps import wait
    >>> [state.name for state in compile_steps("nap", (wait(1),)).states]
    ['sleeping', 'done', 'stopped']
    """
    draft = Draft(flow=flow, steps=steps, signals={} if signals is None else signals)
    for one_pass in PASSES:
        draft = one_pass(draft)
    return draft.machine()
