"""After a fork the child begins afresh: no threads, empty inboxes, and the runs that it inherited are ended."""

from __future__ import annotations

import os
import weakref
from typing import Any

__all__ = ["begin_afresh", "watch"]

_living: weakref.WeakSet[Any] = weakref.WeakSet()


def watch(backend: Any) -> None:
    """Let a backend begin afresh in the children of this process."""
    _living.add(backend)


def begin_afresh() -> None:
    """Let all backends begin afresh. In the child."""
    for backend in list(_living):
        backend.after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=begin_afresh)
