"""`start` and `advance`: the whole meaning of a run, as two pure functions.

Rules: the table says what follows what; here is only what an event means in a kind of state. Time, random numbers and
results come in with events. User code is called for predicates, `set_state`, signals and durations, and nothing else.

A signal is the hot path: it is applied to the plain tuple, without a cursor, wherever it leads to no other state. That
is why the first function is longer than it would be for reading alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from caravela import vocabulary as v
from caravela.core import events as e
from caravela.core.attempts import attempt_timed_out, settle_attempt
from caravela.core.cursor import Cursor, duration, holds, in_flight, require_state
from caravela.core.enter import next_attempt, proceed
from caravela.core.events import Event
from caravela.core.record import Record
from caravela.core.snapshot import AT, DUE, NEVER, TOKEN, Leaving, RawSnapshot
from caravela.core.tasks import settle_task, tasks_timed_out
from caravela.errors import PostponedSignalError, StepTimeoutError
from caravela.machine import Machine, State
from caravela.state import changed

__all__ = ["advance", "apply_signal", "start"]


def start(machine: Machine, state: Any, *, now: float = 0.0, record: Record | None = None) -> RawSnapshot:
    """Begin a run and give its first snapshot.

    Args:
        machine: The compiled flow.
        state: The initial state.
        now: The time, in seconds.
        record: Where to write down what happens.

    >>> from caravela.compile import compile_steps
    >>> from caravela.core.snapshot import machine_state
    >>> from caravela.steps import set_state, wait
    >>> nap = compile_steps("nap", (set_state(lambda n: n + 1), wait(1)))
    >>> snapshot = start(nap, 41)
    >>> machine_state(nap, snapshot), snapshot[1]
    ('sleeping', 42)
    """
    if record is not None:
        record.event = "start"
    snapshot = (0, state, NEVER, 0, (0,) * machine.registers, None)
    return proceed(Cursor(machine, snapshot, now, record))


def advance(machine: Machine, snapshot: RawSnapshot, event: Event, record: Record | None = None) -> RawSnapshot:
    """Give the snapshot after an event; the same snapshot if the event means nothing there.

    Args:
        machine: The compiled flow.
        snapshot: Where the run stands.
        event: What comes in; made by the functions of `caravela.core.events`.
        record: Where to write down what happens.

    Raises:
        PostponedSignalError: A signal came while a function that gives a state is in flight.
        BaseException: What a signal function raised. The given snapshot still stands: nothing has changed.

    >>> from caravela.compile import compile_steps
    >>> from caravela.core import events
    >>> from caravela.core.snapshot import machine_state
    >>> from caravela.steps import debounce
    >>> calm = compile_steps("calm", (debounce(0.5),))
    >>> snapshot = start(calm, {"n": 0})
    >>> snapshot = advance(calm, snapshot, events.signal(0.4, lambda s: {"n": s["n"] + 1}))
    >>> snapshot = advance(calm, snapshot, events.elapsed(0.5, due=0.5))
    >>> machine_state(calm, snapshot)
    'debouncing'
    >>> machine_state(calm, advance(calm, snapshot, events.elapsed(0.9, due=0.9)))
    'done'
    """
    if event[0] != e.SIGNAL:
        return _HANDLERS[event[0]](machine, snapshot, event, record)
    _, now, fn, args, kwargs, name = event
    at, state, due, token, registers, memory = snapshot
    kind, argument, _, row = machine.rows[at]
    if row.postpones:
        raise PostponedSignalError("signals wait until the function has settled", flow=machine.name, step=row.path)
    if row.final:
        return snapshot
    # apply_signal, written out: a call costs as much as what it does.
    given = state.copy() if type(state) is dict else state
    new = fn(given, *args, **kwargs) if kwargs else fn(given, *args) if args else fn(given)
    if type(new) is not type(state):
        require_state(new, "the signal function")
    if record is not None:
        record.event = name or v.SIGNAL
        if changed(state, new):
            record.change(new)
    if kind == v.DEBOUNCING:
        if type(argument) is float and memory is None:
            return (at, new, now + argument, token, registers, None)
        return _restarted(machine, (at, new, due, token, registers, memory), now, argument, record)
    if kind == v.WAITING:
        return _asked(machine, (at, new, due, token, registers, memory), now, argument, record)
    return (at, new, due, token, registers, memory)


def apply_signal(state: Any, fn: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any] | None) -> Any:
    """Give the state after a signal.

    Raises:
        StateError: The function gave no state.
        BaseException: What the function raised.
    """
    given = state.copy() if type(state) is dict else state
    return require_state(fn(given, *args, **(kwargs or {})), "the signal function")


def _restarted(machine: Machine, snapshot: RawSnapshot, now: float, seconds: Any, record: Record | None) -> RawSnapshot:
    """Restart the window of a debounce whose duration is computed or whose wait is limited."""
    at, state, _, token, registers, limit = snapshot
    cursor = Cursor(machine, snapshot, now, record)
    try:
        due = now + duration(seconds, state, "seconds")
    except BaseException as error:  # noqa: BLE001 - a raising duration fails its step
        cursor.fail(cursor.row, error)
        return proceed(cursor)
    return (at, state, due if limit is None else min(due, limit), token, registers, limit)


def _asked(machine: Machine, snapshot: RawSnapshot, now: float, predicate: Any, record: Record | None) -> RawSnapshot:
    """Ask the condition of a `wait_until` after a signal."""
    try:
        if not holds(predicate(snapshot[1]), "the predicate"):
            return snapshot
    except BaseException as error:  # noqa: BLE001 - a raising predicate fails its step
        cursor = Cursor(machine, snapshot, now, record)
        cursor.fail(cursor.row, error)
    else:
        cursor = Cursor(machine, snapshot, now, record)
        cursor.go(cursor.row.next)
    return proceed(cursor)


def _elapsed(machine: Machine, snapshot: RawSnapshot, event: Event, record: Record | None) -> RawSnapshot:
    _, now, due, draw, apply = event
    if snapshot[DUE] > due:
        return snapshot
    cursor = Cursor(machine, snapshot, now, record, draw, apply)
    row = cursor.row
    return proceed(cursor) if _ON_ELAPSED[row.kind](cursor, row) else cursor.snapshot()


def _pass_time(cursor: Cursor, row: State) -> bool:
    cursor.event(v.ELAPSED)
    cursor.go(row.next)
    return True


def _give_up_waiting(cursor: Cursor, row: State) -> bool:
    cursor.event(v.TIMED_OUT)
    error = StepTimeoutError(
        "the condition did not hold in time", right="wait_until(..., timeout=...) with a longer time"
    )
    cursor.fail(row, error)
    return True


def _try_again(cursor: Cursor, row: State) -> bool:
    cursor.event(v.ELAPSED)
    cursor.go(row.body, next_attempt(cursor.memory))
    return True


def _cut_attempt(cursor: Cursor, row: State) -> bool:
    attempt_timed_out(cursor, row)
    return False


def _cut_tasks(cursor: Cursor, row: State) -> bool:
    tasks_timed_out(cursor, row)
    return False


def _leave_behind(cursor: Cursor, _row: State) -> bool:
    cursor.event(v.ABANDONED)
    _leave(cursor)
    return True


_ON_ELAPSED: Mapping[str, Callable[[Cursor, State], bool]] = {
    v.SLEEPING: _pass_time,
    v.DEBOUNCING: _pass_time,
    v.WAITING: _give_up_waiting,
    v.BACKOFF: _try_again,
    v.RUNNING: _cut_attempt,
    v.ITERATING: _cut_attempt,
    v.GATHERING: _cut_tasks,
    v.RACING: _cut_tasks,
    v.CANCELLING: _leave_behind,
}


def _leave(cursor: Cursor) -> None:
    """Go on from `cancelling`, the way that was planned."""
    leaving: Leaving = cursor.memory
    cursor.token += 1
    cursor.go(leaving.exit, leaving.source if leaving.failure is None else leaving.failure)


def _returned(machine: Machine, snapshot: RawSnapshot, event: Event, record: Record | None) -> RawSnapshot:
    kind, now, token, value, index, draw, apply = event
    if token != snapshot[TOKEN] or machine.rows[snapshot[AT]][0] not in _WAITING_FOR_FUNCTIONS:
        return snapshot
    cursor = Cursor(machine, snapshot, now, record, draw, apply)
    row = cursor.row
    if row.kind == v.CANCELLING:
        return _one_settled(cursor, v.SETTLED)
    error = value if kind == e.RAISED else None
    if row.postpones:
        settle_attempt(cursor, row, value, error)
    elif not settle_task(cursor, row, index, value, error):
        return cursor.snapshot()
    return cursor.snapshot() if cursor.row.kind == v.CANCELLING else proceed(cursor)


_WAITING_FOR_FUNCTIONS = (*v.INVOKING_KINDS, v.CANCELLING)


def _settled(machine: Machine, snapshot: RawSnapshot, event: Event, record: Record | None) -> RawSnapshot:
    kind, now, token, _index, draw = event
    if token != snapshot[TOKEN] or machine.rows[snapshot[AT]][0] != v.CANCELLING:
        return snapshot
    cursor = Cursor(machine, snapshot, now, record, draw)
    return _one_settled(cursor, v.ABANDONED if kind == e.ABANDONED else v.SETTLED)


def _one_settled(cursor: Cursor, event: str) -> RawSnapshot:
    leaving: Leaving = cursor.memory
    left = leaving.in_flight - 1
    if left:
        cursor.event(v.TASK_SETTLED)
        cursor.memory = Leaving(left, leaving.source, leaving.exit, leaving.failure)
        return cursor.snapshot()
    cursor.event(event)
    _leave(cursor)
    return proceed(cursor)


def _stop(machine: Machine, snapshot: RawSnapshot, event: Event, record: Record | None) -> RawSnapshot:
    _, now, apply = event
    cursor = Cursor(machine, snapshot, now, record, 0.0, apply)
    row = cursor.row
    if row.final:
        return snapshot
    cursor.event(v.STOP)
    if row.kind == v.CANCELLING:
        cursor.memory = Leaving(cursor.memory.in_flight, None, row.stop)
        return cursor.snapshot()
    if row.cancel >= 0:
        cursor.apply_postponed()
        cursor.cancel(row, in_flight(snapshot), row.stop, None)
        return cursor.snapshot()
    cursor.go(row.stop)
    return proceed(cursor)


def _resumed(machine: Machine, snapshot: RawSnapshot, event: Event, record: Record | None) -> RawSnapshot:
    if not machine.states[snapshot[AT]].transient:
        return snapshot
    cursor = Cursor(machine, snapshot, event[1], record)
    cursor.event(v.RESUMED)
    resumed = proceed(cursor)
    if record is not None:
        del record.passed[0]  # it rested here, so this is the source
    return resumed


_HANDLERS: Mapping[int, Callable[[Machine, RawSnapshot, Event, Record | None], RawSnapshot]] = {
    e.ELAPSED: _elapsed,
    e.RETURNED: _returned,
    e.RAISED: _returned,
    e.SETTLED: _settled,
    e.ABANDONED: _settled,
    e.STOP: _stop,
    e.RESUMED: _resumed,
}
