"""What happens when a state is entered: it rests, or is passed through.

One function for each kind; it moves the cursor on and gives True, or lets it rest and gives False. What a user's
function raises here goes the way of the state's failure, in `proceed`.

`set_state` is handled in the loop itself: it is the hot path of a chain of steps, and a call costs as much as all else.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import count
from typing import Any, cast

from caravela import vocabulary as v
from caravela.backoff import backoff_delay
from caravela.core.cursor import Cursor, duration, error_of, holds, require_state
from caravela.core.snapshot import Attempt, RawSnapshot, Tasks
from caravela.errors import InvalidOutcomeError, StateError, StepFailedError
from caravela.functions import discard_awaitable
from caravela.machine import YIELD_AFTER, State
from caravela.nodes import Debounce, Each, FailStep, Parallel, Race, Repeat, Run, WaitUntil
from caravela.state import changed, evolve, read_field
from caravela.vocabulary import SET_STATE

__all__ = ["proceed"]


def proceed(cursor: Cursor) -> RawSnapshot:
    """Enter states from where the cursor stands until one rests."""
    rows, record = cursor.machine.rows, cursor.record
    at, state = cursor.at, cursor.state
    for hops in count():
        kind, argument, following, row = rows[at]
        try:
            if kind == SET_STATE:
                new = argument(state.copy() if type(state) is dict else state)
                if type(new) is not type(state):
                    require_state(new, "set_state")
                if record is not None:
                    record.passed.append(row.name)
                    if changed(state, new):
                        record.told.append(("state", new, None))
                state = new
                at = following
                continue
            cursor.at, cursor.state = at, state
            if not _ENTER[kind](cursor, argument, row, hops):
                break
        except BaseException as error:  # noqa: BLE001 - whatever a user's function raises fails its step
            cursor.at, cursor.state = at, state
            cursor.fail(row, error)
        if record is not None:
            record.passed.append(row.name)
        at, state = cursor.at, cursor.state
    return cursor.snapshot()


def _repeat(cursor: Cursor, _argument: Any, row: State, _hops: int) -> bool:
    step = cast("Repeat[Any]", row.step)
    _count(cursor, row, 0)
    cursor.go(row.body if step.times else row.next)
    return True


def _again(cursor: Cursor, _argument: Any, row: State, hops: int) -> bool:
    if row.yields and hops >= YIELD_AFTER:
        return cursor.rest()
    step = cast("Repeat[Any]", row.step)
    if step.until is not None and holds(step.until(cursor.state), "until"):
        cursor.go(row.next)
        return True
    if step.times is not None:
        rounds = cursor.registers[row.register] + 1
        if rounds >= step.times:
            cursor.go(row.next)
            return True
        _count(cursor, row, rounds)
    cursor.go(row.body)
    return True


def _count(cursor: Cursor, row: State, rounds: int) -> None:
    registers = cursor.registers
    cursor.registers = (*registers[: row.register], rounds, *registers[row.register + 1 :])


def _fail(cursor: Cursor, _argument: Any, row: State, _hops: int) -> bool:
    reason = cast("FailStep[Any]", row.step).reason
    cursor.fail(row, error_of(reason), reason)
    return True


def _sleeping(cursor: Cursor, seconds: Any, row: State, _hops: int) -> bool:
    seconds = duration(seconds, cursor.state, "seconds")
    if seconds > 0:
        return cursor.rest(cursor.now + seconds)
    cursor.go(row.next)
    return True


def _waiting(cursor: Cursor, predicate: Any, row: State, _hops: int) -> bool:
    if holds(predicate(cursor.state), "the predicate"):
        cursor.go(row.next)
        return True
    return cursor.rest(_deadline(cursor, cast("WaitUntil[Any]", row.step).timeout))


def _deadline(cursor: Cursor, timeout: Any) -> float:
    return float("inf") if timeout is None else cursor.now + duration(timeout, cursor.state, "timeout")


def _debouncing(cursor: Cursor, seconds: Any, row: State, _hops: int) -> bool:
    seconds = duration(seconds, cursor.state, "seconds")
    max_wait = cast("Debounce[Any]", row.step).max_wait
    limit = None
    if max_wait is not None:
        limit = cursor.now + max(seconds, duration(max_wait, cursor.state, "max_wait"))
    return cursor.rest(cursor.now + seconds, limit)


def _running(cursor: Cursor, _argument: Any, row: State, _hops: int) -> bool:
    step = cast("Run[Any]", row.step)
    attempt = cursor.memory if isinstance(cursor.memory, Attempt) else Attempt()
    return cursor.rest(_deadline(cursor, step.policy.attempt_timeout), attempt)


def _iterating(cursor: Cursor, _argument: Any, row: State, _hops: int) -> bool:
    step = cast("Each[Any]", row.step)
    attempt = cursor.memory
    if not isinstance(attempt, Attempt):
        attempt = Attempt(items=_items(cursor.state, step.key))
    if attempt.index >= len(attempt.items):
        cursor.go(row.next)
        return True
    return cursor.rest(_deadline(cursor, step.policy.attempt_timeout), attempt)


def _items(state: Any, key: str) -> tuple[Any, ...]:
    given = read_field(state, key)
    try:
        return tuple(given)
    except TypeError as error:
        raise StateError(
            f"each goes through the items of {key!r}, but there is {type(given).__name__}, which has no items",
            wrong=f"{key}={given!r}",
            right=f"{key}=[{given!r}]",
        ) from error


def _backoff(cursor: Cursor, _argument: Any, row: State, _hops: int) -> bool:
    """Wait before the next attempt; the memory is that of the attempt that failed."""
    attempt: Attempt = cursor.memory
    delay = attempt.after
    if delay is None:
        policy = cast("Run[Any] | Each[Any]", row.step).policy
        longest = policy.max_delay
        delay = backoff_delay(
            attempt.number,
            backoff=policy.backoff,
            base_delay=duration(policy.base_delay, cursor.state, "base_delay"),
            max_delay=None if longest is None else duration(longest, cursor.state, "max_delay"),
            jitter=policy.jitter,
            draw=cursor.draw,
            previous=attempt.delay,
        )
    waited = Attempt(attempt.number, attempt.errors, delay, None, attempt.index, attempt.items)
    if delay > 0:
        return cursor.rest(cursor.now + delay, waited)
    cursor.go(row.body, next_attempt(waited))
    return True


def next_attempt(attempt: Attempt) -> Attempt:
    """Give the memory of the attempt after one that failed."""
    return Attempt(attempt.number + 1, attempt.errors, attempt.delay, None, attempt.index, attempt.items)


def _gathering(cursor: Cursor, _argument: Any, row: State, _hops: int) -> bool:
    step = cast("Parallel[Any]", row.step)
    tasks = _tasks(cursor, step)
    if tasks.total == 0:
        empty: Any = {} if isinstance(step.tasks if tasks.given is None else tasks.given, Mapping) else []
        cursor.change(evolve(cursor.state, **{step.collect_as: empty}))
        cursor.go(row.next)
        return True
    return cursor.rest(_deadline(cursor, step.timeout), tasks)


def _racing(cursor: Cursor, _argument: Any, row: State, _hops: int) -> bool:
    step = cast("Race[Any]", row.step)
    tasks = _tasks(cursor, step)
    if tasks.total == 0:
        raise StepFailedError("a race without tasks has no winner")
    return cursor.rest(_deadline(cursor, step.timeout), tasks)


def _tasks(cursor: Cursor, step: Parallel[Any] | Race[Any]) -> Tasks:
    given = None
    if callable(step.tasks):
        given = _built(step.tasks(cursor.state))
    total = len(cast("Any", step.tasks) if given is None else given)
    limit = getattr(step, "limit", None)
    return Tasks(given=given, total=total, started=total if limit is None else min(limit, total))


def _built(built: Any) -> Any:
    """Give the tasks that a function of the state gave, as a tuple or a dict; refuse what are none."""
    if discard_awaitable(built) or isinstance(built, str) or not hasattr(built, "__iter__"):
        raise _no_tasks(f"{type(built).__name__}, no list or mapping of functions")
    tasks: Any = dict(built) if isinstance(built, Mapping) else tuple(built)
    for task in tasks.values() if isinstance(tasks, dict) else tasks:
        if not callable(task):
            discard_awaitable(task)
            raise _no_tasks(f"a {type(task).__name__} among them, which is no function")
    return tasks


def _no_tasks(what: str) -> InvalidOutcomeError:
    return InvalidOutcomeError(
        f"the function that builds the tasks gave {what}",
        wrong="lambda state: [fetch(url) for url in state.urls]",
        right="lambda state: [partial(fetch, url) for url in state.urls]",
    )


def _final(cursor: Cursor, _argument: Any, _row: State, _hops: int) -> bool:
    return cursor.rest(memory=cursor.memory)


_ENTER: Mapping[str, Callable[[Cursor, Any, State, int], bool]] = {
    v.REPEAT: _repeat,
    v.AGAIN: _again,
    v.FAIL: _fail,
    v.SLEEPING: _sleeping,
    v.WAITING: _waiting,
    v.DEBOUNCING: _debouncing,
    v.RUNNING: _running,
    v.ITERATING: _iterating,
    v.BACKOFF: _backoff,
    v.GATHERING: _gathering,
    v.RACING: _racing,
    v.DONE: _final,
    v.FAILED: _final,
    v.STOPPED: _final,
}
