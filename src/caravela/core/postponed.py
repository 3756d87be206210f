"""The signals that waited for a function to settle, as one function from state to state."""

from __future__ import annotations

from typing import Any

from caravela.core.advance import apply_signal

__all__ = ["Postponed", "Signal"]

Signal = tuple[Any, tuple[Any, ...], dict[str, Any] | None, str, Any]
"""A signal that is queued: its function, arguments, keyword arguments, name, and who waits for the new state."""


class Postponed:
    """Applies signals in the order in which they were sent; one that raises changes nothing.

    >>> add = lambda state, n: state + n
    >>> Postponed([(add, (1,), None, "", None), (add, (2,), None, "", None)])(0)
    3
    """

    __slots__ = ("signals",)

    def __init__(self, signals: list[Signal]) -> None:
        self.signals = signals

    def __call__(self, state: Any) -> Any:
        """Give the state after all signals."""
        for signal in self.signals:
            fn, args, kwargs, _name, _waiting = signal
            try:
                new = apply_signal(state, fn, args, kwargs)
            except BaseException as error:  # noqa: BLE001 - whatever it raises, the next signal has its turn
                self.rejected(signal, error)
            else:
                self.applied(signal, state, new)
                state = new
        return state

    def applied(self, signal: Signal, old: Any, new: Any) -> None:
        """A signal has given a new state; in a replay nobody is told."""

    def rejected(self, signal: Signal, error: BaseException) -> None:
        """A signal has raised and changed nothing; in a replay nobody is told."""
