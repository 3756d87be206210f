"""What a run that has ended comes to: its final state, or the error that says why there is none."""

from __future__ import annotations

from typing import Any

from caravela.core import RawSnapshot, machine_state
from caravela.core.snapshot import AT, STATE, failure_of
from caravela.errors import CaravelaError, FlowEndedError, FlowError, FlowStoppedError
from caravela.machine import Machine
from caravela.state import copied
from caravela.vocabulary import DONE

__all__ = ["ended_error", "final_state"]


def final_state(machine: Machine, snapshot: RawSnapshot) -> Any:
    """Give the final state of a run that has ended; a dict as a copy.

    Raises:
        FlowError: The flow failed. A new error each time, since every raise adds to its traceback.
        FlowStoppedError: It was stopped.
    """
    failure = failure_of(snapshot)
    state = copied(snapshot[STATE])
    if failure is not None:
        error = failure.error
        ours = error if isinstance(error, CaravelaError) else None  # its place in the flow is told once, by the new one
        raise FlowError(
            f"flow {machine.name!r} failed: {f'{type(error).__name__}: {error}' if ours is None else ours.args[0]}",
            reason=failure.reason,
            state=state,
            attempts=failure.attempts,
            step=failure.path,
            machine_state=failure.machine_state,
            wrong=ours and ours.wrong,
            right=ours and ours.right,
        ) from error
    if machine.rows[snapshot[AT]][0] != DONE:
        raise FlowStoppedError(f"flow {machine.name!r} was stopped", state=state)
    return state


def ended_error(machine: Machine, snapshot: RawSnapshot) -> FlowEndedError:
    """Give the error for who sends something to a flow that has ended."""
    return FlowEndedError(
        "the flow has ended and takes no more signals",
        flow=machine.name,
        machine_state=machine_state(machine, snapshot),
    )
