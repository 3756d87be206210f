"""One call of a user's function, from its start to its end."""

from __future__ import annotations

from collections.abc import Callable
from contextvars import Context, ContextVar
from typing import Any, Protocol

from caravela import mailbox
from caravela.functions import is_async
from caravela.machine import State

__all__ = ["Call", "Caller", "current_call"]


class Caller(Protocol):
    """Who gets the end of a call: a backend."""

    def post(self, run: Any, kind: int, content: Any) -> None:
        """Put something into the inbox."""

    def call(self, call: Call, *, cancel: bool = False) -> None:
        """Start a function, or cancel it."""

    def abandoned(self, change: int) -> None:
        """A function goes on although nobody waits for it (1), or has ended at last (-1)."""


class Call:
    """One call of a user's function. Its end is reported once, whoever comes first.

    Attributes:
        run: The run that it is made for.
        token: The number of the invocation.
        index: Which of several tasks it is.
        label: The label of the step.
        fn: The function.
        is_async: Whether it is an async function.
        args: Its arguments.
        cancelled: Somebody asked for its end.
        task: What the backend keeps to cancel it.
    """

    __slots__ = (
        "_abandoned",
        "_caller",
        "_open",
        "args",
        "cancelled",
        "fn",
        "index",
        "is_async",
        "label",
        "run",
        "task",
        "token",
    )

    def __init__(
        self,
        caller: Caller,
        run: Any,
        token: int,
        index: int,
        state: State,
        fn: Callable[..., Any],
        args: tuple[Any, ...],
    ) -> None:
        self._caller = caller
        self._abandoned = False
        self.run = run
        self.token = token
        self.index = index
        self.label = state.label
        self.fn = fn
        self.is_async = is_async(fn) if state.is_async is None else state.is_async
        self.args = args
        self.cancelled = False
        self._open = [True]  # popped by who reports the end: pop is atomic, so there is one
        self.task: Any = None

    @property
    def ended(self) -> bool:
        """Whether its end has been reported."""
        return not self._open

    def cancel(self) -> None:
        """Ask for its end, once."""
        if not self.cancelled:
            self.cancelled = True
            self._caller.call(self, cancel=True)

    def context(self) -> Context:
        """Give a copy of the context in which the flow was started, in which this call is the current one."""
        context: Context = self.run.context.copy()
        context.run(_CURRENT.set, self)
        return context

    def run_here(self) -> None:
        """Call a plain function, on this thread, and report its end."""
        try:
            value = self.context().run(self.fn, *self.args)
        except BaseException as error:  # noqa: BLE001 - whatever it raises is what the step ends with
            self.raised(error)
        else:
            self.returned(value)

    def returned(self, value: Any) -> None:
        """The function has returned."""
        self._end(mailbox.RETURNED, (self.token, self.index, value))

    def raised(self, error: BaseException) -> None:
        """The function has raised."""
        self._end(mailbox.RAISED, (self.token, self.index, error))

    def settled(self) -> None:
        """The function was cancelled and has ended, or never began."""
        self._end(mailbox.SETTLED, (self.token, self.index))

    def abandon(self) -> None:
        """Nobody waits for the function any more, but it goes on."""
        self._abandoned = True
        if self._claim():
            self._caller.abandoned(1)
            self._caller.post(self.run, mailbox.ABANDONED, (self.token, self.index))

    def _end(self, kind: int, content: Any) -> None:
        if self._claim():
            self._caller.post(self.run, kind, content)
        elif self._abandoned:
            self._caller.abandoned(-1)

    def _claim(self) -> bool:
        try:
            return self._open.pop()
        except IndexError:
            return False


_CURRENT: ContextVar[Call | None] = ContextVar("caravela_current_call", default=None)


def current_call() -> Call | None:
    """Give the call in which this code runs, unless it has ended; None outside a flow's own functions."""
    call = _CURRENT.get()
    return None if call is None or call.ended else call
