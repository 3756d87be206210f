"""The handles that users hold: `Runner` for threads and virtual time, `AsyncRunner` for asyncio.

They differ only in how a caller waits. What is asked of both is written once, in `_Sending`.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from types import TracebackType
from typing import Any, Concatenate, Generic, ParamSpec, Self, TypeVar, cast, overload

from caravela import mailbox
from caravela.errors import ResultTimeoutError, WouldDeadlockError
from caravela.handle import resolve
from caravela.runner import Running
from caravela.subscription import AsyncSubscription, Subscription

__all__ = ["AsyncRunner", "Runner"]

S = TypeVar("S")
P = ParamSpec("P")


class _Sending(Running[S], Generic[S]):
    """What every runner can be sent."""

    __slots__ = ()

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
        if not self.host.post_signal(self, self.flow.signals.meant(target, args, kwargs)):
            raise self.ended_error()

    def _promise_update(self, target: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        self.host.forbid_waiting(self, "update()")
        promise = self.host.promise()
        if not self.host.post_signal(self, self.flow.signals.meant(target, args, kwargs, promise)):
            raise self.ended_error()
        return promise

    def _ending(self) -> Any:
        promise = self.host.promise()
        self.when_ended(promise)
        return promise

    def _ask_to_stop(self) -> None:
        if not self.ended:
            self.host.post(self, mailbox.STOP, None)


class Runner(_Sending[S], Generic[S]):
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
            self.host.forbid_waiting(self, "result()")
            self._wait(self._ending(), timeout, "result()")
        return self.outcome()

    def stop(self, timeout: float | None = None) -> None:
        """Stop the flow, and wait until it has. In a function of the flow itself it asks, and does not wait.

        Args:
            timeout: Seconds to wait at the most; None for as long as it takes.

        Raises:
            ResultTimeoutError: The time ran out; the flow is still about to stop.
        """
        self._ask_to_stop()
        try:
            self.host.forbid_waiting(self, "stop()")
        except WouldDeadlockError:
            return
        if not self.done():
            self._wait(self._ending(), timeout, "stop()")

    def subscribe(self) -> Subscription[S]:
        """Give the messages from now on, as an iterator; the first one is the state at this moment."""
        subscription: Subscription[S] = Subscription(self.host, self)
        self.host.post(self, mailbox.SUBSCRIBE, subscription)
        return subscription

    def _wait(self, promise: Any, timeout: float | None, call: str) -> Any:
        try:
            return self.host.wait(promise, timeout)
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
        if exc is None and self.unseen_failure is not None:
            self.outcome()


class AsyncRunner(_Sending[S], Generic[S]):
    """One running flow, on asyncio. `await runner` gives the final state; `async with` stops the flow at the end.

    `signal`, `get_state`, `machine_state`, `done` and asking to `stop` work from any thread; the rest on the loop.
    """

    __slots__ = ()

    @overload
    def update(self, fn: Callable[Concatenate[S, P], S], /, *args: P.args, **kwargs: P.kwargs) -> Updating[S]: ...
    @overload
    def update(self, name: str, /, *args: Any, **kwargs: Any) -> Updating[S]: ...
    @overload
    def update(self, /, **changes: Any) -> Updating[S]: ...
    def update(self, target: Any = None, /, *args: Any, **kwargs: Any) -> Updating[S]:
        """Change the state, as `signal`, and give an awaitable of the new state. It acts when called.

        Raises:
            FlowEndedError: The flow has ended; from the awaitable, it ended before the signal had its turn.
            WouldDeadlockError: This is a function of the flow itself, or the middle of a transition.
            Exception: From the awaitable: what the function raised.
        """
        return Updating(self._promise_update(target, args, kwargs))

    def result(self) -> S:
        """Give the final state of a flow that has ended.

        Raises:
            FlowError: The flow failed.
            FlowStoppedError: The flow was stopped.
            WouldDeadlockError: The flow has not ended: `await runner` instead.
        """
        if not self.done():
            raise WouldDeadlockError(
                "result() does not wait under asyncio, and the flow has not ended",
                flow=self.machine.name,
                machine_state=self.machine_state,
                wrong="runner.result()",
                right="await runner",
            )
        return self.outcome()

    def stop(self) -> Updating[None]:
        """Ask the flow to stop, at once, and give an awaitable of its end."""
        self._ask_to_stop()
        if not self.host.on_loop():
            return Updating(None)
        promise = self._ending()
        try:
            self.host.forbid_waiting(self, "stop()")
        except WouldDeadlockError:
            resolve(promise, None)
        return Updating(promise)

    def subscribe(self) -> AsyncSubscription[S]:
        """Give the messages from now on, to iterate with `async for`; the first one is the state at this moment."""
        subscription: AsyncSubscription[S] = AsyncSubscription(self.host, self)
        self.host.post(self, mailbox.SUBSCRIBE, subscription)
        return subscription

    def __await__(self) -> Generator[Any, None, S]:
        if not self.done():
            self.host.forbid_waiting(self, "await runner")
            self._looked = True
            yield from self._ending().__await__()
        return self.outcome()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.stop()
        if exc is None and self.unseen_failure is not None:
            self.outcome()


class Updating(Generic[S]):
    """An awaitable of something that happens anyway: nobody has to await it."""

    __slots__ = ("_promise",)

    def __init__(self, promise: Any) -> None:
        self._promise = promise

    def __await__(self) -> Generator[Any, None, S]:
        if self._promise is None:
            return cast("S", None)  # asked from another thread, which has no loop to wait on
        value: S = yield from self._promise.__await__()
        return value
