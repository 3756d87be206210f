"""Async functions as tasks of an asyncio loop: the running one, a private one, or one on virtual time."""

from __future__ import annotations

import asyncio

from caravela import mailbox
from caravela.calls import Call

__all__ = ["cancel_task", "start_task"]


def start_task(loop: asyncio.AbstractEventLoop, call: Call) -> None:
    """Call an async function as a task of a loop. On the loop's thread."""
    if call.cancelled:
        call.settled()
        return
    context = call.context()
    # Always in a fresh copy of the context: one that is already entered raises and corrupts the loop's current task.
    call.task = loop.create_task(_drive(call), context=context, name=f"caravela:{call.label}")
    call.task.add_done_callback(lambda task: call.settled() if task.cancelled() else None)  # before it began


def cancel_task(call: Call) -> None:
    """Cancel such a task. On the loop's thread."""
    if call.task is not None and not call.task.cancelling():  # as `asyncio.run` cancels all: a second would cut short
        call.task.cancel()


async def _drive(call: Call) -> None:
    try:
        value = await call.fn(*call.args)
    except asyncio.CancelledError as error:
        _cancelled(call, error)
    except BaseException as error:  # noqa: BLE001 - whatever it raises is what the step ends with
        call.raised(error)
    else:
        call.returned(value)
    finally:
        call.task = None  # breaks the cycle of task, frame and call


def _cancelled(call: Call, error: BaseException) -> None:
    task = asyncio.current_task()
    if call.cancelled:
        call.settled()
    elif task is not None and task.cancelling():
        # Somebody cancelled the task behind our back, as `asyncio.run` does at its end: the run is stopped.
        call.run.host.post(call.run, mailbox.STOP, None)
        call.settled()
    else:
        call.raised(error)
