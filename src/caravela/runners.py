"""The handle that users hold: `Runner`, for threads and virtual time. `AsyncRunner` is its sister for asyncio.

They differ only in how a caller waits. What is asked of both is written once, in `Handle`. A runner is a thin handle
on a run, which its backend keeps alive until it has ended.
"""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType
from typing import Any, Concatenate, Generic, ParamSpec, Self, TypeVar, overload

from caravela import mailbox
from caravela.core.snapshot import STATE, Snapshot, describe, machine_state
from caravela.errors import ResultTimeoutError, WouldDeadlockError
from caravela.machine import Machine
from caravela.results import ended_error, final_state
from caravela.runner import Run
from caravela.state import copied
from caravela.subscription import Subscription
from caravela.trace import TransitionRecord

__all__ = ["Handle", "Runner"]

S = TypeVar("S")
P = ParamSpec("P")


class Handle(Generic[S]):
    """What every runner can be asked and sent."""

    __slots__ = ("__weakref__", "_flow", "_run", "_tag")

    def __init__(self, run: Run, flow: Any, tag: Any = None) -> None:
        self._run = run
        self._flow = flow
        self._tag = tag

    @property
    def id(self) -> int:
        """The number of the runner, unique in its process; every message carries it."""
        return self._run.id

    @property
    def tag(self) -> Any:
        """What was given at the start; every message carries it."""
        return self._tag

    @property
    def machine(self) -> Machine:
        """The machine that runs."""
        return self._run.machine

    def get_state(self) -> S:
        """Give the state at this moment; a dict as a copy. Never waits."""
        state: S = copied(self._run.snapshot[STATE])
        return state

    @property
    def machine_state(self) -> str:
        """The machine state at this moment, such as `running(attempt=2)`."""
        return machine_state(self._run.machine, self._run.snapshot)

    @property
    def snapshot(self) -> Snapshot:
        """Where the run stands, to read."""
        return describe(self._run.machine, self._run.snapshot)

    def done(self) -> bool:
        """Say whether the flow has ended, in whatever way, and its last message is out."""
        return self._run.finished

    @property
    def history(self) -> tuple[TransitionRecord, ...]:
        """The last transitions, as many as `history=` asked for at the start."""
        return self._run.history

    @property
    def trace(self) -> tuple[TransitionRecord, ...]:
        """The history; the virtual backend keeps all of it."""
        return self._run.history

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.id} of {self.machine.name!r}: {self.machine_state}>"

    @overload
    def signal(self, fn: Callable[Concatenate[S, P], S], /, *args: P.args, **kwargs: P.kwargs) -> None: ...
    @overload
    def signal(self, name: str, /, *args: Any, **kwargs: Any) -> None: ...
    @overload
    def signal(self, /, **changes: Any) -> None: ...
    def signal(self, target: Any = None, /, *args: Any, **kwargs: Any) -> None:
        """Change the state, soon: queue a signal and return at once. From any thread.

        Args:
            target: A function `(state, ...) -> state`, or the name of a declared signal; without it the keywords are
                fields that change.
            args: What the function takes after the state.
            kwargs: What it takes by keyword, or the fields that change.

        Raises:
            FlowEndedError: The flow has ended.
            UnknownSignalError: The flow declares no signal of that name.
            SignalArgumentsError: The declared signal does not take these arguments.
        """
        if not self._run.host.post_signal(self._run, self._flow.signals.meant(target, args, kwargs)):
            raise ended_error(self._run.machine, self._run.snapshot)

    def _promise_update(self, target: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        self._run.host.forbid_waiting(self._run, "update()")
        promise = self._run.host.promise()
        if not self._run.host.post_signal(self._run, self._flow.signals.meant(target, args, kwargs, promise)):
            raise ended_error(self._run.machine, self._run.snapshot)
        return promise

    def _ending(self) -> Any:
        promise = self._run.host.promise()
        self._run.when_ended(promise)
        return promise

    def _outcome(self) -> S:
        self._run.looked = True
        state: S = final_state(self._run.machine, self._run.snapshot)
        return state

    def _ask_to_stop(self) -> None:
        if not self._run.ended:
            self._run.host.post(self._run, mailbox.STOP, None)


class Runner(Handle[S], Generic[S]):
    """One running flow, on threads or on virtual time. As a context manager it stops the flow at the end.

    On virtual time waiting moves the clock: from one thing that is due to the next, and never really sleeps.
    """

    __slots__ = ()

    @overload
    def update(self, fn: Callable[Concatenate[S, P], S], /, *args: P.args, **kwargs: P.kwargs) -> S: ...
    @overload
    def update(self, name: str, /, *args: Any, timeout: float | None = None, **kwargs: Any) -> S: ...
    @overload
    def update(self, /, **changes: Any) -> S: ...
    def update(self, target: Any = None, /, *args: Any, **kwargs: Any) -> S:
        """Change the state, as `signal`, but wait, and give the new state.

        Args:
            target: As for `signal`.
            args: As for `signal`.
            kwargs: As for `signal`. Beside a function or a name, `timeout` is the seconds to wait at the most.

        Raises:
            FlowEndedError: The flow has ended, or ended before the signal had its turn.
            ResultTimeoutError: The time ran out; the signal may still be applied.
            WouldDeadlockError: This is a function of the flow itself, or the loop's thread.
            Exception: What the function raised.
        """
        timeout = None if target is None else kwargs.pop("timeout", None)
        promise = self._promise_update(target, args, kwargs)
        state: S = self._wait(promise, timeout, "update()")
        return state

    def result(self, timeout: float | None = None) -> S:
        """Wait for the end, and give the final state.

        Args:
            timeout: Seconds to wait at the most; None for as long as it takes.

        Raises:
            FlowError: The flow failed; its `__cause__` is the exception behind it.
            FlowStoppedError: The flow was stopped.
            ResultTimeoutError: The time ran out; the flow goes on.
            WouldDeadlockError: This is a function of the flow itself, or the loop's thread.
        """
        if not self.done():
            self._run.host.forbid_waiting(self._run, "result()")
            self._wait(self._ending(), timeout, "result()")
        return self._outcome()

    def stop(self, timeout: float | None = None) -> None:
        """Stop the flow, and wait until it has. In a function of the flow itself it asks, and does not wait.

        Args:
            timeout: Seconds to wait at the most; None for as long as it takes.

        Raises:
            ResultTimeoutError: The time ran out; the flow is still about to stop.
        """
        self._ask_to_stop()
        try:
            self._run.host.forbid_waiting(self._run, "stop()")
        except WouldDeadlockError:
            return
        if not self.done():
            self._wait(self._ending(), timeout, "stop()")

    def subscribe(self) -> Subscription[S]:
        """Give the messages from now on, as an iterator; the first one is the state at this moment."""
        subscription: Subscription[S] = Subscription(self._run.host, self._run)
        self._run.host.post(self._run, mailbox.SUBSCRIBE, (subscription, self._tag))
        return subscription

    def _wait(self, promise: Any, timeout: float | None, call: str) -> Any:
        try:
            return self._run.host.wait(promise, timeout)
        except TimeoutError:
            if promise.done():
                raise
            raise ResultTimeoutError(
                f"{call} waited {timeout:g} s in vain; the flow goes on",
                flow=self.machine.name,
                machine_state=self.machine_state,
            ) from None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()
        if exc is None and self._run.unseen_failure is not None:
            self._outcome()
