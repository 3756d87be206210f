"""Flows in an asyncio service: on the loop that runs, with a pool of threads for plain functions."""

from __future__ import annotations

import asyncio
import math
import threading
import time
import weakref
from contextlib import suppress
from typing import Any

from caravela import mailbox
from caravela.backends.base import SHUTDOWN_TIMEOUT, Backend
from caravela.backends.coroutines import cancel_task, start_task
from caravela.backends.pool import DEFAULT_WORKERS, WorkerPool
from caravela.calls import Call
from caravela.errors import BackendError

__all__ = ["AsyncioBackend", "default_backend"]


class LoopClosedError(BackendError):
    """The loop is closed under a flow that has not ended."""


class AsyncioBackend(Backend):
    """Runs flows on an asyncio loop: the one that runs when the first flow is started.

    Args:
        max_workers: How many plain functions run at once, in threads.
        shutdown_timeout: Seconds that flows have to end when their loop ends.
        seed: For the random numbers of jitter.

    >>> import asyncio
    >>> from caravela import flow, set_state
    >>> async def main():
    ...     return await flow("add", set_state(lambda n: n + 1), initial_state=41).start(backend="asyncio")
    >>> asyncio.run(main())
    42
    """

    def __init__(
        self,
        *,
        max_workers: int = DEFAULT_WORKERS,
        shutdown_timeout: float = SHUTDOWN_TIMEOUT,
        seed: int | None = None,
    ) -> None:
        self._max_workers = max_workers
        self._shutdown_timeout = shutdown_timeout
        super().__init__(seed=seed)

    def renew(self) -> None:
        """Begin afresh: when it is made, and after a fork."""
        super().renew()
        # Held weakly: a backend is kept as long as its loop, and must not keep the loop.
        self._loop: weakref.ref[asyncio.AbstractEventLoop] | None = None
        self._thread_id = 0
        self._pool = WorkerPool(self._max_workers)
        self._alarm: asyncio.TimerHandle | None = None
        self._guardian: asyncio.Task[None] | None = None
        self._idle: asyncio.Future[None] | None = None

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The loop on which it runs flows.

        Raises:
            BackendError: No flow was started yet, or the loop is gone.
        """
        loop = None if self._loop is None else self._loop()
        if loop is None:
            raise BackendError("this backend has no loop: no flow was started on it yet, or the loop is gone")
        return loop

    def now(self) -> float:
        """Give the time in seconds, of the loop's clock."""
        loop = None if self._loop is None else self._loop()
        return time.monotonic() if loop is None else loop.time()

    is_async = True

    def prepare(self) -> None:
        """Get ready to run flows: take the running loop.

        Raises:
            BackendError: No loop is running here, or it is another one.
        """
        loop = _running_loop()
        known = None if self._loop is None else self._loop()
        if known is None or known.is_closed():
            self._loop = weakref.ref(loop)
        elif known is not loop:
            raise BackendError(
                "this backend runs flows on another loop",
                wrong="backend = AsyncioBackend()  # once, for two loops",
                right='flow.start(backend="asyncio")  # each loop has its own',
            )
        self._thread_id = threading.get_ident()
        super().prepare()

    def begin(self, run: Any, content: Any) -> None:
        """Take in a run, and let a guardian see to it that it is not dropped."""
        loop = self.loop
        if self._guardian is None:
            self._idle = loop.create_future()
            self._guardian = loop.create_task(self._guard(self._idle), name="caravela:guardian")
        super().begin(run, content)

    def finished(self, run: Any) -> None:
        """Forget a run that has ended, and let the guardian go with the last one."""
        super().finished(run)
        if not self.runs:
            self._rest()

    def _rest(self) -> None:
        """Leave nothing on the loop while there are no runs."""
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None
        if self._idle is not None and not self._idle.done():
            self._idle.set_result(None)
        self._guardian = self._idle = None

    async def _guard(self, idle: asyncio.Future[None]) -> None:
        """Keep runs from being dropped when the loop ends: stop them, and wait for them."""
        try:
            await asyncio.shield(idle)
        except asyncio.CancelledError:
            runs = self.stop_all()
            if runs:
                await asyncio.wait([self._ending(run) for run in runs], timeout=self._shutdown_timeout)
            self._pool.close()
            self._pool = WorkerPool(self._max_workers)
            raise

    def _ending(self, run: Any) -> asyncio.Future[Any]:
        promise = self.promise()
        run.when_ended(promise)
        return promise

    def post(self, run: Any, kind: int, content: Any) -> None:
        """Put something into the inbox, and see that it is handled; with the loop its runs are gone, and so is it."""
        with suppress(LoopClosedError):
            super().post(run, kind, content)

    def post_signal(self, run: Any, content: Any) -> bool:
        """Put a signal in; or, where nothing is before it and nobody is busy, let the run take it at once."""
        inbox = self.mailbox
        if self.busy or not inbox.empty or threading.get_ident() != self._thread_id:
            return super().post_signal(run, content)
        self._require_open()
        self.busy = True
        try:
            run.catch_up(self.now())
            taken = not run.ended
            if taken:
                run.receive(mailbox.SIGNAL, content)
        finally:
            self.busy = False
        if not self.mailbox.empty:
            self.handle(wake=False)
        return taken

    def handle(self, wake: bool) -> None:  # noqa: FBT001 - what `Mailbox.post` gives
        """Handle the inbox at once, if this is the loop's thread and it is not doing so already."""
        self._require_open()
        if self.busy or not self.on_loop():
            if wake:
                self.wake()
            return
        self.pump(self.now())
        if not self.mailbox.empty:
            self.loop.call_soon(self._turn)

    def wake(self) -> None:
        """See that the loop takes a turn. From any thread."""
        self._require_open().call_soon_threadsafe(self._turn)

    def _require_open(self) -> asyncio.AbstractEventLoop:
        loop = None if self._loop is None else self._loop()
        if loop is None or loop.is_closed():
            raise LoopClosedError(
                "the loop of this flow is closed, so nothing reaches the flow any more",
                right="await runner.stop(), or async with, before the loop ends",
            )
        return loop

    def _turn(self) -> None:
        self.turn()
        if not self.mailbox.empty:
            self.loop.call_soon(self._turn)

    def plan(self, run: Any, due: float) -> None:
        """See that a run hears of a time."""
        super().plan(run, due)
        if self._alarm is None or due < self._alarm.when():
            self._set_alarm(due)

    def _set_alarm(self, due: float) -> None:
        if self._alarm is not None:
            self._alarm.cancel()
        self._alarm = self.loop.call_at(due, self._ring)

    def _ring(self) -> None:
        self._alarm = None
        self._turn()
        due = self.timers.earliest()
        if due != math.inf and self._alarm is None:
            self._set_alarm(due)

    def call(self, call: Call, *, cancel: bool = False) -> None:
        """Start a function as a task or in the pool, or cancel it."""
        if call.is_async:
            if cancel:
                cancel_task(call)
            else:
                start_task(self.loop, call)
        elif not cancel:
            self._pool.submit(call)
        elif self._pool.withdraw(call):
            call.settled()
        else:
            call.abandon()

    def promise(self) -> asyncio.Future[Any]:
        """Give what a coroutine awaits."""
        return self.loop.create_future()

    def wait(self, promise: Any, timeout: float | None) -> Any:  # noqa: ARG002 - the contract
        """Refuse: under asyncio nobody waits but by `await`."""
        raise BackendError("under asyncio nothing waits but by await", right="await runner")

    def on_loop(self) -> bool:
        """Say whether this is the thread of the loop."""
        return threading.get_ident() == self._thread_id

    def blocks_loop(self) -> bool:
        """Say whether this is in the middle of a transition, where nobody can await."""
        return self.on_loop() and self.busy


def _running_loop() -> asyncio.AbstractEventLoop:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        raise BackendError(
            'backend="asyncio" needs a running loop, and none runs in this thread',
            wrong='flow.start(backend="asyncio")  # in a sync function',
            right='async def main(): runner = flow.start(backend="asyncio"), or backend="threading"',
        ) from None


_of_loop: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, AsyncioBackend] = weakref.WeakKeyDictionary()


def default_backend() -> AsyncioBackend:
    """Give the backend that all flows of the running loop share."""
    loop = _running_loop()
    backend = _of_loop.get(loop)
    if backend is None:
        backend = _of_loop[loop] = AsyncioBackend()
    return backend
