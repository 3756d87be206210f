"""A private asyncio loop in a thread of its own, for the async functions of flows that run on threads."""

from __future__ import annotations

import asyncio
import threading

from caravela.backends.coroutines import cancel_task, start_task
from caravela.calls import Call

__all__ = ["LoopThread"]


class LoopThread:
    """Calls async functions. The thread begins with the first one."""

    def __init__(self) -> None:
        self._starting = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None

    def here(self) -> bool:
        """Say whether this is the thread of the loop."""
        return self._thread is threading.current_thread()

    def start(self, call: Call) -> None:
        """Call an async function."""
        loop = self._started()
        loop.call_soon_threadsafe(start_task, loop, call)

    def cancel(self, call: Call) -> None:
        """Cancel an async function that was started."""
        if self._loop is not None:
            self._loop.call_soon_threadsafe(cancel_task, call)

    def _started(self) -> asyncio.AbstractEventLoop:
        with self._starting:
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                self._thread = threading.Thread(target=self._run, name="caravela-asyncio", daemon=True)
                self._thread.start()
            return self._loop

    def _run(self) -> None:
        loop = self._loop
        if loop is None:
            return
        asyncio.set_event_loop(loop)
        try:
            loop.run_forever()
            loop.run_until_complete(_cancel_all(asyncio.all_tasks(loop)))
            loop.run_until_complete(loop.shutdown_asyncgens())
        finally:
            loop.close()

    def close(self, timeout: float) -> None:
        """Cancel what is left, and wait for the thread."""
        with self._starting:
            loop, thread = self._loop, self._thread
            self._loop = None
        if loop is not None and thread is not None:
            loop.call_soon_threadsafe(loop.stop)
            thread.join(timeout)


async def _cancel_all(tasks: set[asyncio.Task[object]]) -> None:
    for task in tasks:
        task.cancel()
    if tasks:
        await asyncio.wait(tasks, timeout=1.0)
