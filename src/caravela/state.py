"""All that knows a dict from a dataclass: changed copies, copies, fields, and "has it changed".

A state is any value. Caravela treats it as immutable and looks inside only here.
"""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Mapping
from copy import copy
from typing import Any, TypeVar, cast

from caravela.errors import StateError

__all__ = ["changed", "copied", "evolve", "field_names", "read_field"]

S = TypeVar("S")


def evolve(state: S, /, **changes: Any) -> S:
    """Give a copy of `state` in which the named fields have new values.

    Works for dataclasses, dicts and other mappings, named tuples, attrs classes, pydantic models, msgspec structs and
    whatever has `__replace__`. A dict may gain keys; the others have the fields that they have. Pydantic models are
    copied as `model_copy(update=...)` does, without validating the new values.

    Raises:
        StateError: The state has no such field, or no fields at all.

    >>> evolve({"dirty": True}, dirty=False, book="abc")
    {'dirty': False, 'book': 'abc'}
    """
    if type(state) is dict:
        return cast("S", {**cast("dict[str, Any]", state), **changes})
    known = field_names(state)
    if known is None:
        if isinstance(state, Mapping):
            return cast("S", _evolved_mapping(state, changes))
        if not hasattr(state, "__replace__"):
            raise StateError(
                f"the state is {_described(state)} and has no fields to change",
                wrong=f"set_state({_keywords(changes)})",
                right="set_state(lambda state: ...)",
            )
    else:
        _require_fields(state, known, changes)
    try:
        return cast("S", _replaced(state, changes))
    except (TypeError, ValueError) as error:
        raise StateError(f"{_described(state)} cannot take {_keywords(changes)}: {error}") from error


def _evolved_mapping(state: Mapping[str, Any], changes: dict[str, Any]) -> Any:
    if isinstance(state, dict):  # a `defaultdict` keeps its factory
        new = copy(state)
        new.update(changes)
        return new
    try:
        return cast("Any", type(state))({**state, **changes})
    except TypeError as error:
        raise StateError(f"a {type(state).__name__} cannot be rebuilt from a dict: {error}") from error


def _replaced(state: Any, changes: dict[str, Any]) -> Any:
    if dataclasses.is_dataclass(state):
        return dataclasses.replace(cast("Any", state), **changes)
    if hasattr(state, "_replace"):
        return state._replace(**changes)
    if hasattr(type(state), "__attrs_attrs__"):
        return sys.modules["attr"].evolve(state, **changes)
    if hasattr(type(state), "model_fields"):
        return state.model_copy(update=changes)
    if hasattr(type(state), "__struct_fields__"):
        return sys.modules["msgspec"].structs.replace(state, **changes)
    return state.__replace__(**changes)


def field_names(state: Any) -> tuple[str, ...] | None:
    """Give the names of the fields of a state whose fields are fixed; None for a mapping or a plain value.

    >>> field_names({"a": 1}) is None
    True
    """
    cls: Any = type(state)
    if dataclasses.is_dataclass(cls):
        return tuple(field.name for field in dataclasses.fields(cls))
    if isinstance(state, tuple) and hasattr(cls, "_fields"):
        return tuple(cls._fields)
    if hasattr(cls, "__attrs_attrs__"):
        return tuple(attribute.name for attribute in cls.__attrs_attrs__)
    for names in ("model_fields", "__struct_fields__"):
        if hasattr(cls, names):
            return tuple(getattr(cls, names))
    return None


def _require_fields(state: object, known: tuple[str, ...], changes: dict[str, Any]) -> None:
    for name in changes:
        if name not in known:
            raise StateError(
                f"{type(state).__name__} has no field {name!r}; it has: {', '.join(known) or 'none'}",
                wrong=f"{name}=...",
                right=f"{_nearest(name, known)}=..." if known else None,
            )


def _nearest(name: str, known: tuple[str, ...]) -> str:
    import difflib  # noqa: PLC0415 - only on the way to an error

    return (difflib.get_close_matches(name, known, n=1, cutoff=0.3) or known)[0]


def read_field(state: Any, name: str) -> Any:
    """Give the value of one field.

    Raises:
        StateError: The state has no such field or key.
    """
    try:
        return state[name] if isinstance(state, Mapping) else getattr(state, name)
    except (KeyError, AttributeError) as error:
        known = tuple(state) if isinstance(state, Mapping) else field_names(state) or ()
        shown = ", ".join(map(str, known)) or "none"
        raise StateError(f"{type(state).__name__} has no field {name!r}; it has: {shown}") from error


def copied(state: S) -> S:
    """Give what a function may have: a shallow copy of a dict, any other state itself."""
    if isinstance(state, dict):
        return cast("S", state.copy())
    return state


def changed(old: object, new: object) -> bool:
    """Say whether `new` is another value than `old`; a comparison that raises or gives no bool counts as changed.

    >>> changed({"n": 1}, {"n": 1}), changed({"n": 1}, {"n": 2})
    (False, True)
    """
    if new is old:
        return False
    try:
        return (new == old) is not True
    except Exception:  # noqa: BLE001 - whatever == raises, the two cannot be called equal
        return True


def _described(state: object) -> str:
    name = type(state).__name__
    return f"{'an' if name[:1].lower() in 'aeiou' else 'a'} {name}"


def _keywords(changes: dict[str, Any]) -> str:
    return ", ".join(f"{name}=..." for name in changes)
