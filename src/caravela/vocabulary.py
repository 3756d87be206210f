"""The words of the table: kinds of machine states, and events, each written once.

The compiler puts them in, the core goes by them, pictures and exports print them.
"""

from __future__ import annotations

__all__ = ["EVENTS", "FINAL_KINDS", "INVOKING_KINDS", "TRANSIENT_KINDS"]

# Resting kinds.
SLEEPING = "sleeping"
WAITING = "waiting"
DEBOUNCING = "debouncing"
RUNNING = "running"
ITERATING = "iterating"
BACKOFF = "backoff"
GATHERING = "gathering"
RACING = "racing"
CANCELLING = "cancelling"

# Final kinds.
DONE = "done"
FAILED = "failed"
STOPPED = "stopped"

# Transient kinds.
SET_STATE = "set_state"
REPEAT = "repeat"
AGAIN = "again"
FAIL = "fail"

FINAL_KINDS = (DONE, FAILED, STOPPED)
INVOKING_KINDS = (RUNNING, ITERATING, GATHERING, RACING)
POSTPONING_KINDS = (RUNNING, ITERATING)
TRANSIENT_KINDS = (SET_STATE, REPEAT, AGAIN, FAIL)

# Events.
EVENTLESS = ""
SIGNAL = "signal"
ELAPSED = "elapsed"
TIMED_OUT = "timed_out"
SUCCEEDED = "succeeded"
SKIPPED = "skipped"
RETRIED = "retried"
FAILED_EVENT = "failed"
TASK_SUCCEEDED = "task_succeeded"
TASK_FAILED = "task_failed"
TASK_SETTLED = "task_settled"
SETTLED = "settled"
ABANDONED = "abandoned"
RESUMED = "resumed"
STOP = "stop"

EVENTS = (
    SIGNAL,
    ELAPSED,
    TIMED_OUT,
    SUCCEEDED,
    SKIPPED,
    RETRIED,
    FAILED_EVENT,
    TASK_SUCCEEDED,
    TASK_FAILED,
    TASK_SETTLED,
    SETTLED,
    ABANDONED,
    RESUMED,
    STOP,
)
"""All events but the eventless one; declared signals come under their own names beside these."""
