"""Which ways lead out of each kind of state: event, guard, exit. The one place that says what follows what.

The core goes by the same exits. That it takes no other way is tested on random flows, and that every way listed here
can be taken.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import timedelta
from typing import Any, cast

from caravela import vocabulary as v
from caravela.compile.draft import Block
from caravela.errors import StepTimeoutError
from caravela.nodes import Debounce, Each, Parallel, Race, Repeat, Run, Wait, WaitUntil

__all__ = ["Edge", "edges"]

Edge = tuple[str, "Block | None", str]
"""An event, the block it leads to, and the guard in words."""


def edges(block: Block, signals: tuple[str, ...]) -> Iterator[Edge]:
    """Give all ways out of a state.

    Args:
        block: The state.
        signals: The names under which signals may come.
    """
    yield from _EDGES[block.kind](block)
    if block.final or (block.transient and not block.yields) or _never_rests(block):
        return
    if block.kind != v.WAITING and not block.postpones:
        for signal in signals:
            yield signal, block, ""
            if block.kind == v.DEBOUNCING and callable(cast("Debounce[Any]", block.step).seconds):
                yield signal, block.fail, "the duration failed"
    if block.kind == v.WAITING:
        for signal in signals:
            yield signal, block.next, "condition holds"
            yield signal, block, "condition does not hold"
            yield signal, block.fail, "the condition failed"
    if block.kind in v.INVOKING_KINDS or block.kind == v.CANCELLING:
        yield v.STOP, block.cancel or block, ""
    else:
        yield v.STOP, block.stop, ""


def _never_rests(block: Block) -> bool:
    """Say whether a state of a resting kind is always passed through."""
    if block.kind == v.SLEEPING:
        return _is_zero(cast("Wait[Any]", block.step).seconds)
    if block.kind == v.BACKOFF and isinstance(block.step, Each):
        policy = block.step.policy
        from_base = not callable(policy.backoff) or policy.jitter == "decorrelated"
        return (_is_zero(policy.base_delay) and from_base) or _is_zero(policy.max_delay)
    return block.kind in (v.GATHERING, v.RACING) and _task_count(block) == 0


def _is_zero(duration: Any) -> bool:
    return duration in (0, timedelta(0))


def _task_count(block: Block) -> int | None:
    """Give how many tasks there are; None if a function gives them."""
    tasks = cast("Parallel[Any] | Race[Any]", block.step).tasks
    return None if callable(tasks) else len(cast("tuple[Any, ...]", tasks))


def _final(_: Block) -> Iterator[Edge]:
    yield from ()


def _set_state(block: Block) -> Iterator[Edge]:
    yield v.EVENTLESS, block.next, ""
    yield v.EVENTLESS, block.fail, "the function failed"


def _fail(block: Block) -> Iterator[Edge]:
    yield v.EVENTLESS, block.fail, ""


def _repeat(block: Block) -> Iterator[Edge]:
    if cast("Repeat[Any]", block.step).times != 0:
        yield v.EVENTLESS, block.body, ""
    else:
        yield v.EVENTLESS, block.next, "no rounds"


def _again(block: Block) -> Iterator[Edge]:
    step = cast("Repeat[Any]", block.step)
    left = [] if step.until is None else ["until does not hold"]
    left += [] if step.times is None else ["rounds left"]
    for event in (v.EVENTLESS, v.RESUMED) if block.yields else (v.EVENTLESS,):
        if step.times != 1:
            yield event, block.body, ", ".join(left)
        if step.until is not None:
            yield event, block.next, "until holds"
            yield event, block.fail, "until failed"
        if step.times is not None:
            yield event, block.next, "rounds done"


def _sleeping(block: Block) -> Iterator[Edge]:
    seconds = cast("Wait[Any]", block.step).seconds
    if callable(seconds) or _is_zero(seconds):
        yield v.EVENTLESS, block.next, "no time to wait"
    if callable(seconds):
        yield v.EVENTLESS, block.fail, "the duration failed"
    if not _is_zero(seconds):
        yield v.ELAPSED, block.next, ""


def _waiting(block: Block) -> Iterator[Edge]:
    yield v.EVENTLESS, block.next, "condition holds"
    yield v.EVENTLESS, block.fail, "the condition failed"
    if cast("WaitUntil[Any]", block.step).timeout is not None:
        yield v.TIMED_OUT, block.fail, ""


def _debouncing(block: Block) -> Iterator[Edge]:
    step = cast("Debounce[Any]", block.step)
    if callable(step.seconds) or callable(step.max_wait):
        yield v.EVENTLESS, block.fail, "the duration failed"
    yield v.ELAPSED, block.next, ""


def _running(block: Block) -> Iterator[Edge]:
    step = cast("Run[Any]", block.step)
    if callable(step.policy.attempt_timeout):
        yield v.EVENTLESS, block.fail, "the duration failed"
    yield v.SUCCEEDED, block.next, ""
    yield from _attempts(block, (v.RETRIED, v.FAILED_EVENT))
    if step.policy.retries is not None:
        yield v.RETRIED, block.fail, "attempt > retries"
    elif block.retry is None:
        yield v.RETRIED, block.fail, ""
    yield v.FAILED_EVENT, block.fail, "not retried"


def _attempts(block: Block, events: tuple[str, ...]) -> Iterator[Edge]:
    policy = cast("Run[Any] | Each[Any]", block.step).policy
    for event in events:
        if block.retry is not None:
            yield event, block.retry, "attempt ≤ retries" if policy.retries is not None else ""
    if policy.attempt_timeout is not None:
        yield v.TIMED_OUT, block.cancel, ""


def _iterating(block: Block) -> Iterator[Edge]:
    step = cast("Each[Any]", block.step)
    yield v.EVENTLESS, block.next, "no items"
    yield v.EVENTLESS, block.fail, "no such field" if not callable(step.policy.attempt_timeout) else "entry failed"
    for event in (v.SUCCEEDED, v.SKIPPED):
        yield event, block, "more items"
        yield event, block.next, "last item"
    yield from _attempts(block, (v.FAILED_EVENT,))
    yield v.FAILED_EVENT, block.fail, "not retried"


def _backoff(block: Block) -> Iterator[Edge]:
    step = cast("Run[Any] | Each[Any]", block.step)
    policy = step.policy
    computed = callable(policy.backoff) or callable(policy.base_delay) or callable(policy.max_delay)
    if computed:
        yield v.EVENTLESS, block.fail, "the delay failed"
    if isinstance(step, Run) or computed or policy.jitter == "full" or _never_rests(block):
        yield v.EVENTLESS, block.body, "no delay"
    if not _never_rests(block):
        yield v.ELAPSED, block.body, "attempt + 1"


def _gathering(block: Block) -> Iterator[Edge]:
    step = cast("Parallel[Any]", block.step)
    count = _task_count(block)
    if count is None:
        yield v.EVENTLESS, block.next, "no tasks"
        yield v.EVENTLESS, block.fail, "the tasks failed"
    elif count == 0:
        yield v.EVENTLESS, block.next, "no tasks"
        yield v.EVENTLESS, block.fail, "no such field"
        return
    elif callable(step.timeout):
        yield v.EVENTLESS, block.fail, "the duration failed"
    many = count is None or count > 1
    if many:
        yield v.TASK_SUCCEEDED, block, ""
    if many and step.on_error == "collect":
        yield v.TASK_FAILED, block, ""
    yield v.SUCCEEDED, block.next, "all returned"
    if many and step.on_error == "fail" and step.limit != 1:
        yield v.FAILED_EVENT, block.cancel, "others in flight"
    yield v.FAILED_EVENT, block.fail, "none in flight"
    if step.timeout is not None:
        yield v.TIMED_OUT, block.cancel, ""


def _racing(block: Block) -> Iterator[Edge]:
    step = cast("Race[Any]", block.step)
    count = _task_count(block)
    if count is None or count == 0 or callable(step.timeout):
        yield v.EVENTLESS, block.fail, "no tasks" if count == 0 else "entry failed"
    if count == 0:
        return
    many = count is None or count > 1
    if many:
        yield v.TASK_FAILED, block, ""
        yield v.SUCCEEDED, block.cancel, "others in flight"
        yield v.FAILED_EVENT, block.cancel, "others in flight"
    yield v.SUCCEEDED, block.next, "none in flight"
    yield v.FAILED_EVENT, block.fail, "none in flight"
    if step.timeout is not None:
        yield v.TIMED_OUT, block.cancel, ""


def _cancelling(block: Block) -> Iterator[Edge]:
    for event in (v.SETTLED, v.ABANDONED):
        yield event, block.stop, "stopping"
        for target, guard in _after_cancelling(cast("Block", block.body)):
            yield event, target, guard
    one_by_one = isinstance(block.step, Parallel) and block.step.limit == 1
    if isinstance(block.step, (Parallel, Race)) and (_task_count(block) or 2) > 1 and not one_by_one:
        yield v.TASK_SETTLED, block, "others in flight"


def _after_cancelling(source: Block) -> Iterator[tuple[Block | None, str]]:
    step = cast("Any", source.step)
    if isinstance(step, (Run, Each)):
        if step.policy.attempt_timeout is None:
            return
        surely, perhaps = _retries_timeouts(step.policy.retry_on)
        if source.retry is not None and perhaps:
            yield source.retry, "timed out, attempt ≤ retries"
        if step.policy.retries is not None or not surely:
            yield source.fail, "timed out, not retried"
        return
    causes = {event for event, target, _ in _EDGES[source.kind](source) if target is source.cancel and target}
    if v.SUCCEEDED in causes:
        yield source.next, "won"
    if causes & {v.FAILED_EVENT, v.TIMED_OUT}:
        yield source.fail, "failed"


def _retries_timeouts(retry_on: Any) -> tuple[bool, bool]:
    """Say whether an attempt that took too long is retried while retries are left: surely, and perhaps."""
    if isinstance(retry_on, (type, tuple)):
        listed = issubclass(StepTimeoutError, retry_on)
        return listed, listed
    return False, True


_EDGES: Mapping[str, Callable[[Block], Iterator[Edge]]] = {
    v.DONE: _final,
    v.FAILED: _final,
    v.STOPPED: _final,
    v.SET_STATE: _set_state,
    v.FAIL: _fail,
    v.REPEAT: _repeat,
    v.AGAIN: _again,
    v.SLEEPING: _sleeping,
    v.WAITING: _waiting,
    v.DEBOUNCING: _debouncing,
    v.RUNNING: _running,
    v.ITERATING: _iterating,
    v.BACKOFF: _backoff,
    v.GATHERING: _gathering,
    v.RACING: _racing,
    v.CANCELLING: _cancelling,
}
