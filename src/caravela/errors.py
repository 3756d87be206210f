"""Every error that Caravela raises, divided by whose fault it is.

::

    CaravelaError
    ├── FlowDefinitionError      the flow's author: a step, an option or their order is wrong
    ├── StepError                what ends a step; a failed flow carries one of these or the user's own
    │   ├── StateError           a function gave no usable state, or a field is unknown
    │   ├── InvalidOutcomeError  a function returned something its step does not understand
    │   ├── StepFailedError      a reason that was no exception: `Fail("text")`, `fail("text")`
    │   ├── StepTimeoutError     a step or an attempt took too long (a `TimeoutError` too)
    │   └── RetriesExhaustedError  the function asked for a retry and none was left
    ├── FlowEndError             what `result()` raises when there is no result
    │   ├── FlowError            the flow failed
    │   └── FlowStoppedError     the flow was stopped
    ├── RunnerError              the caller: something was asked of a runner that it cannot do
    │   ├── FlowEndedError       a signal to a flow that has ended
    │   ├── UnknownSignalError   a signal by a name that the flow does not declare
    │   ├── SignalArgumentsError  a signal with arguments that its function does not take
    │   ├── WouldDeadlockError   a call that would wait for itself
    │   └── ResultTimeoutError   the time given to `result()` or `update()` ran out (a `TimeoutError` too)
    ├── BackendError             the host: no running loop, a closed backend, a queue that cannot be used
    ├── LivelockError            virtual time: a flow that never comes to rest at one instant
    ├── PostponedSignalError     the pure core was given a signal while a function is in flight
    └── ExportError              a machine that another format cannot express

Every message says what happened, where, and the fix with the wrong and the right form side by side.
"""

from __future__ import annotations

from typing import Any

__all__ = [
    "BackendError",
    "CaravelaError",
    "ExportError",
    "FlowDefinitionError",
    "FlowEndError",
    "FlowEndedError",
    "FlowError",
    "FlowStoppedError",
    "InvalidOutcomeError",
    "LivelockError",
    "PostponedSignalError",
    "ResultTimeoutError",
    "RetriesExhaustedError",
    "RunnerError",
    "SignalArgumentsError",
    "StateError",
    "StepError",
    "StepFailedError",
    "StepTimeoutError",
    "UnknownSignalError",
    "WouldDeadlockError",
]


class CaravelaError(Exception):
    """The root of the tree: catch this to catch everything that Caravela itself raises.

    Args:
        what: What happened, in one sentence.
        flow: The name of the flow.
        step: The path of the step inside the flow, such as `repeat[0].run[2]`.
        machine_state: The machine state, such as `running(attempt=2)`.
        wrong: The form that was used.
        right: The form to use instead.

    >>> print(CaravelaError("seconds is negative: -1", flow="sync", step="wait[0]", wrong="wait(-1)", right="wait(1)"))
    seconds is negative: -1
      where: flow 'sync', step wait[0]
      wrong: wait(-1)
      right: wait(1)
    """

    def __init__(
        self,
        what: str,
        *,
        flow: str | None = None,
        step: str | None = None,
        machine_state: str | None = None,
        wrong: str | None = None,
        right: str | None = None,
    ) -> None:
        super().__init__(what)
        self.flow = flow
        self.step = step
        self.machine_state = machine_state
        self.wrong = wrong
        self.right = right

    def locate(self, *, flow: str | None = None, step: str | None = None, machine_state: str | None = None) -> None:
        """Say where it happened, for the parts that are not known yet."""
        self.flow = self.flow or flow
        self.step = self.step or step
        self.machine_state = self.machine_state or machine_state

    def __str__(self) -> str:
        parts = [
            f"flow {self.flow!r}" if self.flow else "",
            f"step {self.step}" if self.step else "",
            f"machine state {self.machine_state}" if self.machine_state else "",
        ]
        where = ", ".join(part for part in parts if part)
        lines = [
            str(self.args[0]) if self.args else "",
            f"  where: {where}" if where else "",
            _aligned("wrong", self.wrong),
            _aligned("right", self.right),
        ]
        return "\n".join(line for line in lines if line)


