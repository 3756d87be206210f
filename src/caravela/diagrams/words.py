"""Guards and events in words: how what was gathered while folding is said in a few words that a reader understands.

A *term* is a guard of the table and the state it belongs to, empty for the state that is left. A *reason* is a tuple of
terms that all hold. Several reasons may lead to the same state; then any of them does.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final, TypeAlias

from caravela.vocabulary import AGAIN, REPEAT, SIGNAL

if TYPE_CHECKING:
    from caravela.machine import State

__all__ = ["ANYTHING", "Reason", "Term", "guard_in_words", "joined_events", "longer"]

Term: TypeAlias = tuple[str, str]
Reason: TypeAlias = tuple[Term, ...]

ANYTHING: Final[Reason] = (("…", ""),)
"""Stands for the reasons that are too many to tell."""

_MOST_PLACES = 3
_MOST_SIGNALS = 3


def longer(reason: Reason, guard: str, passed: State | None = None) -> Reason:
    """Give a reason with one more guard; `passed` is the folded state it belongs to."""
    if not guard:
        return reason
    term = (guard, "" if passed is None else _place(passed))
    return reason if term in reason else (*reason, term)


def _place(state: State) -> str:
    """Name a folded state. The only loop of a flow needs no name: `until holds` says it all."""
    return "" if state.name in (REPEAT, AGAIN) else state.name


def guard_in_words(reasons: Sequence[Reason]) -> str:
    """Give one guard for several reasons.

    >>> guard_in_words([(("the function failed", "set_state:a"),), (("the function failed", "set_state:b"),)])
    'the function failed in set_state:a or set_state:b'
    >>> guard_in_words([(("until holds", ""),), (("rounds done", ""),)])
    'until holds or rounds done'
    >>> guard_in_words([(("won", ""), ("until holds", "")), (("won", ""), ("rounds done", ""))])
    'won, then until holds or rounds done'
    >>> guard_in_words([(("until holds", ""),), ()])
    ''
    """
    kept = _without_absorbed(reasons)
    if () in kept:
        return ""
    if len(kept) > 1 and all(len(reason) > 1 and reason[0] == kept[0][0] for reason in kept):
        return f"{_terms_in_words(kept[0][:1], 'and')}, then {guard_in_words([reason[1:] for reason in kept])}"
    alone = [reason[0] for reason in kept if len(reason) == 1]
    together = [_terms_in_words([*reason], "and") for reason in kept if len(reason) > 1]
    return " or ".join(part for part in (_terms_in_words(alone, "or"), *together) if part)


def _without_absorbed(reasons: Sequence[Reason]) -> list[Reason]:
    """Leave out what says nothing new: `a and b` beside `a`, and everything beside no reason at all."""
    distinct = dict.fromkeys(reasons)
    if () in distinct:
        return [()]
    return [reason for reason in distinct if len(reason) == 1 or not any((term,) in distinct for term in reason)]


def _terms_in_words(terms: Sequence[Term], conjunction: str) -> str:
    """Say each guard once, with all its places."""
    places: dict[str, list[str]] = {}
    for words, place in sorted(terms, key=lambda term: term == ANYTHING[0]):  # what stands for others comes last
        places.setdefault(words, []).append(place)
    return f" {conjunction} ".join(_at_places(words, found, conjunction) for words, found in places.items())


def _at_places(words: str, places: list[str], conjunction: str) -> str:
    here = [words] if "" in places else []
    named = [place for place in places if place]
    if len(named) > _MOST_PLACES:
        named = [*named[: _MOST_PLACES - 1], f"{len(named) - _MOST_PLACES + 1} more"]
    listed = f" {conjunction} ".join(part for part in (", ".join(named[:-1]), named[-1] if named else "") if part)
    return f" {conjunction} ".join([*here, *([f"{words} in {listed}"] if named else [])])


def joined_events(events: Sequence[str], signals: Sequence[str]) -> tuple[str, ...]:
    """Give the events, with one word for all signals where they are many.

    >>> joined_events(["at once", "signal", "a", "b"], ["a", "b"])
    ('at once', 'signal', 'a', 'b')
    >>> joined_events(["signal", "a", "b", "c", "d"], ["a", "b", "c", "d"])
    ('any signal',)
    """
    if len(signals) <= _MOST_SIGNALS or not {SIGNAL, *signals} <= {*events}:
        return tuple(events)
    named = ("any signal" if event == SIGNAL else event for event in events)
    return tuple(event for event in named if event not in signals)
