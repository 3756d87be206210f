"""What a declared signal may be."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from caravela.compile.options import require_pure
from caravela.errors import FlowDefinitionError
from caravela.vocabulary import EVENTS

__all__ = ["check_signals"]


def check_signals(signals: Any) -> None:
    """Refuse signals that are no mapping of names to plain functions, and names that the machine uses itself.

    >>> check_signals({"mark_dirty": lambda state, book_id: {**state, "dirty": True}})
    """
    if not isinstance(signals, Mapping):
        raise FlowDefinitionError(
            f"signals is {signals!r}; it is a mapping of names to functions",
            wrong="signals=[mark_dirty]",
            right='signals={"mark_dirty": mark_dirty}',
        )
    for name, fn in signals.items():
        if not isinstance(name, str) or not name.isidentifier() or name in EVENTS:
            raise FlowDefinitionError(
                f"a signal has the name {name!r}; it is an identifier other than {', '.join(sorted(EVENTS))}",
                wrong=f"signals={{{name!r}: ...}}",
                right='signals={"mark_dirty": ...}',
            )
        try:
            require_pure(fn, f"signals={{{name!r}: ...}}", f"signal {name!r}")
        except FlowDefinitionError as error:
            error.wrong = f"signals={{{name!r}: {fn!r}}}"
            error.right = f"signals={{{name!r}: lambda state, book_id: replace(state, book_id=book_id)}}"
            raise