def _aligned(title: str, code: str | None) -> str:
    if code is None:
        return ""
    return f"  {title}: " + code.replace("\n", "\n" + " " * 9)


class FlowDefinitionError(CaravelaError):
    """A flow cannot be built: raised by `flow()` and `compile_flow()`, before anything runs.

    Mend the step that the message names. Not for what goes wrong in a run: that is a `StepError`.
    """


class StepError(CaravelaError):
    """The root of what Caravela itself gives as the reason for which a step failed."""


class StateError(StepError):
    """A function that must give a state gave something else, or a field that the state does not have was named.

    Not for what `run` functions return: that is `InvalidOutcomeError`.
    """


class InvalidOutcomeError(StepError):
    """A function returned something that its step does not understand, or a task builder built no tasks."""


class StepFailedError(StepError):
    """A step failed for a reason that is no exception, such as `Fail("out of stock")`.

    Attributes:
        reason: What was given.
    """

    def __init__(self, reason: Any, **where: Any) -> None:
        super().__init__(str(reason), **where)
        self.reason = reason

    def __reduce__(self) -> Any:
        return type(self), (self.reason,), self.__dict__


class StepTimeoutError(StepError, TimeoutError):
    """A step, or one attempt of it, took longer than it may. An attempt's is retried like any raise."""


class RetriesExhaustedError(StepError):
    """The function returned `Retry` and no retry was left."""


class FlowEndError(CaravelaError):
    """A flow ended without a result. Catch this where a failure and a stop mean the same.

    Attributes:
        state: The state at the end.
        compensation_errors: What went wrong while the flow undid its work; empty without sagas.
    """

    def __init__(
        self, what: str, *, state: Any = None, compensation_errors: tuple[Any, ...] = (), **where: Any
    ) -> None:
        super().__init__(what, **where)
        self.state = state
        self.compensation_errors = compensation_errors


class FlowError(FlowEndError):
    """The flow failed: raised by `result()`, by `await runner` and when a `with` block is left.

    `__cause__` is always the exception behind it.

    Attributes:
        reason: What was given: the text of `Fail("text")`, or the exception that was raised.
        state: The state at the failure.
        step: The path of the step that failed.
        attempts: The exception of every attempt of that step, in order; empty if it makes none.
        compensation_errors: What went wrong while the flow undid its work; empty without sagas.
    """

    def __init__(self, what: str, *, reason: Any = None, attempts: tuple[BaseException, ...] = (), **rest: Any) -> None:
        super().__init__(what, **rest)
        self.reason = reason
        self.attempts = attempts


class FlowStoppedError(FlowEndError):
    """The flow was stopped before it was done: raised by `result()` and `await runner`."""


class RunnerError(CaravelaError):
    """The root of what a runner cannot do for its caller."""


class FlowEndedError(RunnerError):
    """A signal or an update was sent to a flow that has ended, or ended before it was applied."""


class UnknownSignalError(RunnerError):
    """A signal was sent by a name, or by a function, that the flow does not declare."""


class SignalArgumentsError(RunnerError, TypeError):
    """A signal was sent with arguments that its function does not take."""


class WouldDeadlockError(RunnerError):
    """A call would wait for itself: `update()` or `result()` in a flow's own function or on the loop's thread.

    Use `signal()`, which never waits; or do the waiting in a thread or task of its own.
    """


class ResultTimeoutError(RunnerError, TimeoutError):
    """The time given to `result()`, `update()` or `stop()` ran out. The flow goes on."""


class BackendError(CaravelaError):
    """A flow cannot run here: no running loop, a backend that was closed, a queue that cannot be used."""


class LivelockError(CaravelaError):
    """On virtual time a flow made more transitions at one instant than any flow should; names the cycle."""


class PostponedSignalError(CaravelaError):
    """`advance` was given a signal in a machine state that postpones signals. The runner keeps it until later."""


class ExportError(CaravelaError):
    """A machine holds something that the other format cannot express."""
