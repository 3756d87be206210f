"""Caravela: ephemeral async workflows, compiled to a finite state machine and run by interchangeable backends.

===========================  ==========================================================
`steps`, `outcomes`          what you write: `run(fn)`, `debounce(0.5)`, `Ok(dirty=False)`
`flow`                       `flow(name, *steps)` and `Flow.start()`
`runners`, `async_runner`    what you hold: `Runner`, `AsyncRunner`
`messages`, `trace`          what you are told, and what has happened
`errors`                     what goes wrong, and whose fault it is
`compile`, `machine`         from steps to the table of states and transitions
`core`                       what the table means: pure functions
`backends`                   threads, asyncio, virtual time
`diagrams`, `export`         the table as a picture, and for other engines
===========================  ==========================================================
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from caravela.async_runner import AsyncRunner
from caravela.errors import (
    BackendError,
    CaravelaError,
    ExportError,
    FlowDefinitionError,
    FlowEndedError,
    FlowEndError,
    FlowError,
    FlowStoppedError,
    InvalidOutcomeError,
    LivelockError,
    PostponedSignalError,
    ResultTimeoutError,
    RetriesExhaustedError,
    RunnerError,
    SignalArgumentsError,
    StateError,
    StepError,
    StepFailedError,
    StepTimeoutError,
    UnknownSignalError,
    WouldDeadlockError,
)
from caravela.flow import Flow, compile_flow, flow
from caravela.machine import Machine, State, Transition
from caravela.messages import FlowDone, FlowFailed, FlowState, FlowStopped, Message, SignalRejected
from caravela.nodes import Step
from caravela.outcomes import Abort, Fail, Ok, Outcome, Retry, Skip
from caravela.runners import Runner
from caravela.state import evolve
from caravela.steps import debounce, each, fail, parallel, race, repeat, run, sequence, set_state, wait, wait_until
from caravela.trace import TransitionRecord, replay

if TYPE_CHECKING:
    from caravela.backends.aio import AsyncioBackend
    from caravela.backends.base import Backend, Statistics
    from caravela.backends.threads import ThreadingBackend
    from caravela.backends.virtual import VirtualBackend

__all__ = [
    "Abort",
    "AsyncRunner",
    "AsyncioBackend",
    "Backend",
    "BackendError",
    "CaravelaError",
    "ExportError",
    "Fail",
    "Flow",
    "FlowDefinitionError",
    "FlowDone",
    "FlowEndError",
    "FlowEndedError",
    "FlowError",
    "FlowFailed",
    "FlowState",
    "FlowStopped",
    "FlowStoppedError",
    "InvalidOutcomeError",
    "LivelockError",
    "Machine",
    "Message",
    "Ok",
    "Outcome",
    "PostponedSignalError",
    "ResultTimeoutError",
    "RetriesExhaustedError",
    "Retry",
    "Runner",
    "RunnerError",
    "SignalArgumentsError",
    "SignalRejected",
    "Skip",
    "State",
    "StateError",
    "Statistics",
    "Step",
    "StepError",
    "StepFailedError",
    "StepTimeoutError",
    "ThreadingBackend",
    "Transition",
    "TransitionRecord",
    "UnknownSignalError",
    "VirtualBackend",
    "WouldDeadlockError",
    "compile_flow",
    "debounce",
    "each",
    "evolve",
    "fail",
    "flow",
    "parallel",
    "race",
    "repeat",
    "replay",
    "run",
    "sequence",
    "set_state",
    "wait",
    "wait_until",
]

_LAZY = {
    "AsyncioBackend": "caravela.backends.aio",
    "Backend": "caravela.backends.base",
    "Statistics": "caravela.backends.base",
    "ThreadingBackend": "caravela.backends.threads",
    "VirtualBackend": "caravela.backends.virtual",
}


def __getattr__(name: str) -> object:
    """Import a backend when it is first asked for: asyncio alone takes longer than all the rest."""
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_LAZY[name]), name)
