"""Where messages go: `notify=` as a function, a queue without bound, or an asyncio queue of the same loop."""

from __future__ import annotations

import asyncio
import queue
from collections.abc import Callable
from typing import Any

from caravela.backends.base import Backend
from caravela.errors import BackendError
from caravela.functions import is_async

__all__ = ["sender"]


def sender(notify: Any, backend: Backend) -> Callable[[Any], object] | None:
    """Give the function that takes each message; None for nobody.

    Raises:
        BackendError: It cannot take every message at once: it is async, bounded, or of no known kind.
    """
    if notify is None:
        return None
    if isinstance(notify, asyncio.Queue):
        return _async_queue(notify, backend)
    if isinstance(notify, queue.SimpleQueue):
        return notify.put
    if isinstance(notify, queue.Queue):
        _require_unbounded(notify.maxsize, "queue.Queue")
        return notify.put_nowait
    if callable(notify) and not is_async(notify):
        return notify  # type: ignore[no-any-return]
    raise BackendError(
        f"notify is {notify!r}; it is a plain function, or a queue",
        wrong="start(notify=async_function)",
        right="start(notify=asyncio.Queue()), or async for message in runner.subscribe()",
    )


def _require_unbounded(maxsize: int, kind: str) -> None:
    if maxsize > 0:
        raise BackendError(
            f"notify is a queue for {maxsize} messages; a full one would lose a message or block the loop",
            wrong=f"start(notify={kind}(maxsize={maxsize}))",
            right=f"start(notify={kind}())",
        )


def _async_queue(notify: asyncio.Queue[Any], backend: Backend) -> Callable[[Any], object]:
    _require_unbounded(notify.maxsize, "asyncio.Queue")
    loop = getattr(notify, "_loop", None)  # set once somebody has waited on it
    if not backend.is_async or (loop is not None and loop is not asyncio.get_running_loop()):
        raise BackendError(
            "notify is an asyncio.Queue, which belongs to one loop, and this flow runs elsewhere",
            wrong='start(backend="threading", notify=asyncio.Queue())',
            right='start(backend="asyncio", notify=asyncio.Queue()), or notify=queue.SimpleQueue()',
        )
    return notify.put_nowait
