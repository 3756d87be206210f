"""What the type checkers make of a program that is right: read by mypy and pyright, never run."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import partial
from typing import Any, NamedTuple, assert_type

from caravela import (
    Abort,
    AsyncioBackend,
    AsyncRunner,
    Fail,
    Flow,
    FlowDone,
    FlowFailed,
    FlowState,
    Machine,
    Message,
    Ok,
    Outcome,
    Retry,
    Runner,
    Skip,
    State,
    Step,
    ThreadingBackend,
    Transition,
    TransitionRecord,
    VirtualBackend,
    compile_flow,
    debounce,
    each,
    evolve,
    fail,
    flow,
    parallel,
    race,
    repeat,
    replay,
    run,
    sequence,
    set_state,
    wait,
    wait_until,
)


@dataclass(frozen=True)
class Book:
    """A state, as the documentation recommends it."""

    title: str = ""
    dirty: bool = False
    pages: tuple[str, ...] = ()


def mark(book: Book, title: str, *, dirty: bool = True) -> Book:
    return replace(book, title=title, dirty=dirty)


def clean(book: Book) -> Book:
    return evolve(book, dirty=False)


def push(book: Book) -> Outcome[Book]:
    if not book.title:
        return Abort("no title")
    if book.dirty:
        return Retry(book, after=1.5)
    return Ok(replace(book, dirty=False))


async def fetch(book: Book) -> Ok[Book] | Fail | None:
    return Ok(title=book.title) if book.dirty else None


async def price() -> int:
    return 3


class Shop:
    """Its methods are steps' functions."""

    def charge(self, book: Book) -> Ok[Book]:
        return Ok(book)


# Steps: lambdas know the state of their flow, however deep they stand.

sync_book = flow(
    "sync_book",
    repeat(
        wait_until(lambda book: not book.dirty, timeout=lambda book: len(book.pages) + 1),
        debounce(lambda book: 0.5 if book.dirty else 1, max_wait=timedelta(seconds=5)),
        sequence(
            set_state(lambda book: replace(book, dirty=not book.dirty)),
            set_state(dirty=False),
            wait(lambda book: timedelta(seconds=len(book.title))),
        ),
        run(push, retries=3, backoff="exponential", base_delay=0.2, max_delay=30, jitter="full"),
        run(fetch, retries=None, backoff=lambda retry: retry * 2.0, retry_on=(OSError, ValueError)),
        run(Shop().charge, retry_on=lambda error: "503" in str(error)),
        run(lambda book: Ok(replace(book, dirty=False)), base_delay=lambda book: len(book.title)),
        run(lambda book: len(book.pages) + 1, collect_as="pages", attempt_timeout=lambda book: len(book.title)),
        run(partial(mark, title="Moby Dick"), collect_as="title"),
        each("pages", lambda page, book: Skip("empty") if page == "" or book.dirty else None, retries=2),
        parallel([price, lambda: 2], "pages", timeout=1, limit=2, on_error="collect"),
        parallel({"one": price, "two": lambda: 2}, "pages"),
        parallel(lambda book: [partial(len, page) for page in book.pages], "pages"),
        race(lambda book: dict.fromkeys(book.pages, price), "title", timeout=lambda book: len(book.pages)),
        repeat(wait(1), times=3, until=lambda book: not book.dirty),
        name="rounds",
    ),
    initial_state=Book(),
    signals={"mark": mark, "clean": clean},
)
assert_type(sync_book, Flow[Book])
assert_type(sync_book.initial_state, Book)
assert_type(sync_book.machine, Machine)
assert_type(compile_flow(sync_book), Machine)
assert_type(sync_book.machine.states, tuple[State, ...])
assert_type(sync_book.machine.outgoing, Mapping[str, tuple[Transition, ...]])
assert_type(evolve(Book(), dirty=True), Book)


# A step of its own needs to be told its state.

until_dirty: Step[Book] = wait_until(lambda book: not book.dirty)
assert_type(flow("dirty", until_dirty, wait(1), initial_state=Book()), Flow[Book])


# States of all sorts


@dataclass(frozen=True)
class Idle:
    since: float = 0.0


@dataclass(frozen=True)
class Busy:
    job: str = ""


class Position(NamedTuple):
    """A state that is a tuple."""

    x: int = 0
    y: int = 0


def begin(state: Idle | Busy) -> Idle | Busy:
    return Busy("sync") if isinstance(state, Idle) else state


idle: Idle | Busy = Idle()
assert_type(flow("count", set_state(lambda n: n + 1), wait(1), initial_state=0), Flow[int])
assert_type(flow("walk", set_state(lambda p: Position(p.x + 1, p.y)), initial_state=Position()), Flow[Position])
assert_type(flow("dict", wait_until(lambda s: s["n"] > 3), initial_state={"n": 1}), Flow[dict[str, int]])
assert_type(flow("nothing", wait(1), fail("no"), initial_state=None), Flow[None])
either: Flow[Idle | Busy] = flow("either", set_state(begin), initial_state=idle)


# Runners


def on_threads(notify: Callable[[Message[Book]], None]) -> None:
    runner = sync_book.start()
    assert_type(runner, Runner[Book])
    assert_type(sync_book.start(backend="threading", notify=notify, tag="a", history=10), Runner[Book])
    assert_type(sync_book.start(backend=ThreadingBackend(), initial_state=Book("Emma")), Runner[Book])
    assert_type(sync_book.start(backend=VirtualBackend()), Runner[Book])
    assert_type(runner.signal(lambda book: replace(book, dirty=not book.dirty)), None)
    assert_type(runner.signal(mark, "Emma", dirty=False), None)
    assert_type(runner.signal("mark", "Emma"), None)
    assert_type(runner.signal(dirty=True), None)
    assert_type(runner.update(lambda book: replace(book, dirty=not book.dirty)), Book)
    assert_type(runner.update(mark, "Emma"), Book)
    assert_type(runner.update("mark", "Emma", timeout=1), Book)
    assert_type(runner.update(dirty=True), Book)
    assert_type(runner.get_state(), Book)
    assert_type(runner.machine_state, str)
    assert_type(runner.done(), bool)
    assert_type(runner.trace, tuple[TransitionRecord, ...])
    assert_type(runner.result(timeout=5), Book)
    assert_type(runner.stop(), None)
    with sync_book.start() as other:
        assert_type(other, Runner[Book])
    for message in runner.subscribe():
        assert_type(message, Message[Book])
        match message:
            case FlowState(state=state) | FlowDone(state=state):
                assert_type(state, Book)
            case FlowFailed(reason=reason):
                assert_type(reason, Any)
            case _:
                pass
    list(replay(sync_book.machine, runner.trace))


async def on_asyncio() -> None:
    runner = sync_book.start(backend="asyncio")
    assert_type(runner, AsyncRunner[Book])
    assert_type(sync_book.start(backend=AsyncioBackend()), AsyncRunner[Book])
    assert_type(runner.signal(mark, "Emma"), None)
    assert_type(await runner.update(lambda book: replace(book, dirty=not book.dirty)), Book)
    assert_type(await runner.update(mark, "Emma"), Book)
    assert_type(await runner.update("mark", "Emma"), Book)
    assert_type(await runner.update(dirty=True), Book)
    assert_type(await runner.stop(), None)
    assert_type(await runner, Book)
    assert_type(runner.result(), Book)
    async with sync_book.start(backend="asyncio") as other:
        assert_type(other, AsyncRunner[Book])
    async for message in runner.subscribe():
        assert_type(message, Message[Book])
