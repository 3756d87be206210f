"""What the end of a function means: go on, try again, next item, next task, fail.

Attempts (`running`, `iterating`) first, tasks (`gathering`, `racing`) after them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from caravela import vocabulary as v
from caravela.backoff import seconds_of
from caravela.core.cursor import Cursor, error_of, require_state
from caravela.core.snapshot import Attempt, Failure, Tasks
from caravela.errors import (
    CaravelaError,
    InvalidOutcomeError,
    RetriesExhaustedError,
    StepFailedError,
    StepTimeoutError,
)
from caravela.functions import discard_awaitable
from caravela.machine import State
from caravela.nodes import Each, Parallel, RetryPolicy, Run, Step
from caravela.outcomes import Abort, Fail, Ok, Retry, Skip
from caravela.state import evolve

__all__ = ["attempt_timed_out", "settle_attempt", "settle_task", "tasks_timed_out"]

KEPT_ERRORS = 100
"""How many errors of earlier attempts are kept where there is no limit to retries."""


def settle_attempt(cursor: Cursor, row: State, value: Any, error: BaseException | None) -> None:
    """Go on from `running` or `iterating`, whose function has returned `value` or raised `error`."""
    try:
        if error is not None:
            retried = _matches(_policy(row).retry_on, error)
            _failed_attempt(cursor, row, error, error, v.FAILED_EVENT, retried=retried)
        elif row.kind == v.RUNNING:
            _ran(cursor, row, value)
        else:
            _iterated(cursor, row, value)
    except Exception as fault:  # noqa: BLE001 - a wrong outcome, or a predicate of the user's that raised
        fault.__context__ = fault.__context__ or error
        _give_up(cursor, row, fault, None)


def _policy(row: State) -> RetryPolicy:
    return cast("Run[Any] | Each[Any]", row.step).policy


def _ran(cursor: Cursor, row: State, value: Any) -> None:
    step = cast("Run[Any]", row.step)
    match value:
        case None:
            pass
        case Ok():
            cursor.change(require_state(value.apply(cursor.state), "Ok(...)"))
        case Retry():
            _retry(cursor, row, value)
            return
        case Fail(reason) | Abort(reason):
            retried = isinstance(value, Fail)
            _failed_attempt(cursor, row, error_of(reason), reason, v.FAILED_EVENT, retried=retried)
            return
        case _:
            _collect(cursor, step, value)
    cursor.event(v.SUCCEEDED)
    cursor.apply_postponed()
    cursor.token += 1
    cursor.go(row.next)


def _retry(cursor: Cursor, row: State, value: Retry[Any]) -> None:
    after = None if value.after is None else seconds_of(value.after, "Retry(after=...)")
    cursor.change(require_state(value.apply(cursor.state), "Retry(...)"))
    error = StepFailedError("the function asked for a retry")
    _failed_attempt(cursor, row, error, None, v.RETRIED, retried=True, after=after)


def _collect(cursor: Cursor, step: Run[Any], value: Any) -> None:
    if isinstance(value, (Skip, Step)) or step.collect_as is None:
        raise _invalid_outcome("run", value, "None, Ok(...), Retry(...), Fail(...), Abort(...)")
    if discard_awaitable(value):
        raise _invalid_outcome("run", value, "a value")
    cursor.change(evolve(cursor.state, **{step.collect_as: value}))


def _invalid_outcome(call: str, value: Any, allowed: str) -> InvalidOutcomeError:
    shown = type(value).__name__
    if discard_awaitable(value):
        return InvalidOutcomeError(
            f"the function of {call} gave a {shown} that nobody awaits",
            wrong=f"{call}(lambda ...: fetch(...))",
            right=f"{call}(fetch), or partial(fetch, ...): an async function itself",
        )
    collected = ", or any value with collect_as=" if call == "run" else ""
    return InvalidOutcomeError(
        f"the function of {call} returned a value of type {shown}; allowed are {allowed}{collected}",
        wrong=f"return {shown}(...)",
        right="return Ok(field=value)" + (', or run(fn, collect_as="field")' if call == "run" else ""),
    )


def _iterated(cursor: Cursor, row: State, value: Any) -> None:
    event = v.SUCCEEDED
    match value:
        case None:
            pass
        case Ok():
            cursor.change(require_state(value.apply(cursor.state), "Ok(...)"))
        case Skip():
            event = v.SKIPPED
        case Fail(reason) | Abort(reason):
            retried = isinstance(value, Fail)
            _failed_attempt(cursor, row, error_of(reason), reason, v.FAILED_EVENT, retried=retried)
            return
        case _:
            raise _invalid_outcome("each", value, "None, Ok(...), Skip(...), Fail(...), Abort(...)")
    attempt: Attempt = cursor.memory
    cursor.event(event)
    cursor.apply_postponed()
    cursor.token += 1
    index = attempt.index + 1
    if index < len(attempt.items):
        cursor.go(row.index, Attempt(index=index, items=attempt.items))
    else:
        cursor.go(row.next)


def _matches(retry_on: Any, error: BaseException) -> bool:
    """Say whether an exception is retried. What is no `Exception` never is."""
    if not isinstance(error, Exception):
        return False
    if isinstance(retry_on, (type, tuple)):
        return isinstance(error, retry_on)
    return bool(retry_on(error))


def _failed_attempt(
    cursor: Cursor,
    row: State,
    error: BaseException,
    reason: Any,
    event: str,
    *,
    retried: bool,
    after: float | None = None,
) -> None:
    """Go on to the next attempt, or fail."""
    cursor.event(event)
    failed, left = _after_failure(cursor, row, error, after)
    if retried and left:
        cursor.apply_postponed()
        cursor.token += 1
        cursor.go(row.retry, failed)
        return
    if event == v.RETRIED:
        error, reason = _exhausted(failed), None
    _give_up(cursor, row, error, reason, failed.errors, event)


def _after_failure(cursor: Cursor, row: State, error: BaseException, after: float | None) -> tuple[Attempt, bool]:
    """Give the memory of the attempt with its error, and whether another is left."""
    attempt: Attempt = cursor.memory
    retries = _policy(row).retries
    errors = (*attempt.errors, error)
    if retries is None:
        errors = errors[-KEPT_ERRORS:]
    failed = Attempt(attempt.number, errors, attempt.delay, after, attempt.index, attempt.items)
    return failed, row.retry >= 0 and (retries is None or attempt.number <= retries)


def _exhausted(attempt: Attempt) -> RetriesExhaustedError:
    return RetriesExhaustedError(
        f"the function asked for a retry in attempt {attempt.number}, and none is left",
        wrong=f"run(fn, retries={attempt.number - 1})",
        right=f"run(fn, retries={attempt.number + 2}), or return Fail(reason)",
    )


def _give_up(
    cursor: Cursor,
    row: State,
    error: BaseException,
    reason: Any,
    attempts: tuple[BaseException, ...] = (),
    event: str = v.FAILED_EVENT,
) -> None:
    cursor.event(event)
    failed = cursor.failure(row, error, reason, attempts or (*cursor.memory.errors, error))
    cursor.apply_postponed()
    cursor.token += 1
    cursor.go(row.fail, failed)


def attempt_timed_out(cursor: Cursor, row: State) -> None:
    """Cancel the function of `running` or `iterating`, and plan what follows when it has settled."""
    cursor.event(v.TIMED_OUT)
    error = StepTimeoutError(
        f"attempt {cursor.memory.number} took longer than its attempt_timeout",
        right="run(fn, attempt_timeout=...) with a longer time, or retries=",
    )
    failed, left = _after_failure(cursor, row, error, None)
    try:
        retried = left and _matches(_policy(row).retry_on, error)
        failure = None if retried else cursor.failure(row, error, None, failed.errors)
    except Exception as fault:  # noqa: BLE001 - a predicate of the user's that raised
        retried = False
        failure = cursor.failure(row, fault, None, failed.errors)
    cursor.apply_postponed()
    cursor.cancel(row, 1, row.retry if retried else row.fail, failed, failure)


def settle_task(cursor: Cursor, row: State, index: int, value: Any, error: BaseException | None) -> bool:
    """Take the result of one task of `gathering` or `racing`. Give True if the step has been left for another state."""
    tasks: Tasks = cursor.memory
    fault = _task_fault(value, error)
    if row.kind == v.RACING:
        return _raced(cursor, row, tasks, index, value, fault)
    return _gathered(cursor, row, tasks, index, value, fault)


def _task_fault(value: Any, error: BaseException | None) -> Fail | None:
    """Give the failure of a task; None if it has succeeded."""
    if error is not None:
        return Fail(error)
    if isinstance(value, (Fail, Abort)):
        return Fail(value.reason)
    if isinstance(value, (Ok, Retry, Skip, Step)) or discard_awaitable(value):
        return Fail(
            InvalidOutcomeError(
                f"a task returned a {type(value).__name__}; a task returns its value, or Fail(...) or Abort(...)",
                wrong="return Ok(price=3)" if isinstance(value, Ok) else "lambda: fetch(url), where fetch is async",
                right="return 3" if isinstance(value, Ok) else "partial(fetch, url)",
            )
        )
    return None


def _gathered(cursor: Cursor, row: State, tasks: Tasks, index: int, value: Any, fault: Fail | None) -> bool:
    step = cast("Parallel[Any]", row.step)
    left = tasks.in_flight - 1
    if fault is not None and step.on_error == "fail":
        return _fail_tasks(cursor, row, left, _group(tasks, [fault]))
    after = _logged(tasks, index, value if fault is None else fault)
    if after.returned < tasks.total:
        cursor.event(v.TASK_SUCCEEDED if fault is None else v.TASK_FAILED)
        cursor.memory = after
        return False
    return _store(cursor, row, _results(step, after), left)


def _logged(tasks: Tasks, index: int, value: Any) -> Tasks:
    return Tasks(
        tasks.given,
        tasks.total,
        min(tasks.started + 1, tasks.total),
        tasks.returned + 1,
        (index, value, tasks.log),
    )


def _results(step: Parallel[Any], tasks: Tasks) -> Any:
    """Give what the tasks returned, in the order of the tasks."""
    values: list[Any] = [None] * tasks.total
    for index, value in _chain(tasks.log):
        values[index] = value
    given = step.tasks if tasks.given is None else tasks.given
    return dict(zip(given, values, strict=True)) if isinstance(given, Mapping) else values


def _chain(log: Any) -> list[tuple[int, Any]]:
    entries = []
    while log is not None:
        index, value, log = log
        entries.append((index, value))
    return entries


def _raced(cursor: Cursor, row: State, tasks: Tasks, index: int, value: Any, fault: Fail | None) -> bool:
    left = tasks.in_flight - 1
    if fault is None:
        return _store(cursor, row, value, left)
    after = _logged(tasks, index, fault)
    if after.returned < tasks.total:
        cursor.event(v.TASK_FAILED)
        cursor.memory = after
        return False
    faults = [entry for _, entry in sorted(_chain(after.log), key=lambda pair: pair[0])]
    return _fail_tasks(cursor, row, left, _group(tasks, faults))


def _group(tasks: Tasks, faults: list[Fail]) -> BaseExceptionGroup[BaseException]:
    return BaseExceptionGroup(f"{len(faults)} of {tasks.total} tasks failed", [error_of(f.reason) for f in faults])


def _store(cursor: Cursor, row: State, value: Any, left: int) -> bool:
    try:
        new = evolve(cursor.state, **{cast("Any", row.step).collect_as: value})
    except CaravelaError as error:
        return _fail_tasks(cursor, row, left, error)
    cursor.change(new)
    cursor.event(v.SUCCEEDED)
    _leave_tasks(cursor, row, left, row.next, None)
    return True


def _fail_tasks(cursor: Cursor, row: State, left: int, error: BaseException) -> bool:
    cursor.event(v.FAILED_EVENT)
    _leave_tasks(cursor, row, left, row.fail, cursor.failure(row, error))
    return True


def _leave_tasks(cursor: Cursor, row: State, left: int, exit_to: int, failure: Failure | None) -> None:
    if left:
        cursor.cancel(row, left, exit_to, None, failure)
    else:
        cursor.token += 1
        cursor.go(exit_to, failure)


def tasks_timed_out(cursor: Cursor, row: State) -> None:
    """Cancel the tasks of `gathering` or `racing`, and fail when they have settled."""
    cursor.event(v.TIMED_OUT)
    error = StepTimeoutError("the tasks took longer than the timeout of their step")
    tasks: Tasks = cursor.memory
    cursor.cancel(row, tasks.in_flight, row.fail, None, cursor.failure(row, error))
