"""What Caravela costs beside the same thing written by hand, as ratios that are measured side by side in one run.

    python benchmarks/core.py             measure
    python benchmarks/core.py --quick     roughly, in a few seconds
    python benchmarks/core.py --check     fail if a ratio misses its target

Only what the design promises has a target; the rest is there to be known. No figure that is checked depends on how fast
the machine is, but other work on it blurs them all.
"""

from __future__ import annotations

import argparse
import platform
import sys
from collections.abc import Callable
from itertools import repeat

import backends
import memory
from measure import Book, Result, mark_dirty, table, times_slower

from caravela import VirtualBackend, debounce, flow, set_state
from caravela.core import Record, advance, events, start

STEPS = 1_000
SIGNALS = 2_000
START: Book = {"title": "Moby", "pages": 0, "dirty": False}


def turn_page(book: Book) -> Book:
    book["pages"] += 1  # its own copy: a dict is copied before a function sees it
    return book


def steps(rounds: int) -> list[Result]:
    """Measure a chain of `set_state` steps, beside a loop over their functions."""
    functions = [turn_page] * STEPS
    chain = flow("chain", *map(set_state, functions), initial_state=START)
    backend = VirtualBackend()
    heard: list[object] = []

    def by_hand() -> int:
        state, changes = START, 0
        for function in functions:
            new = function(state.copy())
            if new is not state and new != state:
                changes += 1
            state = new
        return changes

    def run(notify: object = None) -> None:
        heard.clear()
        chain.start(backend=backend, notify=notify)

    in_core, recorded, whole, listening = times_slower(
        by_hand,
        lambda: start(chain.machine, START),
        lambda: start(chain.machine, START, record=Record()),
        run,
        lambda: run(heard.append),
        rounds=rounds,
    )
    return [
        Result("in the core", in_core, target=1.5),
        Result("in the core, with a recorder", recorded),
        Result("in a whole flow on virtual time, which records", whole),
        Result("in a whole flow on virtual time, with a listener", listening),
    ]


def signals(rounds: int) -> list[Result]:
    """Measure signals that restart a `debounce`, beside bare calls of their function."""
    calm = flow("calm", debounce(0.5), initial_state=START)

    def by_hand() -> None:
        state = START
        for _ in repeat(None, SIGNALS):
            state = mark_dirty(state)

    def in_core(*, listening: bool = False) -> None:
        snapshot = start(calm.machine, START)
        for _ in repeat(None, SIGNALS):
            record = Record() if listening else None
            snapshot = advance(calm.machine, snapshot, events.signal(0.1, mark_dirty), record)

    unheard, recorded = times_slower(by_hand, in_core, lambda: in_core(listening=True), rounds=rounds)
    return [
        Result("in the core", unheard, target=5),
        Result("in the core, with a recorder", recorded),
        Result("runner.signal on asyncio", backends.signals_on_asyncio(by_hand, SIGNALS, rounds)),
        Result("runner.signal on threads", backends.signals_on_threads(by_hand, SIGNALS, rounds)),
    ]


def main() -> int:
    parser = argparse.ArgumentParser(description="Measure what Caravela costs.")
    parser.add_argument("--quick", action="store_true", help="measure roughly, in a few seconds")
    parser.add_argument("--check", action="store_true", help="fail if a ratio misses its target")
    options = parser.parse_args()
    rounds, flows = (5, 10_000) if options.quick else (100, 100_000)

    tables: dict[str, Callable[[], list[Result]]] = {
        "one set_state step, beside a loop written by hand": lambda: steps(rounds),
        "one signal into debounce, beside the bare call": lambda: signals(rounds),
        f"one of {flows:,} flows at rest in wait_until": lambda: memory.results(flows),
        "for information": lambda: backends.results(rounds, flows // 10),
    }
    print(f"{platform.python_implementation()} {platform.python_version()}, {platform.system()} {platform.machine()}")
    missed = False
    for title, measure in tables.items():
        results = measure()
        print(f"\n{table(title, results)}", flush=True)
        missed = missed or any(result.missed and result.unit == "×" for result in results)
    return 1 if options.check and missed else 0


if __name__ == "__main__":
    sys.exit(main())
