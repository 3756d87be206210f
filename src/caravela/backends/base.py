"""The contract of a backend, and what all backends share: the inbox, the timers, the runs, the order of a turn.

A backend says what time it is, how its loop is woken, where functions are called and how a caller waits. It knows
nothing of steps, machines or events; what they mean is in the core, and what is done about it in the runner.
"""

from __future__ import annotations

import random
import threading
from abc import ABC, abstractmethod
from contextlib import AbstractContextManager
from contextvars import Context, copy_context
from dataclasses import dataclass
from typing import Any

from caravela import mailbox
from caravela.backends import fork
from caravela.backends.timers import Timers
from caravela.calls import Call, current_call
from caravela.core import machine_state
from caravela.errors import BackendError, WouldDeadlockError
from caravela.mailbox import Mailbox

__all__ = ["Backend", "Statistics"]

SHUTDOWN_TIMEOUT = 5.0
"""Seconds that runs have to end when their backend is closed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Statistics:
    """What a backend has to show at this moment.

    Attributes:
        running: Runs that have not ended.
        ended: Runs that have.
        abandoned: Functions that go on although nobody waits for them.
        abandoned_total: How many functions were ever abandoned.
        timers: Deadlines that are planned.
    """

    running: int
    ended: int
    abandoned: int
    abandoned_total: int
    timers: int


class Backend(ABC):
    """Where flows run.

    Args:
        seed: For the random numbers of jitter; None for a different one each time.
    """

    is_async = False
    """Whether callers wait by `await`."""

    keeps_all = False
    """Whether its runners keep all their transitions."""

    def __init__(self, *, seed: int | None = None) -> None:
        self.timers = Timers()
        self.runs: set[Any] = set()
        self.busy = False
        self.closed = False
        self._random = random.Random(seed)  # noqa: S311 - jitter, no secret
        self._ended = 0
        self._abandoned = 0
        self._abandoned_total = 0
        self._context: Context | None = None
        self.renew()
        fork.watch(self)

    def renew(self) -> None:
        """Make what cannot be carried over a fork: the inbox with its lock."""
        self.mailbox = Mailbox(self.lock(), self.now)

    def after_fork(self) -> None:
        """Begin afresh in a child process: its threads are not there, and the runs are the parent's."""
        lost, self.runs = self.runs, set()
        self.timers = Timers()
        self.busy = False
        self.renew()
        for run in lost:
            run.lose()

    # --- what each backend says for itself -------------------------------------------------------------------------

    @abstractmethod
    def now(self) -> float:
        """Give the time in seconds."""

    @abstractmethod
    def wake(self) -> None:
        """See that `turn` is called on the loop soon. From any thread."""

    @abstractmethod
    def call(self, call: Call, *, cancel: bool = False) -> None:
        """Start a function, or cancel it; it reports its end itself, with `returned`, `raised` or `settled`."""

    @abstractmethod
    def promise(self) -> Any:
        """Give what a caller waits for: something with `done`, `set_result` and `set_exception`."""

    @abstractmethod
    def wait(self, promise: Any, timeout: float | None) -> Any:
        """Wait until a promise is kept and give its result; `TimeoutError` after `timeout` seconds."""

    @abstractmethod
    def on_loop(self) -> bool:
        """Say whether this is the thread of the loop."""

    # --- what all have in common -----------------------------------------------------------------------------------

    def lock(self) -> AbstractContextManager[Any]:
        """Give the lock of the inbox."""
        return threading.Lock()

    def prepare(self) -> None:
        """Get ready to run flows.

        Raises:
            BackendError: It is closed.
        """
        if self.closed:
            raise BackendError(
                f"this {type(self).__name__} is closed and starts no flows",
                wrong="with ThreadingBackend() as backend: ...; flow.start(backend=backend)",
                right="with ThreadingBackend() as backend: flow.start(backend=backend)",
            )

    def begin(self, run: Any, content: Any) -> None:
        """Take in a run that has its first snapshot. Who stops all runs from now on stops it, after its start."""
        with self.mailbox.lock:
            self.runs.add(run)
            wake = self.mailbox.append(run, mailbox.START, content)
        self.handle(wake)

    def finished(self, run: Any) -> None:
        """Forget a run that has ended."""
        self.timers.forget(run)
        with self.mailbox.lock:
            self.runs.discard(run)
            self._ended += 1

    def context(self) -> Context:
        """Give the context of this moment; equal ones are shared between runs."""
        context = copy_context()
        if self._context is None or context != self._context:
            self._context = context
        return self._context

    def draw(self) -> float:
        """Give a random number in [0, 1)."""
        return self._random.random()

    def post(self, run: Any, kind: int, content: Any) -> None:
        """Put something into the inbox, and see that it is handled."""
        self.handle(self.mailbox.post(run, kind, content))

    def post_signal(self, run: Any, content: Any) -> bool:
        """Put a signal in, as `post`; give False if its run has ended and takes none."""
        wake = self.mailbox.post_signal(run, content)
        if wake is None:
            return False
        self.handle(wake)
        return True

    def handle(self, wake: bool) -> None:  # noqa: FBT001 - what `Mailbox.post` gives
        """See that the inbox is handled."""
        if wake:
            self.wake()

    def plan(self, run: Any, due: float) -> None:
        """See that a run hears of a time."""
        self.timers.plan(run, due)

    def turn(self) -> None:
        """Handle what was sent until now, then the deadlines until now. On the loop.

        The time is taken first: all that was sent before it is in the inbox by then, so no deadline overtakes it.
        """
        now = self.now()
        self.pump(now)
        self.fire(now)

    def pump(self, until: float) -> None:
        """Handle what was sent until a time, in order. What is sent meanwhile is queued, never nested."""
        if self.busy:
            return
        self.busy = True
        inbox = self.mailbox
        try:
            while (item := inbox.first(until)) is not None:
                run, sent, kind, content = item
                if kind != mailbox.START:  # until then nothing may elapse
                    run.catch_up(sent)
                if inbox.pop(item):
                    run.receive(kind, content)
        finally:
            self.busy = False

    def fire(self, until: float) -> None:
        """Let the deadlines until a time come up, in order."""
        if self.busy:
            return
        self.busy = True
        try:
            while (run := self.timers.pop(until)) is not None:
                run.tick(until)
        finally:
            self.busy = False

    def abandoned(self, change: int) -> None:
        """Count a function that goes on although nobody waits for it (1), or that has ended at last (-1)."""
        with self.mailbox.lock:
            self._abandoned += change
            self._abandoned_total += max(change, 0)

    def statistics(self) -> Statistics:
        """Give what there is to show at this moment."""
        with self.mailbox.lock:
            return Statistics(
                running=len(self.runs),
                ended=self._ended,
                abandoned=self._abandoned,
                abandoned_total=self._abandoned_total,
                timers=len(self.timers),
            )

    def forbid_waiting(self, run: Any, call: str) -> None:
        """Refuse a call that would wait for itself.

        Raises:
            WouldDeadlockError: This is the loop's thread in the middle of its work, or a function of the run itself.
        """
        own = current_call()
        if own is not None and own.run is run:
            where, right = "a function of the flow itself", "runner.signal(...), or return Ok(...)"
        elif self.blocks_loop():
            where, right = "the loop's thread", "runner.signal(...), or wait in a thread or task of its own"
        else:
            return
        raise WouldDeadlockError(
            f"{call} in {where} would wait for itself",
            flow=run.machine.name,
            machine_state=machine_state(run.machine, run.snapshot),
            wrong=f"{call} in {where}",
            right=right,
        )

    def blocks_loop(self) -> bool:
        """Say whether waiting here would keep the loop from going on."""
        return self.on_loop()

    def stop_all(self) -> list[Any]:
        """Ask all runs to stop, and give them."""
        with self.mailbox.lock:
            runs = sorted(self.runs, key=lambda run: run.id)
        for run in runs:
            self.post(run, mailbox.STOP, None)
        return runs
