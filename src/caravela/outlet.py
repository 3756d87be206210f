"""What of a run goes out: messages to `notify` and to subscribers, records to the history.

A run has one only if somebody listens; a flow at rest that nobody watches costs nothing here.
"""

from __future__ import annotations

import logging
import weakref
from collections import deque
from collections.abc import Callable
from typing import Any

from caravela.core import Failure, RawSnapshot, Record
from caravela.core.events import Event
from caravela.machine import Machine
from caravela.messages import FlowDone, FlowFailed, FlowState, FlowStopped, Message, SignalRejected
from caravela.state import copied
from caravela.trace import TransitionRecord, recorded
from caravela.vocabulary import DONE, FAILED

__all__ = ["Outlet"]

_log = logging.getLogger("caravela")


class Outlet:
    """Who listens to one run, and what they are told.

    Args:
        runner_id: The number of the runner.
        tag: What was given at the start.
        notify: Takes each message; None for nobody.
        history: How many records are kept: 0 for none, None for all.
    """

    __slots__ = ("_count", "_last", "_notify", "_runner_id", "_seq", "_subscribers", "_tag", "history")

    def __init__(
        self, runner_id: int, tag: Any, notify: Callable[[Any], object] | None = None, history: int | None = 0
    ) -> None:
        self._runner_id = runner_id
        self._tag = tag
        self._notify = notify
        self._subscribers: tuple[weakref.ref[Any], ...] = ()
        self.history: list[TransitionRecord] | deque[TransitionRecord] | None = None
        if history != 0:
            self.history = [] if history is None else deque(maxlen=history)
        self._seq = 0
        self._count = 0
        self._last: Message[Any] | None = None

    @property
    def watched(self) -> bool:
        """Whether somebody gets messages."""
        return self._notify is not None or bool(self._subscribers)

    def transition(
        self, machine: Machine, now: float, old: RawSnapshot | None, new: RawSnapshot, event: Event, record: Record
    ) -> None:
        """Keep the record of a transition, and tell what happened in it."""
        self._count += 1
        if self.history is not None:
            self.history.append(recorded(machine, self._count, now, old, new, event, record))
        if not self.watched:
            return
        for what, content, error in record.told:
            if what == "rejected":
                self._tell(SignalRejected, now, signal=content, error=error)
            else:
                self._tell(FlowState, now, state=copied(content))

    def rejected(self, now: float, signal: str, error: BaseException | None) -> None:
        """Tell that a signal changed nothing."""
        if self.watched:
            self._tell(SignalRejected, now, signal=signal, error=error)

    def ended(self, now: float, kind: str, state: Any, failure: Failure | None) -> None:
        """Tell the end; whoever subscribes later still hears of it."""
        if kind == FAILED and failure is not None:
            self._last = self._tell(
                FlowFailed,
                now,
                reason=failure.reason,
                state=copied(state),
                error=failure.error,
                step=failure.path,
                machine_state=failure.machine_state,
                attempts=failure.attempts,
            )
        else:
            self._last = self._tell(FlowDone if kind == DONE else FlowStopped, now, state=copied(state))

    def subscribe(self, subscription: Any, now: float, state: Any) -> None:
        """Add a subscriber; the first it hears is the state at this moment."""
        self._subscribers = (*self._subscribers, weakref.ref(subscription))
        subscription.push(self._made(FlowState, now, state=copied(state)))
        if self._last is not None:
            subscription.push(self._last)

    def _made(self, message: Any, now: float, **content: Any) -> Message[Any]:
        made: Message[Any] = message(tag=self._tag, runner_id=self._runner_id, seq=self._seq, time=now, **content)
        return made

    def _tell(self, message: Any, now: float, **content: Any) -> Message[Any]:
        self._seq += 1
        made: Message[Any] = message(tag=self._tag, runner_id=self._runner_id, seq=self._seq, time=now, **content)
        if self._notify is not None:
            try:
                self._notify(made)
            except BaseException:  # noqa: BLE001 - a listener never changes a flow
                _log.exception("notify raised on %r; the flow goes on", made)
        if self._subscribers:
            self._push(made)
        return made

    def _push(self, message: Message[Any]) -> None:
        left = []
        for reference in self._subscribers:
            subscription = reference()
            if subscription is not None:
                subscription.push(message)
                left.append(reference)
        self._subscribers = tuple(left)
