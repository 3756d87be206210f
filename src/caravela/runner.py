"""One run: what it does with what comes in. Through the core, and then whatever differs between the snapshots.

Written once for all backends; none of it waits. A run is handled on its backend's loop alone, except for reading its
snapshot, which anyone may do at any time; what comes from elsewhere comes through the mailbox.

On the hot path, like the core: a signal that only moves a deadline must cost little more than its function. And 100,000
runs may rest side by side, so a run is small: what only some need (who listens, what is postponed, which functions are
out) is made when it is needed.
"""

from __future__ import annotations

import logging
from contextvars import Context
from itertools import count
from typing import Any, ClassVar

from caravela import mailbox
from caravela import vocabulary as v
from caravela.calls import Call
from caravela.core import Record, advance, start
from caravela.core import events as e
from caravela.core.effects import invocation, invoked
from caravela.core.events import Event
from caravela.core.postponed import Signal
from caravela.core.snapshot import AT, DUE, MEMORY, NEVER, STATE, TOKEN, RawSnapshot, failure_of
from caravela.errors import FlowEndedError
from caravela.host import Host
from caravela.machine import Machine
from caravela.nodes import Each
from caravela.nodes import Run as RunStep
from caravela.outlet import Outlet
from caravela.replies import Handed, Noted, resolve, signal_name
from caravela.results import ended_error
from caravela.state import copied
from caravela.trace import TransitionRecord

__all__ = ["Run"]

_log = logging.getLogger("caravela")
_ids = count(1)


