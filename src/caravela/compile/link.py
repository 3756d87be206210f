"""Link the states: final names, indexes for exits, transitions for readers, rows for the core."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Any

from caravela.compile.draft import Block, Draft
from caravela.compile.edges import edges
from caravela.functions import is_async
from caravela.machine import NOWHERE, Row, State, Transition
from caravela.nodes import Debounce, Each, Run, SetState, Wait, WaitUntil
from caravela.vocabulary import FINAL_KINDS, SIGNAL

__all__ = ["link", "linked"]


def link(draft: Draft) -> Draft:
    """Link the states: final names, indexes for exits, transitions for readers, rows for the core.

    >>> from caravela.compile import compile_steps
    >>> from caravela.steps import wait
    >>> print(compile_steps("f", (wait(1),)).transitions[0])
    sleeping --elapsed--> done
    """
    return linked(draft, draft.blocks)


def linked(draft: Draft, blocks: tuple[Block, ...]) -> Draft:
    """Give a draft whose tables are made from these blocks."""
    indexes = {id(block): index for index, block in enumerate(blocks)}
    names = _names(blocks)
    states = tuple(_state(block, name, indexes) for block, name in zip(blocks, names, strict=True))
    signals = (SIGNAL, *draft.signals)
    transitions = dict.fromkeys(
        Transition(source=names[source], event=event, target=names[indexes[id(target)]], guard=guard)
        for source, block in enumerate(blocks)
        for event, target, guard in edges(block, signals)
        if target is not None
    )
    return replace(
        draft,
        blocks=blocks,
        states=states,
        transitions=tuple(transitions),
        rows=tuple(_row(state) for state in states),
    )


def _names(blocks: tuple[Block, ...]) -> list[str]:
    counts = Counter(block.kind for block in blocks)
    return [
        block.kind if counts[block.kind] == 1 or block.kind in FINAL_KINDS else f"{block.kind}:{block.label}"
        for block in blocks
    ]


def _state(block: Block, name: str, indexes: dict[int, int]) -> State:
    def exit_to(target: Block | None) -> int:
        return NOWHERE if target is None else indexes.get(id(target), NOWHERE)

    return State(
        index=indexes[id(block)],
        name=name,
        kind=block.kind,
        label=block.label,
        params=block.params,
        path=block.path,
        transient=block.transient,
        final=block.final,
        postpones=block.postpones,
        yields=block.yields,
        is_async=is_async(block.step.fn) if isinstance(block.step, (Run, Each)) else None,
        step=block.step,
        register=block.register,
        next=exit_to(block.next),
        fail=exit_to(block.fail),
        stop=exit_to(block.stop),
        body=exit_to(block.body),
        retry=exit_to(block.retry),
        cancel=exit_to(block.cancel),
    )


def _row(state: State) -> Row:
    return state.kind, _argument(state.step), state.next, state


def _argument(step: Any) -> Any:
    """Give what the hot path needs of a step: its one function or duration."""
    match step:
        case SetState(fn=fn):
            return fn
        case WaitUntil(predicate=predicate):
            return predicate
        case Debounce(seconds=seconds) | Wait(seconds=seconds):
            return seconds if callable(seconds) else _seconds(seconds)
        case _:
            return step


def _seconds(duration: Any) -> float:
    return float(duration.total_seconds() if hasattr(duration, "total_seconds") else duration)
