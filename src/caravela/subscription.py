"""The messages of one runner, as an iterator: for threads and virtual time, and for asyncio."""

from __future__ import annotations

from collections import deque
from typing import Any, Generic, TypeVar

from caravela.host import Host
from caravela.messages import FlowDone, FlowFailed, FlowStopped, Message

__all__ = ["AsyncSubscription", "Subscription"]

S = TypeVar("S")

_FINAL = (FlowDone, FlowFailed, FlowStopped)


class _Messages(Generic[S]):
    """A buffer without bound; the runner holds it weakly, so a subscription that is dropped costs nothing more."""

    __slots__ = ("__weakref__", "_buffer", "_finished", "_host", "_run", "_waiting")

    def __init__(self, host: Host, run: Any) -> None:
        self._host = host
        self._run = run
        self._buffer: deque[Message[S]] = deque()
        self._waiting: list[Any] = []
        self._finished = False

    def push(self, message: Message[S]) -> None:
        """Take a message. For the runner."""
        with self._host.mailbox.lock:
            if self._finished:
                return
            self._buffer.append(message)
            waiting, self._waiting = self._waiting, []
        for promise in waiting:
            if not promise.done():
                promise.set_result(None)

    def close(self) -> None:
        """Take no more messages; what is iterating comes to its end."""
        with self._host.mailbox.lock:
            self._finished = True
            self._buffer.clear()
            waiting, self._waiting = self._waiting, []
        for promise in waiting:
            if not promise.done():
                promise.set_result(None)

    def _take(self) -> tuple[Message[S] | None, Any]:
        """Give the next message, or a promise of one, or neither at the end."""
        with self._host.mailbox.lock:
            if self._buffer:
                message = self._buffer.popleft()
                self._finished = self._finished or isinstance(message, _FINAL)
                return message, None
            if self._finished:
                return None, None
            promise = self._host.promise()
            self._waiting.append(promise)
            return None, promise


class Subscription(_Messages[S]):
    """The messages of a runner, one after the other; waits for the next one.

    The first message is the state at the moment of subscribing, the last one the end of the flow. `close()`, or
    dropping it, ends it before.
    """

    __slots__ = ()

    def __iter__(self) -> Subscription[S]:
        return self

    def __next__(self) -> Message[S]:
        while True:
            message, promise = self._take()
            if message is not None:
                return message
            if promise is None:
                raise StopIteration
            self._host.forbid_waiting(self._run, "the next message")
            self._host.wait(promise, None)


class AsyncSubscription(_Messages[S]):
    """The messages of a runner under asyncio: `async for message in runner.subscribe()`."""

    __slots__ = ()

    def __aiter__(self) -> AsyncSubscription[S]:
        return self

    async def __anext__(self) -> Message[S]:
        while True:
            message, promise = self._take()
            if message is not None:
                return message
            if promise is None:
                raise StopAsyncIteration
            await promise