class Run:
    """One run of a flow.

    Attributes:
        snapshot: Where it stands, as the core knows it.
        ended: It takes no more signals.
        queued: How many of its signals are in the inbox.
        armed: The time of its entry among the timers.
        looked: Somebody has asked for its end, or was told.
        context: The context in which its functions are called; None if it calls none.
        id: Its number, unique in its process.
    """

    __slots__ = (
        "__weakref__",
        "_calls",
        "_outlet",
        "_waiters",
        "armed",
        "context",
        "ended",
        "host",
        "id",
        "looked",
        "machine",
        "postponed",
        "queued",
        "snapshot",
    )

    def __init__(self, host: Host, machine: Machine, state: Any, context: Context | None) -> None:
        self.host = host
        self.machine = machine
        self.context = context
        self.id = next(_ids)
        self.ended = False
        self.queued = 0
        self.armed = NEVER
        self.looked = False
        self._outlet: Outlet | None = None
        self._calls: dict[int, Call] | None = None
        self.postponed: list[Signal] | None = None
        self._waiters: list[Any] | tuple[()] | None = None  # a tuple once the last message is out
        self.snapshot: RawSnapshot = (0, state, NEVER, 0, (), None)

    def begin(self, outlet: Outlet | None) -> None:
        """Take the first snapshot. The only transition that is made on the starter's thread: it has no effects yet."""
        self._outlet = outlet
        record = None if outlet is None else Record()
        now = self.host.now()
        state = self.snapshot[STATE]
        self.snapshot = start(self.machine, state, now=now, record=record)
        self.host.begin(self, (record, (now, state)))

    def receive(self, kind: int, content: Any) -> None:
        """Take one thing out of the inbox."""
        self._receivers[kind](self, content)

    def catch_up(self, sent: float) -> None:
        """Let pass the time before something was sent, so that a loop that comes late keeps the order of things."""
        while self.snapshot[DUE] < sent:
            self._elapsed(self.snapshot[DUE])

    def tick(self, now: float) -> None:
        """Time has passed, up to and including `now`."""
        due = self.snapshot[DUE]
        if due <= now:
            self._elapsed(due)
        elif due != NEVER:
            self.host.plan(self, due)

    def _elapsed(self, due: float) -> None:
        handed = self._handed()
        self._dispatch(e.elapsed(self.host.now(), due, self._draw(), handed), handed)

    def _started(self, content: tuple[Record | None, Event]) -> None:
        record, event = content
        self._take(None, self.snapshot, event, record)

    def _signalled(self, signal: Signal) -> None:
        if self.machine.rows[self.snapshot[AT]][3].postpones:
            if self.postponed is None:
                self.postponed = []
            self.postponed.append(signal)
            return
        fn, args, kwargs, name, waiting = signal
        if waiting is not None:
            fn = Noted(fn)
        event = (e.SIGNAL, self.host.now(), fn, args, kwargs, name)
        old = self.snapshot
        record = None if self._outlet is None else Record()
        try:
            new = advance(self.machine, old, event, record)
        except BaseException as error:  # noqa: BLE001 - what a signal function raises is its sender's
            self.reject(signal, error)
            return
        self._take(old, new, event, record)
        if waiting is not None:
            resolve(waiting, copied(fn.given))

    def _returned(self, content: tuple[int, int, Any]) -> None:
        token, index, value = content
        handed = self._handed()
        self._settle(e.returned(self.host.now(), token, value, index, self._draw(), handed), handed)

    def _raised(self, content: tuple[int, int, BaseException]) -> None:
        token, index, error = content
        handed = self._handed()
        self._settle(e.raised(self.host.now(), token, error, index, self._draw(), handed), handed)

    def _settled(self, content: tuple[int, int]) -> None:
        self._settle(e.settled(self.host.now(), *content, self._draw()))

    def _abandoned(self, content: tuple[int, int]) -> None:
        self._settle(e.abandoned(self.host.now(), *content, self._draw()))

    def _settle(self, event: Event, handed: Handed | None = None) -> None:
        index = event[3] if event[0] in (e.SETTLED, e.ABANDONED) else event[4]
        if event[2] == self.snapshot[TOKEN] and self._calls is not None:
            self._calls.pop(index, None)
        self._dispatch(event, handed)

    def _stopped(self, _content: Any) -> None:
        handed = self._handed()
        self._dispatch(e.stop(self.host.now(), handed), handed)

    def _resumed(self, _content: Any) -> None:
        self._dispatch(e.resumed(self.host.now()))

    def _subscribed(self, content: tuple[Any, Any]) -> None:
        subscription, tag = content
        self.looked = True
        if self._outlet is None:
            self._outlet = Outlet(self.id, tag)
            if self.ended:
                self._tell_end()
        self._outlet.subscribe(subscription, self.host.now(), self.snapshot[STATE])

    def _draw(self) -> float:
        step = self.machine.rows[self.snapshot[AT]][3].step
        jittered = isinstance(step, (RunStep, Each)) and step.policy.jitter != "none"
        return float(self.host.draw()) if jittered else 0.0

    def _dispatch(self, event: Event, handed: Handed | None = None) -> None:
        """Send an event through the core and do what differs."""
        old = self.snapshot
        record = None if self._outlet is None else Record()
        if handed is not None:
            handed.record = record
        new = advance(self.machine, old, event, record)
        if new is not old:
            self._take(old, new, event, record)
        if handed is not None:
            handed.reply()

    def _take(self, old: RawSnapshot | None, new: RawSnapshot, event: Event, record: Record | None) -> None:
        """Stand at a new snapshot, tell of it, and do what differs from the old one."""
        self.snapshot = new
        if record is not None and self._outlet is not None:
            self._outlet.transition(self.machine, event[1] if old else event[0], old, new, event, record)
        due = new[DUE]
        if due != NEVER and due < self.armed:
            self.host.plan(self, due)
        if old is None or new[AT] != old[AT] or new[MEMORY] is not old[MEMORY] or event[0] == e.RESUMED:
            self._perform(old, new)

    def _perform(self, old: RawSnapshot | None, new: RawSnapshot) -> None:
        kind = self.machine.rows[new[AT]][0]
        if self._calls:
            self._let_go(old, new, kind)
        for index in invoked(self.machine, old, new):
            self._invoke(new, index)
        if kind in v.FINAL_KINDS:
            self._finish()
        elif kind in v.TRANSIENT_KINDS:
            self.host.post(self, mailbox.RESUME, None)

    def _invoke(self, snapshot: RawSnapshot, index: int) -> None:
        fn, args = invocation(self.machine, snapshot, index)
        call = Call(self.host, self, snapshot[TOKEN], index, self.machine.states[snapshot[AT]], fn, args)
        if self._calls is None:
            self._calls = {}
        self._calls[index] = call
        self.host.call(call)

    def _let_go(self, old: RawSnapshot | None, new: RawSnapshot, kind: str) -> None:
        """Cancel the functions that are out, or give them up, if the transition says so."""
        calls = list((self._calls or {}).values())
        if old is not None and old[TOKEN] != new[TOKEN]:
            self._calls = None
            for call in calls:
                call.abandon()
        elif kind == v.CANCELLING:
            for call in calls:
                call.cancel()

    def _handed(self) -> Handed | None:
        return None if self.postponed is None else Handed(self.postponed, self)

    def reject(self, signal: Signal, error: BaseException, record: Record | None = None) -> None:
        """Say to its sender, or to all, that a signal changed nothing."""
        waiting = signal[4]
        if waiting is not None:
            resolve(waiting, None, error)
            return
        name = signal_name(signal)
        if not isinstance(error, FlowEndedError):
            _log.error("signal %s of flow %r raised; nothing has changed", name, self.machine.name, exc_info=error)
        if record is not None:
            record.reject(name, error)
        elif self._outlet is not None:
            self._outlet.rejected(self.host.now(), name, error)

    def _finish(self) -> None:
        left = [*(self.postponed or ()), *self.host.mailbox.close(self)]
        self.postponed = None
        for signal in left:
            self.reject(signal, ended_error(self.machine, self.snapshot))
        self._tell_end()
        self.host.finished(self)
        with self.host.mailbox.lock:
            waiters, self._waiters = self._waiters, ()
        for waiter in waiters or ():
            resolve(waiter, None)

    def _tell_end(self) -> None:
        if self._outlet is not None:
            self.looked = self.looked or self._outlet.watched
            kind = self.machine.rows[self.snapshot[AT]][0]
            self._outlet.ended(self.host.now(), kind, self.snapshot[STATE], failure_of(self.snapshot))

    def when_ended(self, promise: Any) -> None:
        """Keep a promise when the run has ended. May be called from any thread."""
        with self.host.mailbox.lock:
            if not self.finished:
                self._waiters = [*(self._waiters or ()), promise]
                return
        resolve(promise, None)

    def lose(self) -> None:
        """End without a message: this is a copy in a forked child, and the run is the parent's."""
        self.ended = True
        self.armed = NEVER
        self.looked = True
        self._calls = self.postponed = None
        self._waiters = ()

    @property
    def finished(self) -> bool:
        """Whether it has ended and its last message is out."""
        return isinstance(self._waiters, tuple)

    @property
    def history(self) -> tuple[TransitionRecord, ...]:
        """The transitions that were kept."""
        outlet = self._outlet
        return () if outlet is None or outlet.history is None else tuple(outlet.history)

    @property
    def unseen_failure(self) -> BaseException | None:
        """The exception of a failure at which nobody has looked."""
        failure = failure_of(self.snapshot)
        return None if failure is None or self.looked else failure.error

    def log_unseen(self) -> None:
        """Log a failure at which nobody has looked, once."""
        error = self.unseen_failure
        if error is not None:
            self.looked = True
            _log.error("flow %r failed and nobody asked for its result", self.machine.name, exc_info=error)

    def __del__(self) -> None:
        if getattr(self, "ended", False):
            self.log_unseen()

    _receivers: ClassVar[dict[int, Any]] = {
        mailbox.START: _started,
        mailbox.SIGNAL: _signalled,
        mailbox.RETURNED: _returned,
        mailbox.RAISED: _raised,
        mailbox.SETTLED: _settled,
        mailbox.ABANDONED: _abandoned,
        mailbox.STOP: _stopped,
        mailbox.RESUME: _resumed,
        mailbox.SUBSCRIBE: _subscribed,
    }
