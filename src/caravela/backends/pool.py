"""Worker threads for plain functions: our own, as daemons, so that a function that hangs never keeps the process alive.

Threads are made when there is work and none is idle, and go after they have been idle for a while.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager

from caravela.calls import Call

__all__ = ["DEFAULT_WORKERS", "WorkerPool", "lent_place"]

DEFAULT_WORKERS = 32
IDLE_SECONDS = 10.0

_here = threading.local()


class WorkerPool:
    """At most `max_workers` threads that call functions, in the order in which these came.

    Args:
        max_workers: How many functions run at once.
        name: What the threads are called.
    """

    def __init__(self, max_workers: int = DEFAULT_WORKERS, name: str = "caravela") -> None:
        self._name = name
        self._limit = max_workers
        self._jobs: deque[Call] = deque()
        self._changed = threading.Condition(threading.Lock())
        self._threads: set[threading.Thread] = set()
        self._idle = 0
        self._closed = False

    def submit(self, call: Call) -> None:
        """Call a function when a thread is free."""
        with self._changed:
            self._jobs.append(call)
            if self._idle >= len(self._jobs):
                self._changed.notify()
                return
            if len(self._threads) >= self._limit:
                return
        self._add_thread(call)

    def _add_thread(self, call: Call) -> None:
        thread = threading.Thread(target=self._work, name=f"{self._name}-worker", daemon=True)
        with self._changed:
            self._threads.add(thread)
        try:
            thread.start()
        except RuntimeError as error:  # no more threads, or the interpreter is on its way out
            with self._changed:
                self._threads.discard(thread)
                if self._threads or call not in self._jobs:
                    return
                self._jobs.remove(call)
            call.raised(error)

    def withdraw(self, call: Call) -> bool:
        """Take back a function that no thread has begun. Give False if one has."""
        with self._changed:
            try:
                self._jobs.remove(call)
            except ValueError:
                return False
            return True

    def widen(self, places: int) -> None:
        """Let so many more functions run at once; fewer, if it is negative."""
        with self._changed:
            self._limit += places
            waiting = next(iter(self._jobs), None)
        if places > 0 and waiting is not None:
            self._add_thread(waiting)

    def close(self) -> None:
        """Let the threads go when they have done what they do. What no thread has begun is not done any more."""
        with self._changed:
            self._closed = True
            left, self._jobs = list(self._jobs), deque()
            self._changed.notify_all()
        for call in left:
            call.settled()

    def join(self, timeout: float) -> None:
        """Wait for idle threads to go; those inside a function are left to it."""
        for thread in list(self._threads):
            if thread is not threading.current_thread():
                thread.join(timeout)

    def _work(self) -> None:
        _here.pool = self
        try:
            while (call := self._next()) is not None:
                call.run_here()
                del call  # a finished call must not keep its run alive while the thread is idle
        finally:
            with self._changed:
                self._threads.discard(threading.current_thread())

    def _next(self) -> Call | None:
        with self._changed:
            while not self._jobs:
                if self._closed or len(self._threads) > self._limit:
                    self._go()
                    return None
                self._idle += 1
                came = self._changed.wait(IDLE_SECONDS)
                self._idle -= 1
                if not came and not self._jobs:
                    self._go()
                    return None
            if len(self._threads) > self._limit:
                self._go()
                self._changed.notify()  # it may have been woken for work that it leaves to another
                return None
            return self._jobs.popleft()

    def _go(self) -> None:
        """Leave the count of threads in the same breath as deciding to, so that `submit` never counts on this one."""
        self._threads.discard(threading.current_thread())


@contextmanager
def lent_place() -> Iterator[None]:
    """While a worker thread waits for another run, let another thread have its place in the pool."""
    pool: WorkerPool | None = getattr(_here, "pool", None)
    if pool is None:
        yield
        return
    pool.widen(1)
    try:
        yield
    finally:
        pool.widen(-1)
