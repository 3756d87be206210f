"""Flows on virtual time, on the caller's thread: nothing sleeps. For tests, replay and exploration.

At one instant things happen in this order: the test's own calls, what was sent, functions, deadlines of flows. A plain
function is called where it is due and takes no time; an async one runs on a private loop whose time is the clock's; a
held one stays in flight until the test lets it go.
"""

from __future__ import annotations

import asyncio
import math
import threading
import weakref
from collections import Counter, deque
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from types import TracebackType
from typing import Any, Self

from caravela import mailbox
from caravela.backends.base import Backend
from caravela.backends.clock import VirtualClock, VirtualLoop
from caravela.backends.coroutines import cancel_task, start_task
from caravela.backends.held import Held, HeldCall
from caravela.calls import Call
from caravela.core import machine_state
from caravela.errors import BackendError, LivelockError, WouldDeadlockError
from caravela.machine import YIELD_AFTER
from caravela.mailbox import Item, Mailbox

__all__ = ["VirtualBackend"]

MOST_TRANSITIONS = 100_000
"""Transitions at one instant after which a flow counts as never coming to rest."""


class VirtualBackend(Backend):
    """Runs flows on virtual time, on the thread that calls it.

    Args:
        hold: The functions to keep in flight until the test lets them go: the labels of their steps, `True` for all,
            or a predicate of the `HeldCall`.
        seed: For the random numbers of jitter; 0 if not given, so that a test is the same each time.

    Attributes:
        clock: The time; `clock.advance(seconds)` moves it.

    >>> from caravela import flow, wait
    >>> backend = VirtualBackend()
    >>> runner = flow("nap", wait(3600), initial_state={}).start(backend=backend)
    >>> backend.clock.advance(3600)
    >>> runner.machine_state
    'done'
    """

    keeps_all = True

    def __init__(
        self, *, hold: bool | Iterable[str] | Callable[[HeldCall], bool] = False, seed: int | None = 0
    ) -> None:
        self.clock = VirtualClock(self._move)
        self._held = Held(hold)
        self._jobs: deque[Call] = deque()
        self._loop: VirtualLoop | None = None
        self._instant = 0.0
        self._transitions: Counter[int] = Counter()  # at this instant, by the number of the runner
        super().__init__(seed=seed)

    def renew(self) -> None:
        """Make an inbox that counts what is handled."""
        super().renew()
        self.mailbox = _CountedMailbox(self.lock(), self.now, self._count)
        self._driving = threading.RLock()

    def now(self) -> float:
        """Give the virtual time in seconds."""
        return self.clock.time

    @property
    def held(self) -> tuple[HeldCall, ...]:
        """The functions that are in flight until the test lets them go, oldest first."""
        return self._held.calls

    def wake(self) -> None:
        """Handle the inbox at once; there is no other thread that could."""
        self._settle()

    def handle(self, wake: bool) -> None:  # noqa: FBT001, ARG002 - what `Mailbox.post` gives
        """Handle the inbox at once."""
        self._settle()

    def _settle(self) -> None:
        """Let everything happen that needs no time: what was sent, functions, and what follows from them.

        One thread at a time does so. Another that comes meanwhile leaves what it sent in the inbox, which is looked at
        once more when the first one has let go.
        """
        while self._driving.acquire(blocking=False):
            try:
                if self.busy:
                    return
                self._settle_once()
            finally:
                self._driving.release()
            if self.mailbox.empty and not self._jobs:
                return

    def _settle_once(self) -> None:
        self.pump(self.clock.time)
        if self._jobs:
            self._do(self._jobs.popleft().run_here)
        elif self._loop is not None:
            self._do(self._loop.run_ready)

    def _do(self, what: Callable[..., None], *args: Any) -> None:
        """Do something during which nothing else is begun."""
        self.busy = True
        try:
            what(*args)
        finally:
            self.busy = False

    def _move(self, until: float) -> None:
        with self._driving:
            if self.busy:
                raise BackendError(
                    "the clock cannot be moved from inside a flow's function",
                    wrong="run(lambda state: backend.clock.advance(1))",
                    right="backend.clock.advance(1) in the test, or await asyncio.sleep(1) in an async function",
                )
            self._settle()
            while (due := self._earliest()) <= until:
                self.clock.time = max(self.clock.time, due)
                self._happen()
            self.clock.time = max(self.clock.time, until)

    def _earliest(self) -> float:
        sleepers = math.inf if self._loop is None else self._loop.earliest()
        return min(self.clock.actions.earliest(), sleepers, self.timers.earliest())

    def _happen(self) -> None:
        """Let one thing happen that is due now: the test's own calls first, a deadline of a flow last."""
        now = self.clock.time
        action = self.clock.actions.pop(now)
        if action is not None:
            action()
            self._settle()
            return
        if self._loop is not None and self._loop.earliest() <= now:
            self._settle()
            return
        run = self.timers.pop(now)
        if run is not None:
            self._do(run.tick, now)
            self._count(run, 1)
            self._settle()

    def _count(self, run: Any, transitions: int) -> None:
        if self._instant != self.clock.time:
            self._instant = self.clock.time
            self._transitions.clear()
        self._transitions[run.id] += transitions
        if self._transitions[run.id] > MOST_TRANSITIONS:
            del self._transitions[run.id]
            raise LivelockError(
                f"more than {MOST_TRANSITIONS:,} transitions at {self.clock.time:g} s, round and round through "
                f"{_cycle(run)}",
                flow=run.machine.name,
                machine_state=machine_state(run.machine, run.snapshot),
                right="a step that takes time, such as wait(0.1), inside the repeat",
            )

    def call(self, call: Call, *, cancel: bool = False) -> None:
        """Start a function, or cancel it; a held one is kept, or given up."""
        if cancel:
            self._cancel(call)
        elif not self._held.keep(call):
            self._start(call)

    def release(self, call: Call) -> None:
        """Start a function that was held."""
        self._start(call)
        self._settle()

    def _start(self, call: Call) -> None:
        if not call.is_async:
            self._jobs.append(call)
            return
        if self._loop is None:
            self._loop = VirtualLoop(self.clock)
            weakref.finalize(self, _close, self._loop)
        start_task(self._loop, call)

    def _cancel(self, call: Call) -> None:
        if call in self._jobs:
            self._jobs.remove(call)
            call.settled()
        elif self._held.drop(call):
            if call.is_async:
                call.settled()
            else:
                call.abandon()
        elif call.is_async:
            cancel_task(call)

    def promise(self) -> Future[Any]:
        """Give what a caller waits for."""
        return Future()

    def wait(self, promise: Future[Any], timeout: float | None) -> Any:
        """Move the clock from one thing to the next until a promise is kept.

        Raises:
            TimeoutError: So many virtual seconds have passed.
            WouldDeadlockError: Nothing is left that could keep it.
        """
        end = math.inf if timeout is None else self.clock.time + timeout
        self._settle()
        while not promise.done():
            due = self._earliest()
            if due > end:
                self._move(end)
                if not promise.done():
                    raise TimeoutError
            elif due == math.inf:
                raise WouldDeadlockError(
                    "nothing is left on the virtual clock that could end this wait",
                    wrong="runner.result()  # while the flow waits for a signal or a held function",
                    right="runner.signal(...), backend.held[0].returns(None), or result(timeout=...)",
                )
            else:
                self._move(max(due, self.clock.time))
        return promise.result()

    def on_loop(self) -> bool:
        """Say whether this is the middle of a flow's doing; else the caller is the loop."""
        if not self._driving.acquire(blocking=False):
            return False
        try:
            return self.busy
        finally:
            self._driving.release()

    def close(self) -> None:
        """Stop all flows, and close the private loop."""
        for run in self.stop_all():
            if not run.finished:
                promise = self.promise()
                run.when_ended(promise)
                self.wait(promise, None)
        self.closed = True
        if self._loop is not None:
            _close(self._loop)
            self._loop = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()


class _CountedMailbox(Mailbox):
    """Counts each thing before it is handled, so that nothing is lost when the count is too high."""

    __slots__ = ("_count",)

    def __init__(self, lock: Any, now: Callable[[], float], count: Callable[[Any, int], None]) -> None:
        super().__init__(lock, now)
        self._count = count

    def pop(self, item: Item) -> bool:
        """Take out an item that `first` gave."""
        self._count(item[0], YIELD_AFTER if item[2] == mailbox.RESUME else 1)
        return super().pop(item)


def _cycle(run: Any) -> str:
    """Name the machine states through which a run goes round."""
    names = dict.fromkeys(
        name for record in run.history[-100:] for name in (*record.passed, record.target) if name is not None
    )
    return " → ".join(names)


def _close(loop: VirtualLoop) -> None:
    """Cancel what is left on a private loop, and close it."""
    if loop.is_closed():
        return
    for task in asyncio.all_tasks(loop):
        task.cancel()
    loop.run_ready()
    loop.close()
