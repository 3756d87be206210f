"""What all benchmarks share: ratios that are measured side by side, and the table that shows them."""

from __future__ import annotations

import gc
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median
from time import perf_counter
from typing import TypedDict

Timed = Callable[[], object]


class Book(TypedDict):
    title: str
    pages: int
    dirty: bool


def mark_dirty(book: Book) -> Book:
    """The signal of the benchmarks: it makes a new dict of three keys."""
    return {"title": book["title"], "pages": book["pages"] + 1, "dirty": True}


@dataclass(frozen=True, slots=True)
class Result:
    """One row of the table: something measured, and what it should be at the most, if that is settled."""

    what: str
    measured: float
    unit: str = "×"
    target: float | None = None

    @property
    def missed(self) -> bool:
        return self.target is not None and self.measured > self.target

    def cells(self) -> tuple[str, ...]:
        digits = 2 if self.measured < 100 else 0
        target = "" if self.target is None else f"≤ {self.target:,g} {self.unit}"
        verdict = "" if self.target is None else "missed" if self.missed else "ok"
        return self.what, target, f"{self.measured:,.{digits}f} {self.unit}", verdict


def seconds(timed: Timed) -> float:
    """Give how long one call takes, while nobody collects garbage."""
    gc.collect()
    gc.disable()
    try:
        began = perf_counter()
        timed()
        return perf_counter() - began
    finally:
        gc.enable()


def times_slower(than: Timed, *timed: Timed, rounds: int) -> list[float]:
    """Give for each function how many times longer it takes than the first one: the median over many rounds.

    In every round all are called, one after the other, so what slows the machine down slows all of them down.
    """
    found: list[list[float]] = [[] for _ in timed]
    for _ in range(rounds):
        base = seconds(than)
        for ratios, one in zip(found, timed, strict=True):
            ratios.append(seconds(one) / base)
    return [median(ratios) for ratios in found]


def table(title: str, results: Sequence[Result]) -> str:
    """Show results for a terminal."""
    rows = [(title, "target", "measured", ""), *(result.cells() for result in results)]
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    lines = [f"{row[0]:<{widths[0]}}  {row[1]:>{widths[1]}}  {row[2]:>{widths[2]}}  {row[3]}".rstrip() for row in rows]
    return "\n".join([lines[0], "-" * (sum(widths) + 6), *lines[1:]])
