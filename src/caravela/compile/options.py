"""What an option of a step may be. Each function raises `FlowDefinitionError` for one sort of value."""

from __future__ import annotations

import math
from datetime import timedelta
from typing import Any

from caravela.errors import FlowDefinitionError
from caravela.functions import is_async, is_generator
from caravela.nodes import Step

__all__ = [
    "require_choice",
    "require_count",
    "require_duration",
    "require_field",
    "require_function",
    "require_pure",
    "require_retry_on",
]


def require_function(value: Any, call: str, option: str = "fn") -> None:
    """Refuse what is no function: a step, a call's result, None, a class, a generator function."""
    if isinstance(value, Step):
        raise FlowDefinitionError(
            f"{option} is a step where a function was meant",
            wrong=f"{call}(wait(1))",
            right=f"{call}(my_function)",
        )
    if not callable(value):
        raise FlowDefinitionError(
            f"{option} is {value!r}, which is no function",
            wrong=f"{call}({_short(value)})",
            right=f"{call}(my_function)",
        )
    if isinstance(value, type) and value.__module__ != "builtins":  # `bool` is a predicate, and `dict` a copy
        raise FlowDefinitionError(
            f"{option} is the class {value.__name__} where a function was meant",
            wrong=f"{call}({value.__name__})",
            right=f"{call}({value.__name__}().method), or {call}(lambda ...: {value.__name__}(...)) for an object",
        )
    if is_generator(value):
        raise FlowDefinitionError(
            f"{option} is a generator function, whose body no step would run",
            wrong="def work(state): yield ...",
            right="def work(state): return ...",
        )


def require_pure(value: Any, call: str, option: str) -> None:
    """Refuse what is no function, and async functions: this one is asked in the middle of a transition."""
    require_function(value, call, option)
    if is_async(value):
        raise FlowDefinitionError(
            f"{option} is an async function, but it is asked in the middle of a transition and cannot wait",
            wrong=f"{call}(async_function)",
            right=f"run(async_function), and {call}(lambda state: ...) on what it stored",
        )


def require_duration(value: Any, call: str, option: str) -> None:
    """Refuse what is no duration: seconds, a `timedelta`, or a function of the state."""
    if callable(value) and not isinstance(value, Step):
        require_pure(value, call, option)
        return
    seconds = value.total_seconds() if isinstance(value, timedelta) else value
    if isinstance(seconds, bool) or not isinstance(seconds, (int, float)) or not _is_finite(seconds):
        raise FlowDefinitionError(
            f"{option} is {value!r}; a duration is 0 or more seconds, finite, a timedelta, or a function of the state",
            wrong=f"{call}({'' if option == 'seconds' else option + '='}{_short(value)})",
            right=f"{call}({'' if option == 'seconds' else option + '='}0.5)",
        )


def _is_finite(seconds: float) -> bool:
    try:
        return 0 <= float(seconds) < math.inf
    except OverflowError:
        return False


def require_count(value: Any, call: str, option: str, *, least: int) -> None:
    """Refuse what is no whole number from `least` on; None means no limit and is allowed."""
    if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < least):
        raise FlowDefinitionError(
            f"{option} is {value!r}; it is a whole number from {least} on, or None for no limit",
            wrong=f"{call}(..., {option}={_short(value)})",
            right=f"{call}(..., {option}=3)",
        )


def require_choice(value: Any, call: str, option: str, choices: tuple[str, ...]) -> None:
    """Refuse what is not one of some names."""
    if value not in choices:
        raise FlowDefinitionError(
            f"{option} is {value!r}; it is one of {', '.join(map(repr, choices))}",
            wrong=f"{call}(..., {option}={_short(value)})",
            right=f"{call}(..., {option}={choices[-1]!r})",
        )


def require_field(value: Any, call: str, option: str) -> None:
    """Refuse what cannot be the name of a field."""
    if not isinstance(value, str) or not value:
        raise FlowDefinitionError(
            f"{option} is {value!r}; it is the name of a field of the state",
            wrong=f"{call}(..., {option}={_short(value)})",
            right=f'{call}(..., {option}="result")',
        )


def require_retry_on(value: Any, call: str) -> None:
    """Refuse what is neither exception types nor a predicate."""
    types = value if isinstance(value, tuple) else (value,)
    if all(isinstance(one, type) and issubclass(one, BaseException) for one in types):
        return
    if isinstance(value, (tuple, type)):
        raise FlowDefinitionError(
            f"retry_on is {value!r}; it is exception types or a predicate of the exception",
            wrong=f"{call}(..., retry_on={_short(value)})",
            right=f"{call}(..., retry_on=(ConnectionError, TimeoutError))",
        )
    require_pure(value, call, "retry_on")


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 40 else text[:37] + "..."  # noqa: PLR2004 - the width of an example
