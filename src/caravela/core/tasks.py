"""What the end of a task means, in `gathering` and `racing`: wait for the others, go on, fail."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from caravela import vocabulary as v
from caravela.core.cursor import Cursor, error_of
from caravela.core.snapshot import Failure, Tasks
from caravela.errors import InvalidOutcomeError, StepTimeoutError
from caravela.functions import discard_awaitable
from caravela.machine import State
from caravela.nodes import Parallel, Step
from caravela.outcomes import Abort, Fail, Ok, Retry, Skip
from caravela.state import evolve

__all__ = ["settle_task", "tasks_timed_out"]


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
    errors = [error_of(fault.reason) for fault in faults]
    first = f"{type(errors[0]).__name__}: {errors[0].args[0] if errors[0].args else ''}".rstrip(": ")
    return BaseExceptionGroup(f"{len(errors)} of {tasks.total} tasks failed, the first with {first}", errors)


def _store(cursor: Cursor, row: State, value: Any, left: int) -> bool:
    try:
        new = evolve(cursor.state, **{cast("Any", row.step).collect_as: value})
    except Exception as error:  # noqa: BLE001 - whatever the user's type raises when it is made anew
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
