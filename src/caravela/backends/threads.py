"""Flows in a sync program: one loop thread for all flows and timers, a pool of threads for their functions."""

from __future__ import annotations

import atexit
import logging
import math
import os
import threading
import time
import weakref
from concurrent.futures import Future
from contextlib import suppress
from types import TracebackType
from typing import Any, Self

from caravela.backends.base import SHUTDOWN_TIMEOUT, Backend
from caravela.backends.loop_thread import LoopThread
from caravela.backends.pool import DEFAULT_WORKERS, WorkerPool, lent_place
from caravela.calls import Call
from caravela.errors import BackendError

__all__ = ["ThreadingBackend", "default_backend"]

_log = logging.getLogger("caravela")

_LONGEST_WAIT = 3_600.0


class ThreadingBackend(Backend):
    """Runs flows on a thread of its own, plain functions in a pool of threads, async ones on a private asyncio loop.

    Threads begin when they are needed. As a context manager it stops its flows at the end and waits for them.

    Args:
        max_workers: How many plain functions run at once.
        shutdown_timeout: Seconds that flows have to end when it is closed.
        seed: For the random numbers of jitter.

    >>> from caravela import flow, set_state
    >>> with ThreadingBackend(max_workers=4) as backend:
    ...     flow("add", set_state(lambda n: n + 1), initial_state=41).start(backend=backend).result(timeout=5)
    42
    """

    def __init__(
        self,
        *,
        max_workers: int = DEFAULT_WORKERS,
        shutdown_timeout: float = SHUTDOWN_TIMEOUT,
        seed: int | None = None,
    ) -> None:
        if max_workers < 1:
            raise BackendError(
                f"max_workers is {max_workers!r}; it is a whole number from 1 on",
                wrong=f"ThreadingBackend(max_workers={max_workers!r})",
                right="ThreadingBackend(max_workers=8)",
            )
        self._max_workers = max_workers
        self._shutdown_timeout = shutdown_timeout
        super().__init__(seed=seed)
        _living.add(self)

    def renew(self) -> None:
        """Begin afresh, without threads: when it is made, and after a fork."""
        super().renew()
        self._gate = threading.Lock()
        self._gate.acquire()
        self._starting = threading.Lock()
        self._thread: threading.Thread | None = None
        self._pool = WorkerPool(self._max_workers)
        self._coroutines = LoopThread()
        self._stopping = False

    def now(self) -> float:
        """Give the time in seconds, of the monotonic clock."""
        return time.monotonic()

    def prepare(self) -> None:
        """Get ready to run flows: let the loop's thread begin."""
        super().prepare()
        if self._thread is None:
            with self._starting:
                if self._thread is None:
                    thread = threading.Thread(target=self._loop, name="caravela-loop", daemon=True)
                    thread.start()
                    self._thread = thread

    def wake(self) -> None:
        """Open the gate at which the loop waits."""
        with suppress(RuntimeError):  # it is open already
            self._gate.release()

    def _loop(self) -> None:
        while not self._stopping:
            try:
                self.turn()
            except BaseException:  # noqa: BLE001 - the loop must go on for the other flows
                _log.exception("an event could not be handled; this is a fault of Caravela, please report it")
            if self.mailbox.empty:
                self._wait()

    def _wait(self) -> None:
        due = self.timers.earliest()
        if due == math.inf:
            self._gate.acquire()
        else:
            left = due - self.now()
            if left > 0:
                self._gate.acquire(timeout=min(left, _LONGEST_WAIT))

    def call(self, call: Call, *, cancel: bool = False) -> None:
        """Start a function in the pool or on the private loop, or cancel it."""
        if call.is_async:
            (self._coroutines.cancel if cancel else self._coroutines.start)(call)
        elif not cancel:
            self._pool.submit(call)
        elif self._pool.withdraw(call):
            call.settled()
        else:
            call.abandon()

    def promise(self) -> Future[Any]:
        """Give what a thread waits for."""
        return Future()

    def wait(self, promise: Future[Any], timeout: float | None) -> Any:
        """Wait; a thread of the pool lends its place meanwhile."""
        with lent_place():
            return promise.result(timeout)

    def on_loop(self) -> bool:
        """Say whether this is the loop's thread, or that of the private asyncio loop."""
        return self._thread is threading.current_thread() or self._coroutines.here()

    def close(self) -> None:
        """Stop all flows and wait for them, then let the threads go. Flows that do not end in time are left.

        Raises:
            BackendError: This is the loop's thread, which cannot wait for itself.
        """
        if self.on_loop():
            raise BackendError(
                "a backend cannot be closed from its own loop",
                wrong="notify=lambda message: backend.close()",
                right="with ThreadingBackend() as backend: ...",
            )
        self.closed = True
        deadline = self.now() + self._shutdown_timeout
        left = [run for run in self.stop_all() if not self._ended_by(run, deadline)]
        for run in left:
            _log.warning("%r did not end within %s s and is left behind", run, self._shutdown_timeout)
        self._stopping = True
        self.wake()
        self._pool.close()
        self._coroutines.close(max(0.1, deadline - self.now()))
        if self._thread is not None:
            self._thread.join(max(0.1, deadline - self.now()))
        if not self.statistics().abandoned:
            self._pool.join(max(0.1, deadline - self.now()))

    def _ended_by(self, run: Any, deadline: float) -> bool:
        promise = self.promise()
        run.when_ended(promise)
        try:
            promise.result(max(0.0, deadline - self.now()))
        except TimeoutError:
            return False
        return True

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()


_living: weakref.WeakSet[ThreadingBackend] = weakref.WeakSet()
_default: ThreadingBackend | None = None
_default_lock = threading.Lock()


def default_backend() -> ThreadingBackend:
    """Give the backend that all flows share which were started without one."""
    global _default  # noqa: PLW0603 - one for the process
    with _default_lock:
        if _default is None or _default.closed:
            _default = ThreadingBackend()
        return _default


def _renew_lock() -> None:
    global _default_lock  # noqa: PLW0603 - another thread of the parent may have held it
    _default_lock = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_lock)


@atexit.register
def close_all() -> None:
    """Stop all flows that are left, when the interpreter goes."""
    for backend in list(_living):
        if not backend.closed:
            backend.close()
