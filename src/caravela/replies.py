"""What becomes of a sent signal: what it is called, the state it gave, the promise of who waits for that."""

from __future__ import annotations

from typing import Any

from caravela.core import Record
from caravela.core.postponed import Postponed, Signal
from caravela.functions import label_of
from caravela.state import changed, copied, evolve

__all__ = ["Handed", "Noted", "resolve", "signal_name"]


class Noted:
    """A signal function that notes the state it gave, for the `update` that waits for it."""

    __slots__ = ("_fn", "given")

    def __init__(self, fn: Any) -> None:
        self._fn = fn
        self.given: Any = None

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call the function, and note what it gives."""
        self.given = self._fn(*args, **kwargs)
        return self.given


class Handed(Postponed):
    """The postponed signals of a run: the core's once it applies them, and answered when the run has gone on."""

    __slots__ = ("_replies", "_run", "record")

    def __init__(self, signals: list[Signal], run: Any) -> None:
        super().__init__(signals)
        self.record: Record | None = None
        self._run = run
        self._replies: list[tuple[Any, Any, BaseException | None]] = []

    def __call__(self, state: Any) -> Any:
        """Give the state after all signals."""
        self._run.postponed = None
        return super().__call__(state)

    def applied(self, signal: Signal, old: Any, new: Any) -> None:
        """A signal has given a new state."""
        if self.record is not None:
            self.record.signals.append(signal_name(signal))
            if changed(old, new):
                self.record.change(new)
        self._replies.append((signal[4], new, None))

    def rejected(self, signal: Signal, error: BaseException) -> None:
        """A signal has raised and changed nothing."""
        if signal[4] is None:
            self._run.reject(signal, error, self.record)
        else:
            self._replies.append((signal[4], None, error))

    def reply(self) -> None:
        """Answer those who wait, now that whoever looks sees what they hear."""
        for waiting, new, error in self._replies:
            if waiting is not None:
                resolve(waiting, copied(new), error)


def signal_name(signal: Signal) -> str:
    """Give the name under which a signal is told."""
    fn, _, changes, name, _ = signal
    if fn is evolve:
        return ", ".join(changes or ())
    return name or label_of(fn) or "lambda"


def resolve(promise: Any, value: Any, error: BaseException | None = None) -> None:
    """Keep a promise, unless whoever waited has gone."""
    if promise.done():
        return
    if error is None:
        promise.set_result(value)
    else:
        promise.set_exception(error)
