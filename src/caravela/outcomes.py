"""What the function of a `run`, an `each` or a task may return: `Ok`, `Retry`, `Fail`, `Abort`, `Skip`.

============================  ==========================================================
`None`, `Ok()`                go on, the state unchanged
`Ok(state)`, `Ok(field=1)`    go on with the new state
`Retry(state, after=2.0)`     try again with the new state, after so many seconds
`Fail(reason)`                retry while retries are left, else fail
`Abort(reason)`               fail at once
`Skip(reason)`                `each` only: go on to the next item
============================  ==========================================================
"""

from __future__ import annotations

from typing import Any, Final, Generic, TypeAlias, TypeVar, overload

from caravela.errors import InvalidOutcomeError
from caravela.state import evolve

__all__ = ["Abort", "Fail", "Ok", "Outcome", "Retry", "Skip"]

S = TypeVar("S")
S_co = TypeVar("S_co", covariant=True)


class _Unchanged:
    """The state stays as it is; a value of its own, since a state may be anything."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "unchanged"


UNCHANGED: Final = _Unchanged()


class _Record:
    """Compares and prints by its slots: outcomes are plain values."""

    __slots__ = ()

    def _values(self) -> tuple[Any, ...]:
        return tuple(getattr(self, name) for cls in type(self).__mro__ for name in getattr(cls, "__slots__", ()))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, _Record) or type(other) is not type(self):
            return NotImplemented
        return self._values() == other._values()

    __hash__ = None  # type: ignore[assignment] # pyright: ignore[reportAssignmentType] - a state may be a dict


class _WithState(_Record, Generic[S_co]):
    __slots__ = ("_changes", "_state")

    def __init__(self, state: Any, changes: dict[str, Any]) -> None:
        if state is not UNCHANGED and changes:
            name = type(self).__name__
            msg = f"{name} takes a state or changed fields, not both"
            raise InvalidOutcomeError(
                msg, wrong=f"{name}(state, {next(iter(changes))}=...)", right=f"{name}(evolve(state, ...))"
            )
        self._state = state
        self._changes = changes

    def apply(self, state: Any) -> Any:
        """Give the state that follows `state`.

        Raises:
            StateError: A field that the state does not have was named.
        """
        if self._changes:
            return evolve(state, **self._changes)
        return state if self._state is UNCHANGED else self._state

    def _shown(self) -> list[str]:
        shown = [] if self._state is UNCHANGED else [repr(self._state)]
        return shown + [f"{key}={value!r}" for key, value in self._changes.items()]

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(self._shown())})"


class Ok(_WithState[S_co]):
    """The function is done; with a state or with changed fields, the flow goes on with these.

    >>> Ok(dirty=False)
    Ok(dirty=False)
    >>> Ok({"n": 1}).apply({"n": 0})
    {'n': 1}
    """

    __slots__ = ()

    @overload
    def __init__(self: Ok[Any], /) -> None: ...
    @overload
    def __init__(self, state: S_co, /) -> None: ...
    @overload
    def __init__(self: Ok[Any], /, **changes: Any) -> None: ...
    def __init__(self, state: Any = UNCHANGED, /, **changes: Any) -> None:
        super().__init__(state, changes)


class Retry(_WithState[S_co]):
    """The function wants to be called again, if a retry is left.

    Args:
        state: The state to go on with; without it the state stays as it is.
        after: Seconds to wait before the next attempt, instead of what `backoff` says.
        changes: Fields of the state that change, instead of `state`.

    >>> Retry(after=2.0)
    Retry(after=2.0)
    """

    __slots__ = ("after",)

    @overload
    def __init__(self: Retry[Any], /, *, after: float | None = None) -> None: ...
    @overload
    def __init__(self, state: S_co, /, *, after: float | None = None) -> None: ...
    @overload
    def __init__(self: Retry[Any], /, *, after: float | None = None, **changes: Any) -> None: ...
    def __init__(self, state: Any = UNCHANGED, /, *, after: float | None = None, **changes: Any) -> None:
        super().__init__(state, changes)
        self.after = after

    def _shown(self) -> list[str]:
        return super()._shown() + ([] if self.after is None else [f"after={self.after!r}"])


class _WithReason(_Record):
    __slots__ = ("reason",)
    __match_args__ = ("reason",)

    def __init__(self, reason: Any) -> None:
        self.reason = reason

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.reason!r})"


class Fail(_WithReason):
    """The attempt failed: retried while retries are left.

    Args:
        reason: A text, an exception, or any value; it comes out as `FlowError.reason`.

    >>> Fail("503")
    Fail('503')
    """

    __slots__ = ()


class Abort(_WithReason):
    """The step failed for good, whatever retries are left.

    Args:
        reason: A text, an exception, or any value; it comes out as `FlowError.reason`.
    """

    __slots__ = ()


class Skip(_WithReason):
    """`each` only: leave this item and go on to the next.

    Args:
        reason: Why, for the trace.
    """

    __slots__ = ()

    def __init__(self, reason: Any = None) -> None:
        super().__init__(reason)


Outcome: TypeAlias = Ok[S] | Retry[S] | Fail | Abort | None
