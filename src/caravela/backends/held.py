"""Functions that a test keeps in flight, to see what a flow does meanwhile."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from caravela.calls import Call
from caravela.errors import BackendError

__all__ = ["Held", "HeldCall"]


class HeldCall:
    """One function that is in flight until the test lets it go.

    Attributes:
        label: The label of its step.
        args: The arguments with which it would be called.
        index: Which of several tasks it is, from 0.
        runner_id: The number of the runner that waits for it.
    """

    __slots__ = ("_call", "_drop", "_let_go", "args", "index", "label", "runner_id")

    def __init__(self, call: Call, drop: Callable[[Call], bool]) -> None:
        self._call = call
        self._drop = drop
        self._let_go = False
        self.label = call.label
        self.args = call.args
        self.index = call.index
        self.runner_id = call.run.id

    def returns(self, value: Any = None) -> None:
        """Let it end as if the function had returned this."""
        self._release()
        self._call.returned(value)

    def raises(self, error: BaseException) -> None:
        """Let it end as if the function had raised this."""
        if not isinstance(error, BaseException):
            raise BackendError(
                f"a function cannot raise {error!r}",
                wrong='held.raises("boom")',
                right='held.raises(ValueError("boom"))',
            )
        self._release()
        self._call.raised(error)

    def runs(self) -> None:
        """Let the real function be called after all; an async one takes its virtual time."""
        if self._release():
            self._call.run.host.release(self._call)

    def _release(self) -> bool:
        if self._let_go:
            raise BackendError(
                f"this call of {self.label!r} was let go already",
                wrong="held.returns(1); held.returns(2)",
                right="backend.held[0].returns(1), and again for the next call",
            )
        self._let_go = True
        return self._drop(self._call)

    def __repr__(self) -> str:
        return f"<HeldCall of {self.label!r}, args={self.args!r}>"


class Held:
    """Which functions are held, and which of them are in flight.

    Args:
        which: Labels of steps, True for all, or a predicate of the call.
    """

    def __init__(self, which: bool | Iterable[str] | Callable[[HeldCall], bool]) -> None:  # noqa: FBT001
        self._which = which if isinstance(which, bool) or callable(which) else _labels(which)
        self._calls: list[tuple[Call, HeldCall]] = []

    @property
    def calls(self) -> tuple[HeldCall, ...]:
        """The calls in flight, oldest first."""
        return tuple(held for _, held in self._calls)

    def keep(self, call: Call) -> bool:
        """Keep a call, if it is one to hold. Give False if not."""
        held = HeldCall(call, self.drop)
        which = self._which
        if callable(which) and not isinstance(which, frozenset):
            wanted = which(held)
        else:
            wanted = which if isinstance(which, bool) else call.label in which
        if wanted:
            self._calls.append((call, held))
        return bool(wanted)

    def drop(self, call: Call) -> bool:
        """Forget a call. Give False if it was not held."""
        for entry in self._calls:
            if entry[0] is call:
                self._calls.remove(entry)
                return True
        return False


def _labels(which: Iterable[str]) -> frozenset[str]:
    return frozenset((which,)) if isinstance(which, str) else frozenset(which)
