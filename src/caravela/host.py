"""What a run, and whoever holds its runner, need of the backend that hosts it."""

from __future__ import annotations

from typing import Any, Protocol

from caravela.calls import Call
from caravela.mailbox import Mailbox

__all__ = ["Host"]


class Host(Protocol):
    """A backend, as seen from the rooms below it."""

    mailbox: Mailbox

    def now(self) -> float:
        """Give the time in seconds."""
        ...

    def draw(self) -> float:
        """Give a random number in [0, 1)."""
        ...

    def begin(self, run: Any, content: Any) -> None:
        """Take in a run that has its first snapshot."""

    def post(self, run: Any, kind: int, content: Any) -> None:
        """Put something into the inbox, and see that it is handled."""

    def post_signal(self, run: Any, content: Any) -> bool:
        """Put a signal in, as `post`; give False if its run has ended and takes none."""
        ...

    def plan(self, run: Any, due: float) -> None:
        """See that the run hears of a time."""

    def call(self, call: Call, *, cancel: bool = False) -> None:
        """Start a function, or cancel it."""

    def abandoned(self, change: int) -> None:
        """Count a function that goes on although nobody waits for it (1), or that has ended at last (-1)."""

    def finished(self, run: Any) -> None:
        """Forget a run that has ended."""

    def promise(self) -> Any:
        """Give what a caller waits for: something with `done`, `set_result` and `set_exception`."""

    def wait(self, promise: Any, timeout: float | None) -> Any:
        """Wait until a promise is kept and give its result; `TimeoutError` after `timeout` seconds."""

    def on_loop(self) -> bool:
        """Say whether this is the thread of the loop."""
        ...

    def forbid_waiting(self, run: Any, call: str) -> None:
        """Refuse a call that would wait for itself."""
