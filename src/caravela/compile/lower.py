"""Lower the tree to a flat list of states.

Each step becomes one to three states. Lowering goes back to front, so that the way on is known when a state is made;
only the end of a `repeat` points backwards and is filled in later. Registers are handed out by depth, so that loops
beside each other share them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from caravela.compile.draft import Block, Draft, children
from caravela.compile.rest import always_rests, transient_steps
from caravela.machine import YIELD_AFTER, Requirement
from caravela.nodes import (
    Debounce,
    Each,
    FailStep,
    Parallel,
    Race,
    Repeat,
    Run,
    Sequence,
    SetState,
    Step,
    Wait,
    WaitUntil,
)
from caravela.vocabulary import (
    AGAIN,
    BACKOFF,
    CANCELLING,
    DEBOUNCING,
    DONE,
    FAIL,
    FAILED,
    GATHERING,
    ITERATING,
    POSTPONING_KINDS,
    RACING,
    REPEAT,
    RUNNING,
    SET_STATE,
    SLEEPING,
    STOPPED,
    TRANSIENT_KINDS,
    WAITING,
)

__all__ = ["lower"]

_KINDS: Mapping[type[Step[Any]], tuple[str, tuple[str, ...]]] = {
    SetState: (SET_STATE, ()),
    Wait: (SLEEPING, ()),
    WaitUntil: (WAITING, ()),
    Debounce: (DEBOUNCING, ()),
    Run: (RUNNING, ("attempt",)),
    Each: (ITERATING, ("index",)),
    Parallel: (GATHERING, ()),
    Race: (RACING, ()),
    FailStep: (FAIL, ()),
}


def lower(draft: Draft) -> Draft:
    """Lower the tree to a flat list of states.

    >>> from caravela.compile.name import name
    >>> from caravela.steps import repeat, wait
    >>> draft = name(Draft(flow="f", steps=(repeat(wait(1), times=2),), signals={}))
    >>> [block.kind for block in lower(draft).blocks]
    ['repeat', 'sleeping', 'again', 'done', 'failed', 'stopped']
    """
    lowering = _Lowering(labels=draft.labels, may_yield=transient_steps(draft.steps) >= YIELD_AFTER)
    lowering.steps(draft.steps, "", lowering.done, depth=0)
    return replace(
        draft,
        blocks=tuple(reversed(lowering.blocks)),
        registers=lowering.registers,
        requirements=tuple(reversed(lowering.requirements)),
    )


@dataclass(slots=True)
class _Lowering:
    labels: Mapping[str, str]
    may_yield: bool
    blocks: list[Block] = field(default_factory=list)
    requirements: list[Requirement] = field(default_factory=list)
    registers: int = 0
    stopped: Block = field(init=False)
    failed: Block = field(init=False)
    done: Block = field(init=False)

    def __post_init__(self) -> None:
        self.stopped = self._add(Block(STOPPED, final=True))
        self.failed = self._add(Block(FAILED, final=True))
        self.done = self._add(Block(DONE, final=True))

    def _add(self, block: Block) -> Block:
        self.blocks.append(block)
        return block

    def _state(self, kind: str, path: str, step: Step[Any], **exits: Any) -> Block:
        return self._add(
            Block(
                kind,
                path=path,
                label=self.labels[path],
                step=step,
                fail=self.failed,
                stop=self.stopped,
                transient=kind in TRANSIENT_KINDS,
                postpones=kind in POSTPONING_KINDS,
                **exits,
            )
        )

    def steps(self, steps: tuple[Step[Any], ...], path: str, after: Block, depth: int) -> Block:
        """Lower steps in order and give the first state, which leads on to `after` in the end."""
        for place, step in reversed(tuple(children(steps, path))):
            after = self._step(step, place, after, depth)
        return after

    def _step(self, step: Step[Any], path: str, after: Block, depth: int) -> Block:
        if isinstance(step, Sequence):
            return self.steps(step.steps, path, after, depth)
        if isinstance(step, Repeat):
            return self._repeat(step, path, after, depth)
        self._require(step, path)
        kind, params = _KINDS[type(step)]
        cancel = retry = None
        if isinstance(step, (Run, Each, Parallel, Race)):
            cancel = self._state(CANCELLING, path, step, next=after)
        if isinstance(step, (Run, Each)) and step.policy.retries != 0:
            retry = self._state(BACKOFF, path, step, params=tuple(dict.fromkeys((*params, "attempt"))))
        block = self._state(kind, path, step, params=params, next=after, retry=retry, cancel=cancel)
        for helper in (retry, cancel):
            if helper is not None:
                helper.body, helper.retry = block, retry
        return block

    def _repeat(self, step: Repeat[Any], path: str, after: Block, depth: int) -> Block:
        counted = step.times is not None
        register = depth if counted else -1
        self.registers = max(self.registers, register + 1)
        again = self._state(AGAIN, path, step, next=after, register=register)
        again.yields = self.may_yield and not any(always_rests(inner) for inner in step.steps)
        first = again.body = self.steps(step.steps, path, again, depth + counted)
        if not counted:
            return first
        return self._state(REPEAT, path, step, next=after, body=first, register=register)

    def _require(self, step: Step[Any], path: str) -> None:
        for option in ("key", "collect_as"):
            name = getattr(step, option, None)
            if name is not None:
                self.requirements.append(Requirement(field=name, option=option, path=path))
