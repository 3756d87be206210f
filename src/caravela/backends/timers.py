"""One heap of deadlines for each backend, moved lazily.

A run has at most one valid entry, at `run.armed`. A deadline that moves later leaves the entry where it is: when the
entry comes up, the run is asked, and armed again. So restarting a debounce costs nothing here. A deadline that moves
earlier gets a new entry, and the old one is void. Void entries are swept out when they are more than half of the heap,
so that a run that ended long before its deadline is not kept alive by it.
"""

from __future__ import annotations

import heapq
import math
from itertools import count
from typing import Any

__all__ = ["Timers"]

_NEVER = math.inf
_FEW = 64


class Timers:
    """The deadlines of the runs of one backend."""

    __slots__ = ("_heap", "_order", "_void")

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, Any]] = []
        self._order = count()
        self._void = 0

    def __len__(self) -> int:
        return len(self._heap) - self._void

    def plan(self, run: Any, due: float) -> None:
        """See that a run comes up no later than `due`."""
        if due >= run.armed:
            return
        before, run.armed = run.armed, due
        heapq.heappush(self._heap, (due, next(self._order), run))
        if before != _NEVER:
            self._voided()  # last, so that a sweep already knows the old entry as void

    def forget(self, run: Any) -> None:
        """Let a run not come up again."""
        if run.armed != _NEVER:
            run.armed = _NEVER
            self._voided()

    def earliest(self) -> float:
        """Give the time of the first entry; infinite if there is none."""
        self._skip_void()
        return self._heap[0][0] if self._heap else _NEVER

    def pop(self, until: float) -> Any:
        """Take out and give the first run that comes up no later than `until`; None if there is none."""
        self._skip_void()
        if not self._heap or self._heap[0][0] > until:
            return None
        run = heapq.heappop(self._heap)[2]
        run.armed = _NEVER
        return run

    def _skip_void(self) -> None:
        heap = self._heap
        while heap and heap[0][2].armed != heap[0][0]:
            heapq.heappop(heap)
            self._void -= 1

    def _voided(self) -> None:
        self._void += 1
        if self._void > _FEW and self._void * 2 > len(self._heap):
            seen: set[int] = set()
            kept = []
            for entry in self._heap:
                due, _, run = entry
                if run.armed == due and id(run) not in seen:
                    seen.add(id(run))
                    kept.append(entry)
            heapq.heapify(kept)
            self._heap = kept
            self._void = 0
