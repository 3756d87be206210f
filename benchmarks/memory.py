"""How much resident memory one flow at rest takes, its state included; measured in a fresh process.

    python benchmarks/memory.py asyncio 100000

Linux only: elsewhere a process cannot ask for its resident memory without help.
"""

from __future__ import annotations

import asyncio
import gc
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from measure import Result

from caravela import ThreadingBackend, VirtualBackend, flow, wait_until

STATM = Path("/proc/self/statm")


@dataclass(frozen=True, slots=True)
class Book:
    number: int = 0
    dirty: bool = False


resting = flow("resting", wait_until(lambda book: book.dirty), initial_state=Book())


def resident() -> int:
    gc.collect()
    return int(STATM.read_text().split()[1]) * os.sysconf("SC_PAGESIZE")


def on_threads(count: int) -> float:
    with ThreadingBackend(shutdown_timeout=60) as backend:
        first = resting.start(backend=backend)
        before = resident()
        kept = [resting.start(backend=backend, initial_state=Book(number)) for number in range(count)]
        first.update(number=1)  # answered after all that was sent before it
        return (resident() - before) / len(kept)


async def on_asyncio(count: int) -> float:
    first = resting.start(backend="asyncio")
    await first.update(number=1)
    before = resident()
    kept = [resting.start(backend="asyncio", initial_state=Book(number)) for number in range(count)]
    await first.update(number=2)
    return (resident() - before) / len(kept)


def on_virtual_time(count: int) -> float:
    backend = VirtualBackend()
    first = resting.start(backend=backend)
    before = resident()
    kept = [resting.start(backend=backend, initial_state=Book(number)) for number in range(count)]
    backend.clock.advance(1)
    first.update(number=1)  # what was counted at the instant before is forgotten
    return (resident() - before) / len(kept)


async def in_tasks(count: int) -> float:
    """Measure the same rest, written by hand: a task that holds its state and waits for an event."""

    async def rest(book: Book, changed: asyncio.Event) -> Book:
        await changed.wait()
        return book

    kept = [asyncio.create_task(rest(Book(), asyncio.Event()))]
    await asyncio.sleep(0)
    before = resident()
    kept += [asyncio.create_task(rest(Book(number), asyncio.Event())) for number in range(count)]
    await asyncio.sleep(0)
    return (resident() - before) / count


MEASURES: dict[str, Callable[[int], float]] = {
    "asyncio": lambda count: asyncio.run(on_asyncio(count)),
    "threading": on_threads,
    "virtual": on_virtual_time,
    "asyncio.Task": lambda count: asyncio.run(in_tasks(count)),
}


def measured(kind: str, count: int) -> float:
    """Measure in a fresh process, where nothing is left of what was there before."""
    command = [sys.executable, __file__, kind, str(count)]
    return float(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)  # noqa: S603 - this file


def results(count: int) -> list[Result]:
    if not STATM.exists():
        return []
    each = {kind: measured(kind, count) for kind in MEASURES}
    task = each.pop("asyncio.Task")
    rows = [
        Result(f"{kind}, where all transitions are kept" if kind == "virtual" else kind, size, "bytes", 1_000)
        for kind, size in each.items()
    ]
    return [
        *rows,
        Result("an asyncio.Task that waits for an Event", task, "bytes"),
        Result("asyncio: the task beside the flow", task / each["asyncio"]),
    ]


if __name__ == "__main__":
    print(MEASURES[sys.argv[1]](int(sys.argv[2])))
