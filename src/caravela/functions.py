"""What a user's function is: plain or async, and what it is called."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Awaitable
from typing import Any

__all__ = ["discard_awaitable", "is_async", "is_generator", "label_of", "unwrapped"]


def unwrapped(fn: Any) -> Any:
    """Give the function inside partials and bound methods, or the `__call__` of a callable object."""
    while isinstance(fn, functools.partial):
        fn = fn.func
    fn = getattr(fn, "__func__", fn)
    if not inspect.isroutine(fn) and not inspect.isclass(fn) and not inspect.iscoroutinefunction(fn):
        return getattr(type(fn), "__call__", fn)  # noqa: B004 - the function itself is wanted
    return fn


def is_async(fn: Any) -> bool:
    """Say whether calling `fn` gives a coroutine.

    >>> async def fetch(): ...
    >>> is_async(functools.partial(fetch)), is_async(print)
    (True, False)
    """
    return inspect.iscoroutinefunction(fn) or inspect.iscoroutinefunction(unwrapped(fn))


def is_generator(fn: Any) -> bool:
    """Say whether calling `fn` gives a generator, which no step can use."""
    inner = unwrapped(fn)
    return inspect.isgeneratorfunction(inner) or inspect.isasyncgenfunction(inner)


def label_of(fn: Any) -> str:
    """Give the name of a function, of what it wraps, or of its class; empty for a lambda.

    >>> label_of(functools.partial(print, "a")), label_of(lambda s: s)
    ('print', '')
    """
    while isinstance(fn, functools.partial):
        fn = fn.func
    name = getattr(fn, "__name__", None) or type(fn).__name__
    return "" if name == "<lambda>" else str(name)


def discard_awaitable(value: Any) -> bool:
    """Say whether `value` is an awaitable; if so, close it, so that nothing warns that it was never awaited."""
    if not isinstance(value, Awaitable):
        return False
    if inspect.iscoroutine(value):
        value.close()
    return True
