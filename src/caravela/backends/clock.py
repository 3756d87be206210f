"""A clock that stands still until it is told to go on, and an asyncio loop that lives by it."""

from __future__ import annotations

import asyncio
import heapq
import math
from collections.abc import Callable
from contextvars import Context
from itertools import count
from typing import Any

from caravela.errors import BackendError

__all__ = ["Agenda", "VirtualClock", "VirtualLoop"]


class Agenda:
    """Things to do at their times; at one time in the order in which they were put down."""

    __slots__ = ("_entries", "_order")

    def __init__(self) -> None:
        self._entries: list[tuple[float, int, Any]] = []
        self._order = count()

    def add(self, when: float, what: Any) -> None:
        """Put something down."""
        heapq.heappush(self._entries, (when, next(self._order), what))

    def earliest(self) -> float:
        """Give the time of the first thing; infinite if there is none."""
        return self._entries[0][0] if self._entries else math.inf

    def pop(self, until: float) -> Any:
        """Take out and give the first thing that is due; None if there is none."""
        return heapq.heappop(self._entries)[2] if self._entries and self._entries[0][0] <= until else None


class VirtualClock:
    """The time of a `VirtualBackend`, in seconds from 0. It moves only by `advance`.

    Args:
        move: Moves a backend to a time, by way of all that happens until then.
    """

    __slots__ = ("_move", "actions", "time")

    def __init__(self, move: Callable[[float], None]) -> None:
        self._move = move
        self.actions = Agenda()
        self.time = 0.0

    def now(self) -> float:
        """Give the time in seconds."""
        return self.time

    def advance(self, seconds: float) -> None:
        """Move on, letting everything happen that is due until then, at its own time.

        Args:
            seconds: How far; 0 lets happen what is due now.

        Raises:
            BackendError: The time would go backwards, or this is a flow's own function.
            LivelockError: A flow makes more than 100,000 transitions at one instant.
        """
        if not 0 <= seconds < math.inf:
            raise BackendError(
                f"the clock cannot move by {seconds!r} seconds",
                wrong=f"clock.advance({seconds!r})",
                right="clock.advance(0.5)",
            )
        self._move(self.time + seconds)

    def call_at(self, seconds: float, fn: Callable[[], object]) -> None:
        """Plan a call of the test's own. At one instant these come before the timers of flows.

        Args:
            seconds: The time, in seconds from 0; not before now.
            fn: What to call.

        Raises:
            BackendError: The time has passed already.
        """
        if seconds < self.time:
            raise BackendError(
                f"the time {seconds:g} has passed; it is {self.time:g}",
                wrong=f"clock.call_at({seconds:g}, ...)",
                right="clock.call_at(clock.now() + 1, ...)",
            )
        self.actions.add(seconds, fn)


class VirtualLoop(asyncio.SelectorEventLoop):
    """An asyncio loop whose time is a virtual clock's. It runs what is ready, and never waits.

    Args:
        clock: Whose time it is.
    """

    def __init__(self, clock: VirtualClock) -> None:
        self._clock = clock
        self._sleepers = Agenda()
        self._asked = 0
        super().__init__()

    def time(self) -> float:
        """Give the virtual time in seconds."""
        return self._clock.time

    def call_at(  # type: ignore[override]  # typeshed's variadic types say no more to a caller of ours
        self, when: float, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> asyncio.TimerHandle:
        """Call a function at a virtual time."""
        handle = asyncio.TimerHandle(when, callback, args, self, context)
        self._sleepers.add(when, handle)
        return handle

    def call_soon(  # type: ignore[override]  # the same
        self, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> asyncio.Handle:
        """Call a function in the next round."""
        self._asked += 1
        return super().call_soon(callback, *args, context=context)

    def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None:
        """Nothing to do: a cancelled handle does nothing when its time comes."""

    def earliest(self) -> float:
        """Give the time of the first sleeper; infinite if there is none."""
        while (handle := self._sleepers.pop(math.inf)) is not None:
            if not handle.cancelled():
                self._sleepers.add(handle.when(), handle)
                return float(handle.when())
        return math.inf

    def run_ready(self) -> None:
        """Run everything that can run at this time, round by round, until nothing is left."""
        while (handle := self._sleepers.pop(self._clock.time)) is not None:
            if not handle.cancelled():
                self.call_soon(handle._run)  # noqa: SLF001 - what a loop does with a handle
        outer = asyncio._get_running_loop()  # noqa: SLF001 - for those who implement loops
        asyncio._set_running_loop(None)  # noqa: SLF001 - a test may itself be async
        try:
            asked = -1
            while asked != self._asked:
                asked = self._asked
                super().call_soon(self.stop)
                self.run_forever()
        finally:
            asyncio._set_running_loop(outer)  # noqa: SLF001
