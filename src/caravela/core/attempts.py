"""What the end of an attempt means, in `running` and `iterating`: go on, try again, next item, fail."""

from __future__ import annotations

from typing import Any, cast

from caravela import vocabulary as v
from caravela.backoff import seconds_of
from caravela.core.cursor import Cursor, error_of, require_state
from caravela.core.snapshot import Attempt
from caravela.errors import InvalidOutcomeError, RetriesExhaustedError, StepFailedError, StepTimeoutError
from caravela.functions import discard_awaitable
from caravela.machine import State
from caravela.nodes import Each, RetryPolicy, Run, Step
from caravela.outcomes import Abort, Fail, Ok, Retry, Skip
from caravela.state import evolve

__all__ = ["attempt_timed_out", "settle_attempt"]

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
        right="return Ok(state), Ok(field=value)" + (', or run(fn, collect_as="field")' if call == "run" else ""),
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
