"""One running flow, as far as it can be asked: its state, its history, its outcome.

100,000 of them may rest side by side, so a handle is small. What only some runs need (who listens, what is postponed,
which functions are out) is made when it is needed.
"""

from __future__ import annotations

import logging
from contextvars import Context
from itertools import count
from typing import Any, Generic, TypeVar

from caravela import vocabulary as v
from caravela.calls import Call
from caravela.core import Record, machine_state
from caravela.core.postponed import Signal
from caravela.core.snapshot import AT, NEVER, STATE, RawSnapshot, Snapshot, describe, failure_of
from caravela.errors import FlowEndedError, FlowError, FlowStoppedError
from caravela.machine import Machine
from caravela.outlet import Outlet
from caravela.state import copied
from caravela.trace import TransitionRecord

__all__ = ["Handle", "resolve"]

S = TypeVar("S")

_log = logging.getLogger("caravela")
_ids = count(1)


class Handle(Generic[S]):
    """One running flow, without the ways of waiting for it, in which the backends differ.

    Attributes:
        ended: The run is over and takes no more signals.
        queued: How many of its signals are in the inbox.
        armed: The time of its entry among the timers.
        id: The number of the runner, unique in its process.
        tag: What was given at the start.
    """

    __slots__ = (
        "__weakref__",
        "_calls",
        "_looked",
        "_outlet",
        "_postponed",
        "_record",
        "_snapshot",
        "_waiters",
        "armed",
        "context",
        "ended",
        "flow",
        "host",
        "id",
        "machine",
        "queued",
        "tag",
    )

    def __init__(self, host: Any, flow: Any, state: S, context: Context, tag: Any) -> None:
        self.host = host
        self.flow = flow
        self.machine: Machine = flow.machine
        self.context = context
        self.tag = tag
        self.id = next(_ids)
        self.ended = False
        self.queued = 0
        self.armed = NEVER
        self._looked = False
        self._outlet: Outlet | None = None
        self._calls: dict[int, Call] | None = None
        self._postponed: list[Signal] | None = None
        self._record: Record | None = None
        self._waiters: list[Any] | tuple[()] | None = None  # a tuple once the last message is out
        self._snapshot: RawSnapshot = (0, state, NEVER, 0, (), None)

    def get_state(self) -> S:
        """Give the state at this moment; a dict as a copy. Never waits."""
        return copied(self._snapshot[STATE])  # type: ignore[no-any-return]

    @property
    def machine_state(self) -> str:
        """The machine state at this moment, such as `running(attempt=2)`."""
        return machine_state(self.machine, self._snapshot)

    @property
    def snapshot(self) -> Snapshot:
        """Where the run stands, to read."""
        return describe(self.machine, self._snapshot)

    def done(self) -> bool:
        """Say whether the flow has ended, in whatever way, and its last message is out."""
        return isinstance(self._waiters, tuple)

    @property
    def history(self) -> tuple[TransitionRecord, ...]:
        """The last transitions, as many as `history=` asked for at the start."""
        outlet = self._outlet
        return () if outlet is None or outlet.history is None else tuple(outlet.history)

    @property
    def trace(self) -> tuple[TransitionRecord, ...]:
        """The history; the virtual backend keeps all of it."""
        return self.history

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.id} of {self.machine.name!r}: {self.machine_state}>"

    def when_ended(self, promise: Any) -> None:
        """Keep a promise when the run has ended. May be called from any thread."""
        with self.host.mailbox.lock:
            if not isinstance(self._waiters, tuple):
                self._waiters = [*(self._waiters or ()), promise]
                return
        resolve(promise, None)

    def ended_error(self) -> FlowEndedError:
        """Give the error for who sends something to a flow that has ended."""
        return FlowEndedError(
            "the flow has ended and takes no more signals", flow=self.machine.name, machine_state=self.machine_state
        )

    def outcome(self) -> S:
        """Give the final state of a run that has ended.

        Raises:
            FlowError: The flow failed.
            FlowStoppedError: It was stopped.
        """
        self._looked = True
        failure = failure_of(self._snapshot)
        state: S = self.get_state()
        if failure is not None:
            raise FlowError(
                f"flow {self.machine.name!r} failed: {failure.error}",
                reason=failure.reason,
                state=state,
                attempts=failure.attempts,
                step=failure.path,
                machine_state=failure.machine_state,
            ) from failure.error
        if self.machine.rows[self._snapshot[AT]][0] != v.DONE:
            raise FlowStoppedError(f"flow {self.machine.name!r} was stopped", state=state)
        return state

    def lose(self) -> None:
        """End without a message: this is a copy in a forked child, and the run is the parent's."""
        self.ended = True
        self.armed = NEVER
        self._looked = True
        self._calls = self._postponed = None
        self._waiters = ()

    @property
    def unseen_failure(self) -> BaseException | None:
        """The exception of a failure at which nobody has looked."""
        failure = failure_of(self._snapshot)
        return None if failure is None or self._looked else failure.error

    def log_unseen(self) -> None:
        """Log a failure at which nobody has looked, once."""
        error = self.unseen_failure
        if error is not None:
            self._looked = True
            _log.error("flow %r failed and nobody asked for its result", self.machine.name, exc_info=error)

    def __del__(self) -> None:
        if getattr(self, "ended", False):
            self.log_unseen()


def resolve(promise: Any, value: Any, error: BaseException | None = None) -> None:
    """Keep a promise, unless whoever waited has gone."""
    if promise.done():
        return
    if error is None:
        promise.set_result(value)
    else:
        promise.set_exception(error)
