"""Keep a book on a server in step with its editor: many edits, few requests, nothing lost.

    python examples/book_sync.py

A burst of edits becomes one PUT, a refused PUT is tried again later and later, and an edit that is made while a PUT is
under way is sent after it. The server, in a process of its own, refuses the first requests and is slow now and then.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from book_server import request, serving

from caravela import AsyncRunner, Fail, Flow, Ok, Outcome, Runner, debounce, flow, repeat, run, wait_until

BURST = ("M", "Mo", "Mob", "Moby")
EDIT, LAST_EDIT = "Moby Dick", "Moby-Dick; or, The Whale"
PHASES = {"a burst": BURST, "an edit, and one while it is sent": (EDIT, LAST_EDIT)}


@dataclass(frozen=True)
class BookSync:
    port: int = 0
    title: str = ""
    saved: str = ""

    @property
    def dirty(self) -> bool:
        return self.title != self.saved


AnyRunner = Runner[BookSync] | AsyncRunner[BookSync]


def edit(state: BookSync, title: str) -> BookSync:
    return replace(state, title=title)


def sync(state: BookSync) -> Outcome[BookSync]:
    status, _ = request(state.port, "PUT", "/books/1", state.title)
    return Ok(saved=state.title) if status == 200 else Fail(f"the server answered {status}")


async def sync_async(state: BookSync) -> Outcome[BookSync]:
    return await asyncio.to_thread(sync, state)


def sync_book(sync: Callable[[BookSync], object]) -> Flow[BookSync]:
    return flow(
        "sync_book",
        repeat(
            wait_until(lambda state: state.dirty),
            debounce(0.3),
            run(sync, retries=5, backoff="exponential", base_delay=0.1),
        ),
        initial_state=BookSync(),
        signals={"edit": edit},
    )


def editing(runner: AnyRunner) -> Iterator[None]:
    """Edit the book as somebody at a keyboard does. Yields again and again while it waits, for the caller to sleep."""

    def until(reached: Callable[[], bool]) -> Iterator[None]:
        while not (reached() or runner.done()):
            yield

    for title in BURST:
        runner.signal(edit, title)
    yield from until(lambda: runner.get_state().saved == BURST[-1])
    runner.signal(edit, EDIT)
    yield from until(lambda: runner.machine_state.startswith("running") or runner.get_state().saved == EDIT)
    runner.signal(edit, LAST_EDIT)
    yield from until(lambda: runner.get_state().saved == LAST_EDIT)


def show(runner: AnyRunner, shown: int = 0) -> int:
    """Print the transitions of a flow from a number on, and give how many there are."""
    history = runner.history
    for record in history[shown:]:
        seconds = record.time - history[0].time
        event = " + ".join((record.event, *record.signals))
        print(f"{seconds:7.3f} s  {record.source:>18} → {record.target:<18}  {event}")
    return len(history)


def on_threads(port: int) -> None:
    shown = 0
    with sync_book(sync).start(initial_state=BookSync(port), backend="threading", history=100) as runner:
        for _ in editing(runner):
            shown = show(runner, shown)
            time.sleep(0.01)
    show(runner, shown)


async def on_asyncio(port: int) -> None:
    shown = 0
    async with sync_book(sync_async).start(initial_state=BookSync(port), backend="asyncio", history=100) as runner:
        for _ in editing(runner):
            shown = show(runner, shown)
            await asyncio.sleep(0.01)
    show(runner, shown)


def check(stored: str, puts: list[tuple[str, int]]) -> bool:
    """Print what the server has seen, and say whether it holds the last edit."""
    for phase, titles in PHASES.items():
        statuses = [status for title, status in puts if title in titles]
        print(f"{phase}: {len(titles)} edits, {len(statuses)} PUTs {statuses}, {statuses.count(200)} stored")
    print(f"the server holds {stored!r}, the last edit was {LAST_EDIT!r}")
    return stored == LAST_EDIT


def main() -> int:
    parser = argparse.ArgumentParser(description="Keep a book on a server in step with its editor.")
    parser.add_argument("--backend", choices=("threading", "asyncio", "both"), default="both")
    parser.add_argument("--mermaid", action="store_true", help="show the machine as Mermaid, not as a table")
    options = parser.parse_args()
    machine = sync_book(sync).machine
    print(machine.to_mermaid() if options.mermaid else machine.to_text())
    in_step = True
    for backend in ("threading", "asyncio") if options.backend == "both" else (options.backend,):
        print(f"\n--- {backend} ---\n")
        with serving() as port:
            if backend == "threading":
                on_threads(port)
            else:
                asyncio.run(on_asyncio(port))
            stored, puts = (request(port, "GET", path)[1] for path in ("/books/1", "/puts"))
        in_step &= check(stored, json.loads(puts))
    return 0 if in_step else 1


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
