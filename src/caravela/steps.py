"""What the user writes: one builder function for each step.

A builder only records what it was given. `flow()` checks the whole tree, since only there a step has a place that an
error can name.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, Literal, TypeVar, overload

from caravela.nodes import (
    BackoffName,
    Debounce,
    Duration,
    Each,
    FailStep,
    JitterName,
    Parallel,
    Race,
    Repeat,
    RetryPolicy,
    Run,
    Sequence,
    SetState,
    Step,
    Tasks,
    Wait,
    WaitUntil,
)
from caravela.state import evolve

__all__ = [
    "debounce",
    "each",
    "fail",
    "parallel",
    "race",
    "repeat",
    "run",
    "sequence",
    "set_state",
    "wait",
    "wait_until",
]

S = TypeVar("S")

RetryOn = type[BaseException] | tuple[type[BaseException], ...] | Callable[[BaseException], object]


def sequence(*steps: Step[S], name: str | None = None) -> Step[S]:
    """Run steps in order. A flow's own steps are a sequence already; this groups some inside another step.

    >>> two = sequence(wait(1), set_state(done=True))
    """
    return Sequence(steps=steps, name=name)


def repeat(
    *steps: Step[S],
    times: int | None = None,
    until: Callable[[S], object] | None = None,
    name: str | None = None,
) -> Step[S]:
    """Run steps in order, again and again: for ever, a number of times, or until a condition holds after a round.

    Args:
        steps: One round.
        times: Rounds, 0 or more; None for no limit.
        until: A predicate of the state, asked after every round.
        name: A label for the machine state.

    >>> three_times = repeat(wait(1), times=3)
    """
    return Repeat(steps=steps, times=times, until=until, name=name)


@overload
def set_state(fn: Callable[[S], S], /, *, name: str | None = None) -> Step[S]: ...
@overload
def set_state(**changes: Any) -> Step[object]: ...
def set_state(fn: Any = None, /, **changes: Any) -> Step[Any]:
    """Give the flow a new state, at once: `fn(state)`, or a copy with changed fields.

    In the keyword form every keyword is a field, `name` too.

    >>> clean = set_state(dirty=False)
    >>> count = set_state(lambda state: {**state, "n": state["n"] + 1}, name="count")
    """
    if fn is None:
        return SetState(fn=partial(evolve, **changes), changes=tuple(changes))
    label = changes.pop("name", None)
    return SetState(fn=fn, changes=tuple(changes), name=label)


def wait(seconds: Duration[S], *, name: str | None = None) -> Step[S]:
    """Rest in `sleeping` until the time has passed. Signals apply and do not shorten it.

    Args:
        seconds: Seconds, a `timedelta`, or a function of the state. A wait of 0 is passed without resting.
        name: A label for the machine state.

    >>> pause = wait(0.5)
    """
    return Wait(seconds=seconds, name=name)


def wait_until(
    predicate: Callable[[S], object], *, timeout: Duration[S] | None = None, name: str | None = None
) -> Step[S]:
    """Rest in `waiting` until a condition holds: asked on entry and after every signal.

    Args:
        predicate: A function of the state.
        timeout: Seconds after which the step fails with `StepTimeoutError`; None waits for ever.
        name: A label for the machine state.

    >>> until_dirty = wait_until(lambda state: state["dirty"], timeout=60)
    """
    return WaitUntil(predicate=predicate, timeout=timeout, name=name)


def debounce(seconds: Duration[S], *, max_wait: Duration[S] | None = None, name: str | None = None) -> Step[S]:
    """Rest in `debouncing` until no signal has come for a while. Every accepted signal restarts the window.

    Args:
        seconds: Seconds without a signal. A function of the state is asked again at every restart.
        max_wait: Seconds from entry after which the step ends whatever comes; never shorter than `seconds`.
        name: A label for the machine state.

    >>> settle = debounce(0.5, max_wait=5)
    """
    return Debounce(seconds=seconds, max_wait=max_wait, name=name)


def run(
    fn: Callable[[S], object],
    *,
    retries: int | None = 0,
    backoff: BackoffName | Callable[[int], float] = "constant",
    base_delay: Duration[S] = 0.1,
    max_delay: Duration[S] | None = None,
    jitter: JitterName = "none",
    attempt_timeout: Duration[S] | None = None,
    retry_on: RetryOn = Exception,
    collect_as: str | None = None,
    name: str | None = None,
) -> Step[S]:
    """Call a function of the state, plain or async, and retry it when it fails.

    What it returns is in `caravela.outcomes`. Signals that come while it runs are applied when it has settled.

    Args:
        fn: The function.
        retries: Attempts after the first; None for no limit, of which the last 100 errors are kept.
        backoff: `"constant"`, `"linear"`, `"exponential"`, or a function of the number of the retry, from 1.
        base_delay: Seconds before the first retry.
        max_delay: Seconds that no delay exceeds.
        jitter: `"none"`, `"full"`, `"equal"` or `"decorrelated"`.
        attempt_timeout: Seconds for each attempt.
        retry_on: The exceptions that are retried: types, or a predicate.
        collect_as: The field that takes the returned value.
        name: A label for the machine state; the function's name without it.

    >>> push = run(print, retries=3, backoff="exponential", base_delay=0.2, max_delay=30)
    """
    policy = RetryPolicy(
        retries=retries,
        backoff=backoff,
        base_delay=base_delay,
        max_delay=max_delay,
        jitter=jitter,
        attempt_timeout=attempt_timeout,
        retry_on=retry_on,
    )
    return Run(fn=fn, policy=policy, collect_as=collect_as, name=name)


def each(
    key: str,
    fn: Callable[[Any, S], object],
    /,
    *,
    retries: int | None = 0,
    backoff: BackoffName | Callable[[int], float] = "constant",
    base_delay: Duration[S] = 0.1,
    max_delay: Duration[S] | None = None,
    jitter: JitterName = "none",
    attempt_timeout: Duration[S] | None = None,
    retry_on: RetryOn = Exception,
    name: str | None = None,
) -> Step[S]:
    """Call a function with every item of a field, one after the other.

    The items are taken once, on entry. The function may return `None`, `Ok(...)`, `Skip(...)`, `Fail(...)` or
    `Abort(...)`; the options are those of `run`, for each item anew.

    Args:
        key: The field or key that holds the items.
        fn: A function of an item and the state, plain or async.
        retries: Attempts after the first, for each item.
        backoff: See `run`.
        base_delay: Seconds before the first retry of an item.
        max_delay: Seconds that no delay exceeds.
        jitter: See `run`.
        attempt_timeout: Seconds for each attempt.
        retry_on: See `run`.
        name: A label for the machine state; the function's name without it.

    >>> mails = each("addresses", lambda address, state: None, retries=2)
    """
    policy = RetryPolicy(
        retries=retries,
        backoff=backoff,
        base_delay=base_delay,
        max_delay=max_delay,
        jitter=jitter,
        attempt_timeout=attempt_timeout,
        retry_on=retry_on,
    )
    return Each(key=key, fn=fn, policy=policy, name=name)


def parallel(
    tasks: Tasks | Callable[[S], Tasks],
    collect_as: str,
    *,
    timeout: Duration[S] | None = None,
    limit: int | None = None,
    on_error: Literal["fail", "collect"] = "fail",
    name: str | None = None,
) -> Step[S]:
    """Run tasks beside each other and rest in `gathering` until all have returned.

    Args:
        tasks: Functions without arguments, in a list or a mapping; or a function of the state that gives them.
        collect_as: The field that takes the results, in the order of the tasks: a list, or a dict for a mapping.
        timeout: Seconds after which all are cancelled and the step fails with `StepTimeoutError`.
        limit: How many run at once; None for all.
        on_error: `"fail"`: the first failure cancels the rest and fails the step with an `ExceptionGroup`.
            `"collect"`: a `Fail` stands in the place of the failed task's result.
        name: A label for the machine state.

    >>> both = parallel([lambda: 1, lambda: 2], "results")
    """
    return Parallel(
        tasks=_kept(tasks), collect_as=collect_as, timeout=timeout, limit=limit, on_error=on_error, name=name
    )


def race(
    tasks: Tasks | Callable[[S], Tasks],
    collect_as: str,
    *,
    timeout: Duration[S] | None = None,
    name: str | None = None,
) -> Step[S]:
    """Run tasks beside each other and rest in `racing` until the first has succeeded; the others are cancelled.

    When all fail, or there are none, the step fails.

    Args:
        tasks: Functions without arguments, in a list or a mapping; or a function of the state that gives them.
        collect_as: The field that takes the winner's value.
        timeout: Seconds after which all are cancelled and the step fails with `StepTimeoutError`.
        name: A label for the machine state.

    >>> first = race([lambda: "a", lambda: "b"], "winner")
    """
    return Race(tasks=_kept(tasks), collect_as=collect_as, timeout=timeout, name=name)


def fail(reason: Any, *, name: str | None = None) -> Step[object]:
    """Fail with `StepFailedError(reason)`.

    >>> give_up = fail("no such book")
    """
    return FailStep(reason=reason, name=name)


def _kept(tasks: Any) -> Any:
    """Take an iterable once, so that a generator of tasks is the same list in every round."""
    if callable(tasks) or isinstance(tasks, (dict, str)) or not hasattr(tasks, "__iter__"):
        return tasks
    return dict(tasks) if hasattr(tasks, "keys") else tuple(tasks)
