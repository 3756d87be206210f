"""What the backends cost on top of the core; for information, without targets."""

from __future__ import annotations

import asyncio
from itertools import repeat as times

from measure import Book, Result, Timed, mark_dirty, seconds, times_slower

from caravela import ThreadingBackend, VirtualBackend, debounce, flow, repeat, run, set_state

START: Book = {"title": "Moby", "pages": 0, "dirty": False}
FLOWS = 1_000

calm = flow("calm", debounce(60), initial_state=START)
trivial = flow("trivial", set_state(mark_dirty), initial_state=START)


def signals_on_asyncio(by_hand: Timed, count: int, rounds: int) -> float:
    async def measured() -> float:
        async with calm.start(backend="asyncio") as runner:

            def send() -> None:
                for _ in times(None, count):
                    runner.signal(mark_dirty)

            return times_slower(by_hand, send, rounds=rounds)[0]

    return asyncio.run(measured())


def signals_on_threads(by_hand: Timed, count: int, rounds: int) -> float:
    with ThreadingBackend() as backend:
        runner = calm.start(backend=backend)

        def send() -> None:
            for _ in times(None, count):
                runner.signal(mark_dirty)
            runner.update(mark_dirty)  # waits until all have been handled

        return times_slower(by_hand, send, rounds=rounds)[0]


async def fetch(_state: object = None) -> None:
    """A function that is done as soon as it is called."""


def async_functions(rounds: int) -> list[Result]:
    """Measure `run` with an async function, beside awaiting it."""
    fetching = flow("fetching", repeat(run(fetch), times=FLOWS), initial_state=START)

    async def by_hand() -> None:
        for _ in times(None, FLOWS):
            await fetch()

    async def in_tasks() -> None:
        for _ in times(None, FLOWS):
            await asyncio.create_task(fetch())

    async def in_flow() -> None:
        await fetching.start(backend="asyncio")

    with asyncio.Runner() as runner:
        task, ours = times_slower(
            lambda: runner.run(by_hand()),
            lambda: runner.run(in_tasks()),
            lambda: runner.run(in_flow()),
            rounds=rounds,
        )
    return [
        Result("run(fn) on asyncio, beside await fn()", ours),
        Result("await asyncio.create_task(fn()), beside await fn()", task),
    ]


def restarts(rounds: int, count: int) -> list[Result]:
    """Measure restarting many windows of `debounce`, beside as many timers of the loop."""

    async def measured() -> float:
        loop = asyncio.get_running_loop()
        timers = [loop.call_later(60, print) for _ in range(count)]
        runners = [calm.start(backend="asyncio") for _ in range(count)]

        def by_hand() -> None:
            state = START
            for index in range(count):
                state = mark_dirty(state)
                timers[index].cancel()
                timers[index] = loop.call_later(60, print)

        def ours() -> None:
            for runner in runners:
                runner.signal(mark_dirty)

        found = times_slower(by_hand, ours, rounds=rounds)[0]
        for timer in timers:
            timer.cancel()
        return found

    return [Result(f"restarting {count:,} debounces on asyncio, beside TimerHandles", asyncio.run(measured()))]


def flows_per_second(rounds: int) -> list[Result]:
    """Measure how many trivial flows are started and ended."""

    def on_threads() -> None:
        for runner in [trivial.start(backend=threads) for _ in range(FLOWS)]:
            runner.result()

    async def on_asyncio() -> None:
        for runner in [trivial.start(backend="asyncio") for _ in range(FLOWS)]:
            await runner

    def on_virtual_time() -> None:
        for runner in [trivial.start(backend=virtual) for _ in range(FLOWS)]:
            runner.result()

    def rate(timed: Timed) -> float:
        return FLOWS / min(seconds(timed) for _ in range(rounds))

    virtual = VirtualBackend()
    with ThreadingBackend() as threads:
        rates = {
            "asyncio": rate(lambda: asyncio.run(on_asyncio())),
            "threads": rate(on_threads),
            "virtual time": rate(on_virtual_time),
        }
    return [Result(f"flows started and ended on {name}", found, "per s") for name, found in rates.items()]


def results(rounds: int, count: int) -> list[Result]:
    fewer = max(3, rounds // 5)
    return [*async_functions(fewer), *restarts(fewer, count), *flows_per_second(fewer)]
