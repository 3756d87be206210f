"""What somebody who listens is told of one transition. Passed to `advance` only where somebody does."""

from __future__ import annotations

from typing import Any

__all__ = ["Record"]


class Record:
    """What happens in one transition, written down while it happens.

    Attributes:
        event: What made it happen, as the table calls it; empty while it is not known.
        passed: The names of the states that were passed through without resting, in order.
        told: What subscribers are to be told, in order: a state, or the name and the error of a refused signal.
        signals: The names of the postponed signals that were applied, in order.
    """

    __slots__ = ("event", "passed", "signals", "told")

    def __init__(self) -> None:
        self.event = ""
        self.passed: list[str] = []
        self.told: list[tuple[str, Any, BaseException | None]] = []
        self.signals: list[str] = []

    def change(self, state: Any) -> None:
        """The state has changed."""
        self.told.append(("state", state, None))

    def reject(self, signal: str, error: BaseException) -> None:
        """A signal changed nothing, since its function raised."""
        self.told.append(("rejected", signal, error))
