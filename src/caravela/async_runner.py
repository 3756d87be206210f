"""The handle that users hold under asyncio: `AsyncRunner`."""

from __future__ import annotations

from collections.abc import Callable, Generator
from types import TracebackType
from typing import Any, Concatenate, Generic, ParamSpec, Self, TypeVar, cast, overload

from caravela import mailbox
from caravela.errors import BackendError, WouldDeadlockError
from caravela.replies import resolve
from caravela.runners import Handle
from caravela.subscription import AsyncSubscription

__all__ = ["AsyncRunner", "Updating"]

S = TypeVar("S")
P = ParamSpec("P")


class AsyncRunner(Handle[S], Generic[S]):
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
        self._require_loop("update()", "runner.signal(...)")
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
        return self._outcome()

    def stop(self) -> Updating[None]:
        """Ask the flow to stop, at once, and give an awaitable of its end."""
        self._ask_to_stop()
        if not self._run.host.on_loop():
            return Updating(None)
        promise = self._ending()
        try:
            self._run.host.forbid_waiting(self._run, "stop()")
        except WouldDeadlockError:
            resolve(promise, None)
        return Updating(promise)

    def subscribe(self) -> AsyncSubscription[S]:
        """Give the messages from now on, to iterate with `async for`; the first one is the state at this moment."""
        subscription: AsyncSubscription[S] = AsyncSubscription(self._run.host, self._run)
        self._run.host.post(self._run, mailbox.SUBSCRIBE, (subscription, self._tag))
        return subscription

    def _require_loop(self, call: str, right: str) -> None:
        if not self._run.host.on_loop():
            self._run.host.forbid_waiting(self._run, call)
            raise BackendError(
                f"{call} on another thread than the flow's loop, which alone can be awaited",
                flow=self.machine.name,
                wrong=call,
                right=f"{right}, or asyncio.run_coroutine_threadsafe(...)",
            )

    def __await__(self) -> Generator[Any, None, S]:
        if not self.done():
            self._require_loop("await runner", "runner.done()")
            self._run.host.forbid_waiting(self._run, "await runner")
            self._run.looked = True
            yield from self._ending().__await__()
        return self._outcome()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.stop()
        if exc is None and self._run.unseen_failure is not None:
            self._outcome()


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
