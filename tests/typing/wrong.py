# pyright: standard, reportUnnecessaryTypeIgnoreComment=error
"""What the type checkers refuse: read by mypy and pyright, never run.

Each wrong line says so twice, once for each checker. A comment that is not needed is an error itself, so these files
pass only if both find every mistake.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from caravela import (
    AsyncRunner,
    Ok,
    Runner,
    Step,
    debounce,
    each,
    flow,
    parallel,
    race,
    repeat,
    run,
    sequence,
    set_state,
    wait,
    wait_until,
)


@dataclass(frozen=True)
class Book:
    """A state."""

    title: str = ""
    dirty: bool = False


def mark(book: Book, title: str) -> Book:
    return replace(book, title=title)


def push(book: Book) -> Ok[Book]:
    return Ok(book)


def other(number: int) -> int:
    return number


# A wrong attribute inside a step's lambda

flow(
    "wrong",
    wait_until(lambda book: not book.dirt),  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue]
    wait_until(lambda book: book.dirty, timeout=lambda book: book.limit + 1),  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue]
    debounce(lambda book: book.window + 1),  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue]
    debounce(1, max_wait=lambda book: book.window + 1),  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue]
    wait(lambda book: book.pause + 1),  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue]
    set_state(lambda book: replace(book, title=book.titel)),  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue]
    run(lambda book: Ok(book.next())),  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue]
    run(push, base_delay=lambda book: book.pause + 1),  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue]
    each("pages", lambda page, book: Ok(book.without(page))),  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue]
    parallel(lambda book: [book.fetch, book.fetch], "got"),  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue]
    race(lambda book: [book.fetch, book.fetch], "got"),  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue]
    sequence(repeat(sequence(wait_until(lambda book: not book.dirt)))),  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue]
    repeat(wait(1), until=lambda book: not book.dirt),  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue]
    initial_state=Book(),
)

# Something else than the step takes

flow("wrong", wait("1"), initial_state=Book())  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
flow("wrong", set_state(other), initial_state=Book())  # type: ignore[misc]  # pyright: ignore[reportArgumentType]
flow("wrong", run(other), initial_state=Book())  # type: ignore[misc]  # pyright: ignore[reportArgumentType]
flow("wrong", wait_until(mark), initial_state=Book())  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
flow("wrong", each("pages", push), initial_state=Book())  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
flow("wrong", run(push, backoff="fast"), initial_state=Book())  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
flow("wrong", run(push, jitter="some"), initial_state=Book())  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
flow("wrong", run(push, retries="3"), initial_state=Book())  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
flow("wrong", parallel([other], "got"), initial_state=Book())  # type: ignore[list-item]  # pyright: ignore[reportArgumentType]
flow("wrong", parallel([], "got", on_error="ignore"), initial_state=Book())  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
flow("wrong", mark, initial_state=Book())  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
flow("wrong", [wait(1)], initial_state=Book())  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
flow("wrong", repeat(mark), initial_state=Book())  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
flow("wrong", wait(1))  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
step: Step[Book] = wait_until(lambda book: not book.dirt)  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue]
numbers: Step[int] = set_state(other)
flow("wrong", numbers, initial_state=Book())  # type: ignore[misc]  # pyright: ignore[reportArgumentType]


# Something else than the runner takes


def on_threads(runner: Runner[Book]) -> None:
    runner.signal(mark)  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue]
    runner.signal(mark, 3)  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType, reportCallIssue]
    runner.signal(other)  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType, reportCallIssue]
    runner.update(mark, name="Emma")  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue]
    runner.update(lambda book: replace(book, title=book.titel))  # type: ignore[call-overload]  # pyright: ignore[reportAttributeAccessIssue]
    runner.result().titel  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue]
    runner.get_state().titel  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue]


async def on_asyncio(runner: AsyncRunner[Book], other_runner: Runner[Book]) -> None:
    await runner.update(mark)  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue]
    runner.update(mark, "Emma").title  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue]
    (await runner).titel  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue]
    await other_runner  # type: ignore[misc]  # pyright: ignore[reportGeneralTypeIssues]
    with runner:  # type: ignore[attr-defined]  # pyright: ignore[reportGeneralTypeIssues]
        pass
