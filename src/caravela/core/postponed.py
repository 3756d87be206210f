"""The signals that waited for a function to settle, as one function from state to state."""

from __future__ import annotations

from typing import Any, Protocol

from caravela.core.advance import apply_signal

__all__ = ["Listener", "Postponed", "Signal"]

Signal = tuple[Any, tuple[Any, ...], dict[str, Any] | None, str, Any]
"""A signal that is queued: its function, arguments, keyword arguments, name, and who waits for the new state."""


class Listener(Protocol):
    """Who is told what became of each signal."""

    def signal_applied(self, signal: Signal, old: Any, new: Any) -> None:
        """A signal has given a new state."""

    def signal_rejected(self, signal: Signal, error: BaseException) -> None:
        """A signal has raised and changed nothing."""


class Postponed:
    """Applies signals in the order in which they were sent; one that raises changes nothing.

    >>> add = lambda state, n: state + n
    >>> Postponed([(add, (1,), None, "", None), (add, (2,), None, "", None)])(0)
    3
    """

    __slots__ = ("_listener", "_signals")

    def __init__(self, signals: list[Signal], listener: Listener | None = None) -> None:
        self._signals = signals
        self._listener = listener

    def __call__(self, state: Any) -> Any:
        """Give the state after all signals."""
        for signal in self._signals:
            fn, args, kwargs, _name, _waiting = signal
            try:
                new = apply_signal(state, fn, args, kwargs)
            except BaseException as error:  # noqa: BLE001 - whatever it raises, the next signal has its turn
                if self._listener is not None:
                    self._listener.signal_rejected(signal, error)
                continue
            if self._listener is not None:
                self._listener.signal_applied(signal, state, new)
            state = new
        return state

    def silent(self) -> Postponed:
        """Give the same signals for a replay, in which nobody is told anything."""
        return Postponed(self._signals)
