"""How things come in: one inbox for each backend, one wake-up for each drain.

An item is a plain tuple of the run, the time of sending, what it is, and its content. Times are taken under the lock,
so the order of the inbox is the order of sending. Whether a run still takes signals is decided under the same lock: a
signal is either in the inbox before its run has ended, and is then rejected before the final message, or refused.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any, Final, Protocol

__all__ = ["Item", "Mailbox", "Receiver"]

START: Final = 0
SIGNAL: Final = 1
RETURNED: Final = 2
RAISED: Final = 3
SETTLED: Final = 4
ABANDONED: Final = 5
STOP: Final = 6
RESUME: Final = 7
SUBSCRIBE: Final = 8


class Receiver(Protocol):
    """Whose things come in: a run."""

    ended: bool
    queued: int

    def catch_up(self, sent: float) -> None:
        """Let pass the time before something was sent."""

    def receive(self, kind: int, content: Any) -> None:
        """Take one thing."""


Item = tuple[Receiver, float, int, Any]


class Mailbox:
    """The inbox of one backend.

    Args:
        lock: Guards the inbox and the ends of runs.
        now: The clock, in seconds.
    """

    __slots__ = ("_awake", "_incoming", "_now", "_taken", "lock")

    def __init__(self, lock: AbstractContextManager[Any], now: Callable[[], float]) -> None:
        self.lock = lock
        self._now = now
        self._incoming: deque[Item] = deque()
        self._taken: deque[Item] = deque()
        self._awake = False

    def post(self, run: Receiver, kind: int, content: Any) -> bool:
        """Put something in. Give True if the loop has to be woken."""
        with self.lock:
            return self.append(run, kind, content)

    def post_signal(self, run: Receiver, content: Any) -> bool | None:
        """Put a signal in, as `post`; give None if its run has ended and takes none."""
        with self.lock:
            if run.ended:
                return None
            run.queued += 1
            return self.append(run, SIGNAL, content)

    def append(self, run: Receiver, kind: int, content: Any) -> bool:
        """Put something in, as `post`, for who holds the lock."""
        self._incoming.append((run, self._now(), kind, content))
        if self._awake:
            return False
        self._awake = True
        return True

    def first(self, until: float) -> Item | None:
        """Give the oldest item that was sent no later than `until`, and leave it where it is. For the loop alone."""
        if not self._taken:
            with self.lock:
                if not self._incoming:
                    self._awake = False
                    return None
                self._taken, self._incoming = self._incoming, self._taken
        item = self._taken[0]
        return item if item[1] <= until else None

    def pop(self, item: Item) -> bool:
        """Take out an item that `first` gave. Give False if it is gone."""
        if not self._taken or self._taken[0] is not item:
            return False
        self._taken.popleft()
        if item[2] == SIGNAL:
            with self.lock:
                item[0].queued -= 1
        return True

    @property
    def empty(self) -> bool:
        """Whether nothing is in."""
        return not self._taken and not self._incoming

    def close(self, run: Receiver) -> list[Any]:
        """Let a run take no more signals; take out and give those that are still in. For the loop alone."""
        with self.lock:
            run.ended = True
            if not run.queued:
                return []
            run.queued = 0
            signals = []
            for name in ("_taken", "_incoming"):
                kept: deque[Item] = deque()
                for item in getattr(self, name):
                    if item[0] is run and item[2] == SIGNAL:
                        signals.append(item[3])
                    else:
                        kept.append(item)
                setattr(self, name, kept)
            return signals
