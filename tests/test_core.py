"""`start` and `advance`: what every event means in every kind of state, and what has to be done about it."""

import asyncio
import copy
import pickle
from dataclasses import dataclass
from datetime import timedelta

import pytest

from caravela import (
    Abort,
    Fail,
    InvalidOutcomeError,
    Ok,
    PostponedSignalError,
    RetriesExhaustedError,
    Retry,
    Skip,
    StateError,
    StepFailedError,
    StepTimeoutError,
    debounce,
    each,
    fail,
    parallel,
    race,
    repeat,
    run,
    set_state,
    wait,
    wait_until,
)
from caravela.compile import compile_steps
from caravela.core import Record, advance, describe, effects, events, machine_state, start
from caravela.core.effects import Cancel, End, Invoke, SetTimer, Yield, invocation
from caravela.core.postponed import Postponed
from caravela.core.snapshot import failure_of

FOREVER = float("inf")


class Walk:
    """One run, moved by hand. Every move is made twice, to show that the first changed nothing but its result."""

    def __init__(self, *steps, state=None, signals=None):
        self.machine = compile_steps("flow", steps, signals)
        self.now = 0.0
        self.trace = []
        self.done = ()
        record = Record()
        self.snapshot = start(self.machine, {} if state is None else state, record=record)
        self._note(None, record)

    def send(self, event):
        old, before, record = self.snapshot, repr(self.snapshot), Record()
        self.snapshot = advance(self.machine, old, event, record)
        assert repr(advance(self.machine, old, event)) == repr(self.snapshot)
        assert repr(old) == before
        if self.snapshot is not old:
            self._note(old, record)
        return self

    def _note(self, old, record):
        source = "" if old is None else machine_state(self.machine, old)
        passed = f" through {', '.join(record.passed)}" if record.passed else ""
        self.trace.append(f"{source} --{record.event}--> {self.at}{passed}".strip())
        self.done = effects(self.machine, old, self.snapshot)
        self.told = record.told

    def signal(self, fn=dict, *args, name="", **kwargs):
        return self.send(events.signal(self.now, fn, args, kwargs, name))

    def sets(self, **changes):
        return self.signal(lambda state: {**state, **changes})

    def until(self, now, draw=0.0):
        """Let the time be `now`, with one tick."""
        self.now = now
        return self.send(events.elapsed(now, now, draw))

    def returns(self, value=None, index=0, draw=0.0, postponed=()):
        return self.send(events.returned(self.now, self.token, value, index, draw, apply_all(postponed)))

    def raises(self, error, index=0, postponed=()):
        return self.send(events.raised(self.now, self.token, error, index, 0.0, apply_all(postponed)))

    def settles(self, index=0):
        return self.send(events.settled(self.now, self.token, index))

    def abandons(self, index=0):
        return self.send(events.abandoned(self.now, self.token, index))

    def stops(self, postponed=()):
        return self.send(events.stop(self.now, apply_all(postponed)))

    def resumes(self):
        return self.send(events.resumed(self.now))

    @property
    def at(self):
        return machine_state(self.machine, self.snapshot)

    @property
    def state(self):
        return self.snapshot[1]

    @property
    def due(self):
        return self.snapshot[2]

    @property
    def token(self):
        return self.snapshot[3]

    @property
    def failure(self):
        return failure_of(self.snapshot)

    @property
    def error(self):
        return self.failure.error


def apply_all(functions):
    return Postponed([(fn, (), None, "", None) for fn in functions]) if functions else None


def add(key, value):
    return lambda state: {**state, key: [*state.get(key, []), value]}


def work(*args):
    """Never called here: the core calls no such function."""
    pytest.fail("the core called a function that it should only invoke")


def boom(*args):
    raise ZeroDivisionError("boom")


async def later(*args):
    """Gives an awaitable."""


def on(state):
    return state.get("on")


BAD_STATES = {
    "None": lambda state: None,
    "an outcome": lambda state: Ok(n=1),
    "a step": lambda state: wait(1),
    "an awaitable": lambda state: later(),
}
bad_states = pytest.mark.parametrize("gives", BAD_STATES.values(), ids=BAD_STATES)


# Every kind of state × every event. What is not listed means nothing there: the very same snapshot comes back.

BOTH = (set_state(n=1), wait(9))
KINDS = {
    "sleeping": (lambda: Walk(wait(1)), {"signal": "sleeping", "due": "done", "stop": "stopped"}),
    "waiting": (lambda: Walk(wait_until(on, timeout=1)), {"signal": "waiting", "due": "failed", "stop": "stopped"}),
    "debouncing": (lambda: Walk(debounce(1)), {"signal": "debouncing", "due": "done", "stop": "stopped"}),
    "running": (
        lambda: Walk(run(work, attempt_timeout=1)),
        {"signal": None, "due": "cancelling", "returned": "done", "raised": "failed", "stop": "cancelling"},
    ),
    "iterating": (
        lambda: Walk(each("items", work, attempt_timeout=1), state={"items": [1]}),
        {"signal": None, "due": "cancelling", "returned": "done", "raised": "failed", "stop": "cancelling"},
    ),
    "backoff": (
        lambda: Walk(run(work, retries=1, base_delay=1)).returns(Fail("no")),
        {"signal": "backoff(attempt=1)", "due": "running(attempt=2)", "stop": "stopped"},
    ),
    "gathering": (
        lambda: Walk(parallel([work], "got", timeout=1)),
        {"signal": "gathering", "due": "cancelling", "returned": "done", "raised": "failed", "stop": "cancelling"},
    ),
    "racing": (
        lambda: Walk(race([work], "got", timeout=1)),
        {"signal": "racing", "due": "cancelling", "returned": "done", "raised": "failed", "stop": "cancelling"},
    ),
    "cancelling": (
        lambda: Walk(run(work, attempt_timeout=1)).until(1),
        {
            "signal": "cancelling",
            "due": "failed",
            "returned": "failed",
            "raised": "failed",
            "settled": "failed",
            "abandoned": "failed",
            "stop": "cancelling",
        },
    ),
    "again": (
        lambda: Walk(repeat(set_state(n=1), times=700)),
        {"signal": "again", "resumed": "done", "stop": "stopped"},
    ),
    "done": (lambda: Walk(set_state(n=1)), {}),
    "failed": (lambda: Walk(fail("no")), {}),
    "stopped": (lambda: Walk(wait(1)).stops(), {}),
}
EVENTS = {
    "signal": lambda walk: walk.signal(),
    "early": lambda walk: walk.until(walk.now + 0.9),
    "due": lambda walk: walk.until(walk.now + 5),
    "returned": lambda walk: walk.returns(),
    "raised": lambda walk: walk.raises(OSError()),
    "settled": lambda walk: walk.settles(),
    "abandoned": lambda walk: walk.abandons(),
    "stop": lambda walk: walk.stops(),
    "resumed": lambda walk: walk.resumes(),
}


@pytest.mark.parametrize("event", EVENTS)
@pytest.mark.parametrize("kind", KINDS)
def test_every_event_in_every_kind_of_state(kind, event):
    make, targets = KINDS[kind]
    walk = make()
    assert walk.machine.by_name[walk.at.partition("(")[0]].kind == kind
    before = walk.snapshot
    if targets.get(event, "") is None:
        with pytest.raises(PostponedSignalError, match="signals wait until the function has settled"):
            EVENTS[event](walk)
        return
    EVENTS[event](walk)
    if event in targets:
        assert walk.at == targets[event]
        assert walk.snapshot is not before
    else:
        assert walk.snapshot is before


def test_all_kinds_of_resting_states_are_in_the_matrix():
    machine = compile_steps(
        "all",
        (
            wait(1),
            wait_until(on),
            debounce(1),
            run(work, retries=1),
            each("items", work),
            parallel([work], "a"),
            race([work], "b"),
            repeat(wait_until(on), times=10_000),
        ),
    )
    assert {s.kind for s in machine.states if not s.transient or s.yields} <= set(KINDS)


# Signals


@pytest.mark.parametrize(
    "walk",
    [Walk(wait(1)), Walk(wait_until(on)), Walk(debounce(1)), Walk(parallel([work], "got"))],
    ids=lambda walk: walk.at,
)
def test_a_signal_that_raises_changes_nothing_and_restarts_nothing(walk):
    before = walk.snapshot
    walk.now = 0.5
    with pytest.raises(ZeroDivisionError):
        walk.signal(boom)
    assert walk.snapshot is before


@bad_states
def test_a_signal_must_give_a_state(gives):
    walk = Walk(wait(1))
    with pytest.raises(StateError, match="the signal function gave no state but"):
        walk.signal(gives)
    assert walk.trace == ["--start--> sleeping"]


def test_a_signal_takes_arguments_and_appears_under_its_name():
    walk = Walk(wait(1), signals={"mark": work})
    walk.signal(lambda state, a, *, b: {"a": a, "b": b}, 1, b=2, name="mark")
    assert walk.state == {"a": 1, "b": 2}
    assert walk.trace[-1] == "sleeping --mark--> sleeping"


def test_a_signal_gets_a_copy_of_a_dict():
    original = {"n": 1}
    walk = Walk(wait(1), state=original)
    walk.signal(lambda state: state.update(n=2) or {**state})
    assert (original, walk.state) == ({"n": 1}, {"n": 2})
    with pytest.raises(ZeroDivisionError):
        walk.signal(lambda state: state.clear() or boom())
    assert walk.state == {"n": 2}


def test_an_equal_new_value_is_stored_and_not_told():
    walk = Walk(wait(1), state={"n": 1})
    walk.signal(lambda state: {"n": 1.0})
    assert type(walk.state["n"]) is float
    assert walk.told == []
    walk.sets(n=2)
    assert walk.told == [("state", {"n": 2}, None)]


# set_state, fail


def test_set_state_is_passed_through():
    walk = Walk(set_state(n=1), set_state(lambda s: {**s, "m": s["n"] + 1}), wait(1))
    assert walk.state == {"n": 1, "m": 2}
    assert walk.trace == ["--start--> sleeping through set_state:n, set_state:1"]
    assert walk.told == [("state", {"n": 1}, None), ("state", {"n": 1, "m": 2}, None)]


@bad_states
def test_set_state_must_give_a_state(gives):
    walk = Walk(wait(0), set_state(gives))
    assert walk.at == "failed"
    assert isinstance(walk.error, StateError)
    assert "set_state gave no state but" in str(walk.error)
    assert (walk.error.flow, walk.error.step, walk.error.machine_state) == ("flow", "set_state[1]", "set_state")
    assert walk.state == {}


def test_a_raising_set_state_fails_its_step():
    walk = Walk(set_state(boom))
    assert walk.trace == ["--start--> failed through set_state"]
    assert walk.failure.reason is walk.error
    assert isinstance(walk.error, ZeroDivisionError)
    assert (walk.failure.path, walk.failure.machine_state) == ("set_state[0]", "set_state")


def test_a_state_may_be_any_value():
    assert Walk(set_state(lambda n: n + 1), wait(1), state=41).state == 42
    assert Walk(set_state(lambda n: "text"), wait(1), state=41).state == "text"


@pytest.mark.parametrize(
    ("reason", "error"),
    [("no", StepFailedError), (OSError("no"), OSError), (404, StepFailedError)],
)
def test_fail_keeps_the_reason_that_was_given(reason, error):
    walk = Walk(fail(reason))
    assert walk.trace == ["--start--> failed through fail"]
    assert walk.failure.reason is reason
    assert type(walk.error) is error
    assert getattr(walk.error, "reason", reason) is reason


# wait


@pytest.mark.parametrize("seconds", [2, 2.0, timedelta(seconds=2), lambda state: 2, lambda state: timedelta(seconds=2)])
def test_a_wait_is_over_when_its_time_has_passed(seconds):
    walk = Walk(wait(seconds))
    assert walk.done == (SetTimer(2.0),)
    assert walk.until(1.9).at == "sleeping"
    assert walk.until(2).at == "done"


@pytest.mark.parametrize("seconds", [0, 0.0, timedelta(0), lambda state: 0])
def test_a_wait_of_zero_is_passed(seconds):
    assert Walk(wait(seconds)).trace == ["--start--> done through sleeping"]


def test_signals_do_not_shorten_a_wait():
    walk = Walk(wait(2))
    walk.now = 1.5
    assert walk.sets(n=1).due == 2.0
    assert walk.state == {"n": 1}


def test_new_deadlines_count_from_the_time_of_handling():
    walk = Walk(wait(1), wait(1))
    walk.send(events.elapsed(now=10.0, due=1.0))  # the loop comes late
    assert walk.due == 11.0


BAD_DURATIONS = {
    "negative": lambda state: -1,
    "nan": lambda state: float("nan"),
    "infinite": lambda state: FOREVER,
    "a text": lambda state: "1",
    "None": lambda state: None,
    "raises": boom,
}
WITH_DURATIONS = {
    "wait": wait,
    "wait_until": lambda duration: wait_until(on, timeout=duration),
    "debounce": debounce,
    "max_wait": lambda duration: debounce(1, max_wait=duration),
    "run": lambda duration: run(work, attempt_timeout=duration),
    "each": lambda duration: each("items", work, attempt_timeout=duration),
    "parallel": lambda duration: parallel([work], "got", timeout=duration),
    "race": lambda duration: race([work], "got", timeout=duration),
}


@pytest.mark.parametrize("duration", BAD_DURATIONS.values(), ids=BAD_DURATIONS)
@pytest.mark.parametrize("step", WITH_DURATIONS.values(), ids=WITH_DURATIONS)
def test_a_duration_that_is_none_fails_its_step(step, duration):
    walk = Walk(step(duration), state={"items": [1]})
    assert walk.at == "failed"
    assert isinstance(walk.error, ZeroDivisionError if duration is boom else StateError)


# wait_until


def test_a_condition_is_asked_on_entry():
    assert Walk(wait_until(on), state={"on": True}).trace == ["--start--> done through waiting"]


def test_a_condition_is_asked_after_every_signal():
    walk = Walk(wait_until(on))
    assert walk.due == FOREVER
    walk.sets(n=1).sets(on=1)
    assert walk.trace[1:] == ["waiting --signal--> waiting", "waiting --signal--> done"]


def test_a_condition_that_does_not_hold_in_time_fails():
    walk = Walk(wait_until(on, timeout=2))
    walk.now = 1.5
    assert walk.sets(n=1).due == 2.0
    assert walk.until(2).trace[-1] == "waiting --timed_out--> failed"
    assert isinstance(walk.error, StepTimeoutError)
    assert (walk.error.step, walk.error.machine_state) == ("wait_until[0]", "waiting")


def test_a_condition_is_asked_before_a_timeout_of_zero():
    assert Walk(wait_until(on, timeout=0), state={"on": True}).at == "done"
    walk = Walk(wait_until(on, timeout=0))
    assert (walk.at, walk.due) == ("waiting", 0.0)
    assert walk.until(0).at == "failed"


@pytest.mark.parametrize("condition", [boom, later], ids=["raises", "gives an awaitable"])
def test_a_condition_that_cannot_be_asked_fails(condition):
    lazily = lambda state: condition() if on(state) else False  # noqa: E731 - plain outside, whatever is inside
    for walk in (Walk(wait_until(lazily), state={"on": True}), Walk(wait_until(lazily)).sets(on=True)):
        assert walk.at == "failed"
        assert isinstance(walk.error, ZeroDivisionError if condition is boom else StateError)
    assert walk.state == {"on": True}


# debounce


def test_every_signal_restarts_the_window():
    walk = Walk(debounce(1))
    walk.now = 0.9
    assert walk.signal().due == 1.9  # though the state has not changed
    assert walk.until(1.8).at == "debouncing"
    assert walk.until(1.9).trace == ["--start--> debouncing", "debouncing --signal--> debouncing", *TO_DONE]


TO_DONE = ["debouncing --elapsed--> done"]


def test_max_wait_counts_from_the_entry():
    walk = Walk(debounce(1, max_wait=2.5))
    due = []
    for now in (0.9, 1.8, 2.4):
        walk.now = now
        due.append(walk.signal().due)
    assert due == [1.9, 2.5, 2.5]


def test_max_wait_is_never_shorter_than_the_window():
    walk = Walk(debounce(2, max_wait=1))
    assert walk.due == 2.0
    walk.now = 1.0
    assert walk.signal().due == 2.0


def test_a_computed_window_is_asked_again_at_every_restart():
    walk = Walk(debounce(lambda state: state["calm"]), state={"calm": 1})
    walk.now = 0.5
    assert walk.sets(calm=10).due == 10.5
    walk.sets(calm=-1)
    assert walk.trace[-1] == "debouncing --signal--> failed"
    assert isinstance(walk.error, StateError)


def test_a_window_of_zero_rests_until_the_next_tick():
    walk = Walk(debounce(0))
    assert (walk.at, walk.due) == ("debouncing", 0.0)
    assert walk.until(0).at == "done"


# The outcomes of a run


@pytest.mark.parametrize(
    ("outcome", "state"),
    [
        (None, {"n": 0}),
        (Ok(), {"n": 0}),
        (Ok({"m": 1}), {"m": 1}),
        (Ok(n=1), {"n": 1}),
    ],
    ids=repr,
)
def test_a_run_that_has_succeeded(outcome, state):
    walk = Walk(run(work), state={"n": 0})
    assert walk.done == (Invoke(0),)
    walk.returns(outcome)
    assert walk.trace[-1] == "running(attempt=1) --succeeded--> done"
    assert walk.state == state


FAILURES = {
    "Fail": (Fail("503"), "503", StepFailedError),
    "Fail(exception)": (Fail(OSError("503")), OSError, OSError),
    "Abort": (Abort("gone"), "gone", StepFailedError),
    "a raise": (OSError("503"), OSError, OSError),
    "a value": (3, InvalidOutcomeError, InvalidOutcomeError),
    "a state": ({"n": 1}, InvalidOutcomeError, InvalidOutcomeError),
    "Skip": (Skip("no"), InvalidOutcomeError, InvalidOutcomeError),
    "a step": (wait(1), InvalidOutcomeError, InvalidOutcomeError),
    "Ok(None)": (Ok(None), StateError, StateError),
    "Ok(Fail)": (Ok(Fail("no")), StateError, StateError),
    "Retry": (Retry(n=7), RetriesExhaustedError, RetriesExhaustedError),
    "Retry(None)": (Retry(None), StateError, StateError),
    "Retry(after=-1)": (Retry(after=-1), StateError, StateError),
}


@pytest.mark.parametrize(("given", "reason", "error"), FAILURES.values(), ids=FAILURES)
def test_a_run_without_retries_that_has_failed(given, reason, error):
    walk = Walk(run(work), state={"n": 0})
    walk.raises(given) if isinstance(given, Exception) else walk.returns(given)
    assert walk.at == "failed"
    assert type(walk.error) is error
    assert walk.failure.reason == reason if isinstance(reason, str) else walk.failure.reason is walk.error
    assert (walk.failure.path, walk.failure.machine_state) == ("run[0]", "running(attempt=1)")
    assert walk.state == {"n": 7 if given == Retry(n=7) else 0}
    assert len(walk.failure.attempts) == 1


def test_an_unknown_field_fails_at_once():
    @dataclass(frozen=True)
    class Book:
        title: str

    walk = Walk(run(work, retries=3), state=Book("Moby Dick")).returns(Ok(titel="?"))
    assert walk.at == "failed"
    assert "Book has no field 'titel'; it has: title" in str(walk.error)


def test_an_invalid_outcome_is_not_retried_and_names_what_is_allowed():
    walk = Walk(run(work, retries=3)).returns(3)
    allowed = "None, Ok(...), Retry(...), Fail(...), Abort(...), or any value with collect_as="
    assert str(walk.error).splitlines() == [
        f"the function of run returned a value of type int; allowed are {allowed}",
        "  where: flow 'flow', step run[0], machine state running(attempt=1)",
        "  wrong: return int(...)",
        '  right: return Ok(state), Ok(field=value), or run(fn, collect_as="field")',
    ]


def test_an_awaitable_that_nobody_awaits_is_an_invalid_outcome():
    for step in (run(work), run(work, collect_as="got")):
        walk = Walk(step).returns(later())
        assert isinstance(walk.error, InvalidOutcomeError)
        assert "that nobody awaits" in str(walk.error)


@pytest.mark.parametrize("value", [3, "text", {"n": 1}, [], False, later], ids=repr)
def test_collect_as_stores_any_value(value):
    walk = Walk(run(work, collect_as="got"), state={"n": 0}).returns(value)
    assert (walk.at, walk.state) == ("done", {"n": 0, "got": value})


@pytest.mark.parametrize(
    ("outcome", "at", "state"),
    [
        (None, "done", {}),
        (Ok(n=1), "done", {"n": 1}),
        (Retry(n=1), "failed", {"n": 1}),
        (Fail("no"), "failed", {}),
        (Abort("no"), "failed", {}),
        (Skip("no"), "failed", {}),
        (wait(1), "failed", {}),
    ],
    ids=lambda value: type(value).__name__,
)
def test_collect_as_does_not_store_outcomes(outcome, at, state):
    walk = Walk(run(work, collect_as="got")).returns(outcome)
    assert (walk.at, walk.state) == (at, state)


# The retries of a run


def attempts(walk, *ends):
    """End one attempt after the other, letting the time of each backoff pass; give the delays."""
    delays = []
    for end in ends:
        walk.raises(end) if isinstance(end, BaseException) else walk.returns(end)
        if walk.at.startswith("backoff"):
            delays.append(round(walk.due - walk.now, 6))
            walk.until(walk.due)
    return delays


def test_retries_are_counted_after_the_first_attempt():
    walk = Walk(run(work, retries=2, base_delay=1))
    assert attempts(walk, Fail("a"), Retry(), Fail("c")) == [1, 1]
    assert walk.trace == [
        "--start--> running(attempt=1)",
        "running(attempt=1) --failed--> backoff(attempt=1)",
        "backoff(attempt=1) --elapsed--> running(attempt=2)",
        "running(attempt=2) --retried--> backoff(attempt=2)",
        "backoff(attempt=2) --elapsed--> running(attempt=3)",
        "running(attempt=3) --failed--> failed",
    ]
    assert walk.failure.reason == "c"
    assert [str(error) for error in walk.failure.attempts] == ["a", "the function asked for a retry", str(walk.error)]


def test_a_later_attempt_may_succeed():
    walk = Walk(run(work, retries=2), wait(1))
    attempts(walk, Fail("a"), Ok(n=1))
    assert (walk.at, walk.state) == ("sleeping", {"n": 1})


def test_the_next_run_starts_with_its_first_attempt():
    walk = Walk(run(work, retries=2, name="a"), run(work, retries=2, name="b"))
    attempts(walk, Fail("a"), None)
    assert walk.at == "running:b(attempt=1)"


def test_retry_changes_the_state_of_the_next_attempt():
    walk = Walk(run(work, retries=1)).returns(Retry(page=2))
    assert walk.until(walk.due).state == {"page": 2}


def test_retry_with_none_left_is_exhausted():
    walk = Walk(run(work, retries=1))
    attempts(walk, Retry(), Retry(n=1))
    assert walk.trace[-1] == "running(attempt=2) --retried--> failed"
    assert isinstance(walk.error, RetriesExhaustedError)
    assert walk.state == {"n": 1}
    assert len(walk.failure.attempts) == 2


def test_abort_fails_at_once():
    walk = Walk(run(work, retries=5)).returns(Abort("gone"))
    assert walk.trace[-1] == "running(attempt=1) --failed--> failed"
    assert walk.failure.reason == "gone"


def test_retries_none_means_no_limit_and_keeps_the_last_hundred_errors():
    walk = Walk(run(work, retries=None, base_delay=0))
    for number in range(150):
        walk.returns(Fail(number))
    assert walk.at == "running(attempt=151)"
    walk.returns(Abort("enough"))
    assert [error.reason for error in walk.failure.attempts] == [*range(51, 150), "enough"]


@pytest.mark.parametrize(
    ("retry_on", "error", "retried"),
    [
        (Exception, ValueError(), True),
        (OSError, ValueError(), False),
        (OSError, ConnectionError(), True),
        ((OSError, ValueError), ValueError(), True),
        (lambda error: "503" in str(error), OSError("503"), True),
        (lambda error: "503" in str(error), OSError("404"), False),
        (Exception, asyncio.CancelledError(), False),
        (BaseException, KeyboardInterrupt(), False),
        (BaseException, SystemExit(), False),
        (BaseException, asyncio.CancelledError(), False),
    ],
)
def test_retry_on_says_which_exceptions_are_retried(retry_on, error, retried):
    walk = Walk(run(work, retries=1, retry_on=retry_on)).raises(error)
    assert walk.at == ("backoff(attempt=1)" if retried else "failed")
    assert retried or walk.failure.reason is error


def test_retry_on_does_not_ask_about_fail():
    assert Walk(run(work, retries=1, retry_on=OSError)).returns(Fail("no")).at == "backoff(attempt=1)"


def test_a_retry_on_that_raises_fails_the_step():
    error = OSError("503")
    walk = Walk(run(work, retries=1, retry_on=boom)).raises(error)
    assert isinstance(walk.error, ZeroDivisionError)
    assert walk.error.__context__ is error


@pytest.mark.parametrize(
    ("policy", "delays"),
    [
        ({}, [0.1, 0.1, 0.1]),
        ({"backoff": "linear", "base_delay": 2}, [2, 4, 6]),
        ({"backoff": "exponential", "base_delay": 2}, [2, 4, 8]),
        ({"backoff": "exponential", "base_delay": 2, "max_delay": 5}, [2, 4, 5]),
        ({"backoff": lambda retry: retry * 10}, [10, 20, 30]),
        ({"base_delay": lambda state: state["base"]}, [7, 7, 7]),
        ({"base_delay": 9, "max_delay": lambda state: state["base"]}, [7, 7, 7]),
        ({"base_delay": timedelta(minutes=1)}, [60, 60, 60]),
    ],
)
def test_the_delays_before_the_retries(policy, delays):
    walk = Walk(run(work, retries=3, **policy), state={"base": 7})
    assert attempts(walk, Fail("a"), OSError(), Retry()) == delays


def test_jitter_takes_the_number_that_was_drawn():
    walk = Walk(run(work, retries=1, base_delay=8, jitter="equal")).returns(Fail("no"), draw=0.5)
    assert walk.due == 6.0


def test_decorrelated_jitter_remembers_the_delay_before():
    walk = Walk(run(work, retries=3, base_delay=1, jitter="decorrelated"))
    walk.returns(Fail("no"), draw=0.5)
    assert walk.due == 2.0  # half way from 1 to 3·1
    walk.until(2.0).returns(Fail("no"), draw=0.5)
    assert walk.due - walk.now == 3.5  # half way from 1 to 3·2


def test_retry_after_stands_for_the_next_delay_only():
    walk = Walk(run(work, retries=3, base_delay=1))
    assert attempts(walk, Retry(after=5), Fail("no"), Retry(after=timedelta(seconds=2))) == [5, 1, 2]


@pytest.mark.parametrize(
    ("step", "end"),
    [
        (run(work, retries=1, base_delay=0), Fail("no")),
        (run(work, retries=1, max_delay=0), Fail("no")),
        (run(work, retries=1, base_delay=9), Retry(after=0)),
        (run(work, retries=1, jitter="full"), Fail("no")),
    ],
    ids=["base", "max", "after", "jitter"],
)
def test_a_delay_of_zero_still_passes_through_backoff(step, end):
    walk = Walk(step).returns(end)
    assert walk.trace[-1].endswith("--> running(attempt=2) through backoff")
    assert walk.done == (Invoke(1),)


@pytest.mark.parametrize("policy", [{"backoff": boom}, {"base_delay": boom}, {"max_delay": boom}])
def test_a_raising_delay_fails_the_step(policy):
    walk = Walk(run(work, retries=1, **policy)).returns(Fail("no"))
    assert walk.trace[-1] == "running(attempt=1) --failed--> failed through backoff"
    assert isinstance(walk.error, ZeroDivisionError)


def test_signals_apply_during_backoff():
    walk = Walk(run(work, retries=1, base_delay=1)).returns(Fail("no")).sets(n=1)
    assert (walk.at, walk.due, walk.state) == ("backoff(attempt=1)", 1.0, {"n": 1})
    walk.until(1.0)
    assert invocation(walk.machine, walk.snapshot, 0) == (work, ({"n": 1},))


# Attempts that take too long


def test_an_attempt_that_takes_too_long_is_cancelled_and_retried_when_it_has_settled():
    walk = Walk(run(work, retries=1, attempt_timeout=2, base_delay=1))
    assert walk.done == (SetTimer(2.0), Invoke(0))
    walk.until(2.0)
    assert (walk.at, walk.done) == ("cancelling", (SetTimer(7.0), Cancel(0)))
    walk.now = 3.0
    walk.settles()
    assert (walk.at, walk.done) == ("backoff(attempt=1)", (SetTimer(4.0),))
    walk.until(4.0)
    assert (walk.at, walk.done) == ("running(attempt=2)", (SetTimer(6.0), Invoke(1)))
    walk.until(6.0).settles()
    assert walk.trace[-2:] == ["running(attempt=2) --timed_out--> cancelling", "cancelling --settled--> failed"]
    assert [type(error) for error in walk.failure.attempts] == [StepTimeoutError, StepTimeoutError]
    assert walk.failure.machine_state == "running(attempt=2)"


def test_an_attempt_that_does_not_settle_is_abandoned_after_five_seconds():
    walk = Walk(run(work, attempt_timeout=2)).until(2.0)
    assert walk.until(6.9).at == "cancelling"
    assert walk.until(7.0).trace[-1] == "cancelling --abandoned--> failed"


@pytest.mark.parametrize("end", [Ok(n=1), Fail("late"), OSError("late"), 3], ids=repr)
def test_what_is_returned_after_the_cancel_is_dropped(end):
    walk = Walk(run(work, attempt_timeout=2)).until(2.0)
    walk.raises(end) if isinstance(end, Exception) else walk.returns(end)
    assert walk.trace[-1] == "cancelling --settled--> failed"
    assert isinstance(walk.error, StepTimeoutError)
    assert walk.state == {}


def test_retry_on_is_asked_about_a_timeout():
    assert Walk(run(work, retries=1, attempt_timeout=1, retry_on=OSError)).until(1).settles().at == "backoff(attempt=1)"
    assert Walk(run(work, retries=1, attempt_timeout=1, retry_on=ValueError)).until(1).settles().at == "failed"
    walk = Walk(run(work, retries=1, attempt_timeout=1, retry_on=boom)).until(1).settles()
    assert isinstance(walk.error, ZeroDivisionError)


def test_an_attempt_timeout_of_zero_rests_until_the_next_tick():
    walk = Walk(run(work, attempt_timeout=0))
    assert walk.at == "running(attempt=1)"
    assert walk.until(0).at == "cancelling"


# Stale and late


def test_what_comes_with_an_old_token_is_ignored():
    walk = Walk(run(work, retries=1, base_delay=0)).returns(Fail("no"))
    assert (walk.at, walk.token) == ("running(attempt=2)", 1)
    before = walk.snapshot
    for make in (events.returned, events.raised):
        assert walk.send(make(1.0, 0, OSError())).snapshot is before
    for make in (events.settled, events.abandoned):
        assert walk.send(make(1.0, 0)).snapshot is before
    assert walk.returns().at == "done"


def test_a_token_is_used_once_whatever_way_an_invoking_state_is_left():
    ways = {
        "returned": lambda walk: walk.returns(),
        "timed out": lambda walk: walk.until(1).settles(),
        "abandoned": lambda walk: walk.until(1).abandons(),
        "stopped": lambda walk: walk.stops().settles(),
        "failed": lambda walk: walk.raises(OSError()),
    }
    assert {way: leave(Walk(run(work, attempt_timeout=1))).token for way, leave in ways.items()} == dict.fromkeys(
        ways, 1
    )


def test_a_tick_that_was_planned_for_an_earlier_deadline_means_nothing():
    walk = Walk(debounce(1))
    walk.now = 0.5
    walk.signal()
    before = walk.snapshot
    assert walk.send(events.elapsed(now=1.2, due=1.0)).snapshot is before


# each


def items(*values, **options):
    return Walk(each("items", work, **options), state={"items": [*values]})


def test_each_calls_its_function_with_one_item_after_the_other():
    walk = items("a", "b", "c")
    called = []
    for outcome in (None, Skip("empty"), Ok(n=1)):
        called.append(invocation(walk.machine, walk.snapshot, 0))
        walk.returns(outcome)
    assert called == [(work, (item, {"items": ["a", "b", "c"]})) for item in "abc"]
    assert walk.trace == [
        "--start--> iterating(index=0)",
        "iterating(index=0) --succeeded--> iterating(index=1)",
        "iterating(index=1) --skipped--> iterating(index=2)",
        "iterating(index=2) --succeeded--> done",
    ]
    assert walk.state["n"] == 1


def test_the_items_are_taken_once():
    walk = items("a", "b").returns(Ok(items=[]))
    assert walk.at == "iterating(index=1)"
    assert invocation(walk.machine, walk.snapshot, 0) == (work, ("b", {"items": []}))


@pytest.mark.parametrize("nothing", [[], (), {}, "", range(0)], ids=repr)
def test_without_items_each_is_passed(nothing):
    walk = Walk(each("items", work), state={"items": nothing})
    assert walk.trace == ["--start--> done through iterating"]


@pytest.mark.parametrize(
    ("state", "message"),
    [
        ({"itms": []}, "dict has no field 'items'; it has: itms"),
        ({"items": 3}, "each goes through the items of 'items', but there is int, which has no items"),
    ],
)
def test_what_has_no_items_fails(state, message):
    walk = Walk(each("items", work), state=state)
    assert walk.trace == ["--start--> failed through iterating"]
    assert isinstance(walk.error, StateError)
    assert message in str(walk.error)


def test_every_item_has_its_own_retries():
    walk = items("a", "b", retries=1, base_delay=1)
    assert attempts(walk, Fail("1"), None, OSError("2"), Fail("3")) == [1, 1]
    assert walk.trace[1:] == [
        "iterating(index=0) --failed--> backoff(index=0, attempt=1)",
        "backoff(index=0, attempt=1) --elapsed--> iterating(index=0)",
        "iterating(index=0) --succeeded--> iterating(index=1)",
        "iterating(index=1) --failed--> backoff(index=1, attempt=1)",
        "backoff(index=1, attempt=1) --elapsed--> iterating(index=1)",
        "iterating(index=1) --failed--> failed",
    ]
    assert [error.args[0] for error in walk.failure.attempts] == ["2", "3"]


@pytest.mark.parametrize("end", [Abort("gone"), Retry(), 3, {"items": []}, wait(1), Ok(None)], ids=repr)
def test_each_fails_at_once(end):
    walk = items("a", "b", retries=3).returns(end)
    assert walk.at == "failed"
    assert walk.failure.path == "each[0]"
    assert walk.failure.machine_state == "iterating(index=0)"


def test_an_item_that_takes_too_long_is_tried_again():
    walk = items("a", "b", retries=1, attempt_timeout=2, base_delay=0).returns()
    walk.until(2.0).settles()
    assert walk.trace[-2:] == [
        "iterating(index=1) --timed_out--> cancelling",
        "cancelling --settled--> iterating(index=1) through backoff",
    ]
    assert walk.returns().at == "done"


def test_a_timeout_that_cannot_be_computed_for_the_next_item_fails():
    walk = Walk(each("items", work, attempt_timeout=lambda s: s["limit"]), state={"items": [1, 2], "limit": 1})
    walk.returns(Ok(limit=-1))
    assert walk.trace[-1] == "iterating(index=0) --succeeded--> failed through iterating"


# Signals that wait for a function


WAITED_FOR = {
    "running": lambda **options: Walk(run(work, **options)),
    "iterating": lambda **options: items("a", **options),
}
waited_for = pytest.mark.parametrize("make", WAITED_FOR.values(), ids=WAITED_FOR)
TWO = (add("seen", 1), add("seen", 2))


@waited_for
def test_postponed_signals_are_applied_to_what_the_function_returned(make):
    walk = make().returns(Ok({"seen": [0]}), postponed=TWO)
    assert (walk.at, walk.state["seen"]) == ("done", [0, 1, 2])


@waited_for
def test_postponed_signals_are_applied_before_the_next_attempt(make):
    walk = make(retries=1, base_delay=0).returns(Fail("no"), postponed=TWO)
    assert walk.done == (Invoke(1),)
    assert walk.state["seen"] == [1, 2]


@waited_for
def test_postponed_signals_are_applied_before_a_failure(make):
    for walk in (make().returns(Abort("no"), postponed=TWO), make().raises(OSError(), postponed=TWO)):
        assert (walk.at, walk.state["seen"]) == ("failed", [1, 2])


@waited_for
def test_postponed_signals_are_applied_when_the_function_is_cancelled(make):
    walk = make(attempt_timeout=1)
    walk.send(events.elapsed(1.0, 1.0, 0.0, apply_all(TWO)))
    assert (walk.at, walk.state["seen"]) == ("cancelling", [1, 2])
    walk = make().stops(postponed=TWO)
    assert (walk.at, walk.state["seen"]) == ("cancelling", [1, 2])


@waited_for
def test_a_postponed_signal_that_raises_changes_nothing(make):
    walk = make().returns(postponed=(TWO[0], boom, lambda state: None, TWO[1]))
    assert (walk.at, walk.state["seen"]) == ("done", [1, 2])


def test_postponed_signals_are_applied_before_the_next_condition_is_asked():
    walk = Walk(run(work), wait_until(on)).returns(postponed=[lambda state: {**state, "on": True}])
    assert walk.trace[-1] == "running(attempt=1) --succeeded--> done through waiting"


def test_what_became_of_postponed_signals_is_told_to_who_listens():
    told = []

    class Told(Postponed):
        def applied(self, signal, old, new):
            told.append((signal[3], old, new))

        def rejected(self, signal, error):
            told.append((signal[3], type(error)))

    def plus(state, n):
        return state + n

    signals = [(plus, (1,), None, "one", None), (plus, (), {"n": 2}, "two", None), (boom, (), None, "bad", None)]
    assert Told(signals)(0) == 3
    assert told == [("one", 0, 1), ("two", 1, 3), ("bad", ZeroDivisionError)]
    assert Postponed(signals)(0) == 3  # as a replay applies them: nobody is told
    assert len(told) == 3


# parallel


def test_results_come_in_the_order_of_the_tasks():
    walk = Walk(parallel([work, work, work], "got"))
    assert walk.done == (Invoke(0, 0), Invoke(0, 1), Invoke(0, 2))
    walk.returns("c", index=2).returns("a", index=0).returns("b", index=1)
    assert walk.trace == [
        "--start--> gathering",
        "gathering --task_succeeded--> gathering",
        "gathering --task_succeeded--> gathering",
        "gathering --succeeded--> done",
    ]
    assert walk.state == {"got": ["a", "b", "c"]}
    assert walk.token == 1


def test_a_mapping_of_tasks_gives_a_mapping_of_results():
    walk = Walk(parallel({"x": work, "y": work}, "got")).returns(2, index=1).returns(1, index=0)
    assert list(walk.state["got"].items()) == [("x", 1), ("y", 2)]


@pytest.mark.parametrize(
    ("tasks", "empty"),
    [([], []), ({}, {}), (lambda state: [], []), (lambda state: {}, {}), (lambda state: iter(()), [])],
)
def test_without_tasks_parallel_gives_an_empty_result(tasks, empty):
    walk = Walk(parallel(tasks, "got"))
    assert walk.trace == ["--start--> done through gathering"]
    assert walk.state == {"got": empty}


def test_a_function_of_the_state_gives_the_tasks():
    walk = Walk(parallel(lambda state: dict.fromkeys(state["names"], work), "got"), state={"names": "ab"})
    assert walk.done == (Invoke(0, 0), Invoke(0, 1))
    assert invocation(walk.machine, walk.snapshot, 1) == (work, ())
    assert walk.returns(1).returns(2, index=1).state["got"] == {"a": 1, "b": 2}


BAD_TASKS = {
    "None": lambda state: None,
    "a text": lambda state: "work",
    "an awaitable": lambda state: later(),
    "a result": lambda state: [3],
    "an awaitable inside": lambda state: [later()],
    "a result inside a mapping": lambda state: {"a": 3},
    "raises": boom,
}


@pytest.mark.parametrize("step", [parallel, race])
@pytest.mark.parametrize("tasks", BAD_TASKS.values(), ids=BAD_TASKS)
def test_what_builds_no_tasks_fails_the_step(step, tasks):
    walk = Walk(step(tasks, "got"))
    assert walk.at == "failed"
    assert isinstance(walk.error, ZeroDivisionError if tasks is boom else InvalidOutcomeError)


def test_limit_bounds_how_many_run_at_once():
    walk = Walk(parallel([work] * 4, "got", limit=2))
    invoked = [walk.done]
    for index in (1, 0, 2, 3):
        walk.returns(index, index=index)
        invoked.append(walk.done)
    assert invoked == [(Invoke(0, 0), Invoke(0, 1)), (Invoke(0, 2),), (Invoke(0, 3),), (), (End("done"),)]
    assert walk.state == {"got": [0, 1, 2, 3]}


def test_the_first_failure_cancels_the_rest_and_fails_with_a_group():
    error = OSError("503")
    walk = Walk(parallel([work] * 3, "got", limit=2)).returns("a", index=1).raises(error, index=0)
    assert (walk.at, walk.done) == ("cancelling", (SetTimer(5.0), Cancel(0)))
    walk.returns("late", index=2)
    assert walk.trace[-2:] == ["gathering --failed--> cancelling", "cancelling --settled--> failed"]
    assert isinstance(walk.error, ExceptionGroup)
    assert walk.error.exceptions == (error,)
    assert walk.failure.path == "parallel[0]"
    assert walk.state == {}


def test_cancelling_waits_for_every_task_that_is_in_flight():
    walk = Walk(parallel([work] * 3, "got")).returns(Abort("no"), index=1).settles(0).abandons(2)
    assert walk.trace[-3:] == [
        "gathering --failed--> cancelling",
        "cancelling --task_settled--> cancelling",
        "cancelling --abandoned--> failed",
    ]


def test_the_last_task_that_fails_leaves_nothing_to_cancel():
    walk = Walk(parallel([work] * 2, "got")).returns(1).returns(Fail("no"), index=1)
    assert walk.trace[-1] == "gathering --failed--> failed"
    assert [error.reason for error in walk.error.exceptions] == ["no"]


def test_collect_puts_failures_in_their_places():
    error = OSError("503")
    walk = Walk(parallel([work] * 4, "got", on_error="collect"))
    walk.raises(error, index=3).returns(Fail("no"), index=1).returns(Abort("gone"), index=0).returns("c", index=2)
    assert walk.trace[1:] == [
        "gathering --task_failed--> gathering",
        "gathering --task_failed--> gathering",
        "gathering --task_failed--> gathering",
        "gathering --succeeded--> done",
    ]
    assert walk.state == {"got": [Fail("gone"), Fail("no"), "c", Fail(error)]}


@pytest.mark.parametrize("value", [Ok(1), Retry(), Skip(), wait(1)], ids=lambda value: type(value).__name__)
@pytest.mark.parametrize("step", [parallel, race])
def test_an_outcome_is_no_value_of_a_task(step, value):
    walk = Walk(step([work], "got")).returns(value)
    assert [type(error) for error in walk.error.exceptions] == [InvalidOutcomeError]
    assert f"a task returned a {type(value).__name__}" in str(walk.error.exceptions[0])


@pytest.mark.parametrize("value", [None, 3, {"n": 1}, [], False, OSError("a value"), later], ids=repr)
def test_any_other_value_is_one(value):
    assert Walk(parallel([work], "got")).returns(value).state == {"got": [value]}
    assert Walk(race([work], "got")).returns(value).state == {"got": value}


def test_tasks_that_take_too_long_are_cancelled_and_fail():
    walk = Walk(parallel([work] * 2, "got", timeout=2)).returns(1)
    assert walk.until(2.0).trace[-1] == "gathering --timed_out--> cancelling"
    assert walk.settles(1).trace[-1] == "cancelling --settled--> failed"
    assert isinstance(walk.error, StepTimeoutError)


def test_a_timeout_of_zero_rests_until_the_next_tick():
    walk = Walk(parallel([work], "got", timeout=0))
    assert walk.at == "gathering"
    assert walk.until(0).at == "cancelling"


@pytest.mark.parametrize("step", [parallel, race])
def test_results_are_stored_in_the_state_of_that_moment(step):
    walk = Walk(step([work], "got"), state={"n": 0}).sets(n=1).returns("a")
    assert walk.state == {"n": 1, "got": ["a"] if step is parallel else "a"}


@dataclass(frozen=True)
class Strict:
    got: object = None

    def __post_init__(self):
        if self.got:
            raise LookupError("not this one")


@pytest.mark.parametrize("step", [parallel, race])
@pytest.mark.parametrize(("state", "error"), [(3, StateError), (Strict(), LookupError)])
def test_a_state_that_cannot_take_the_result_fails_the_step(step, state, error):
    walk = Walk(step([work, work], "got"), state=state).returns("a", index=1).returns("b").settles()
    assert walk.at == "failed"
    assert type(walk.error) is error


# race


def test_a_race_ends_with_the_first_success():
    walk = Walk(race([work] * 3, "got")).returns(Fail("no"), index=0).returns("b", index=1)
    assert (walk.at, walk.done) == ("cancelling", (SetTimer(5.0), Cancel(0)))
    assert walk.returns("late", index=2).state == {"got": "b"}
    assert walk.trace[1:] == [
        "racing --task_failed--> racing",
        "racing --succeeded--> cancelling",
        "cancelling --settled--> done",
    ]


def test_the_last_in_a_race_may_win():
    walk = Walk(race([work] * 2, "got")).raises(OSError()).returns("b", index=1)
    assert walk.trace[-1] == "racing --succeeded--> done"


def test_a_race_that_nobody_wins_fails_with_all_failures_in_the_order_of_the_tasks():
    error = OSError("503")
    walk = Walk(race({"x": work, "y": work, "z": work}, "got"))
    walk.raises(error, index=2).returns(Abort("gone"), index=0).returns(Fail("no"), index=1)
    assert walk.trace[-1] == "racing --failed--> failed"
    assert isinstance(walk.error, ExceptionGroup)
    assert [getattr(one, "reason", one) for one in walk.error.exceptions] == ["gone", "no", error]


@pytest.mark.parametrize("tasks", [[], {}, lambda state: []])
def test_a_race_without_tasks_fails(tasks):
    walk = Walk(race(tasks, "got"))
    assert walk.trace == ["--start--> failed through racing"]
    assert isinstance(walk.error, StepFailedError)


def test_a_race_that_takes_too_long_fails():
    walk = Walk(race([work] * 2, "got", timeout=2)).until(2.0).settles(0).settles(1)
    assert walk.trace[1:] == [
        "racing --timed_out--> cancelling",
        "cancelling --task_settled--> cancelling",
        "cancelling --settled--> failed",
    ]
    assert isinstance(walk.error, StepTimeoutError)


# repeat


def count(state):
    return {**state, "n": state.get("n", 0) + 1}


@pytest.mark.parametrize(
    ("options", "rounds"),
    [
        ({"times": 0}, 0),
        ({"times": 1}, 1),
        ({"times": 3}, 3),
        ({"until": lambda s: s["n"] >= 2}, 2),
        ({"until": lambda s: True}, 1),  # asked after a round, not before
        ({"times": 3, "until": lambda s: s["n"] >= 2}, 2),
        ({"times": 3, "until": lambda s: s["n"] >= 9}, 3),
    ],
)
def test_the_rounds_of_a_repeat(options, rounds):
    walk = Walk(repeat(set_state(count), **options))
    assert (walk.at, walk.state.get("n", 0)) == ("done", rounds)


def test_an_inner_loop_counts_anew_in_every_round():
    walk = Walk(repeat(repeat(set_state(count), times=3), repeat(set_state(count), times=2), times=4))
    assert walk.state == {"n": 4 * (3 + 2)}


def test_an_endless_repeat_goes_on():
    walk = Walk(repeat(set_state(count), wait(1)))
    for now in range(1, 5):
        walk.until(now)
    assert (walk.at, walk.state) == ("sleeping", {"n": 5})
    assert walk.trace[-1] == "sleeping --elapsed--> sleeping through again, set_state"


def test_an_until_that_raises_fails():
    walk = Walk(repeat(set_state(count), until=boom))
    assert walk.trace == ["--start--> failed through set_state, again"]
    assert isinstance(walk.error, ZeroDivisionError)


def test_a_loop_that_never_rests_yields_at_its_head():
    walk = Walk(repeat(set_state(count), times=1_002))
    assert (walk.at, walk.state, walk.done) == ("again", {"n": 500}, (Yield(),))  # a round is two states
    assert walk.sets(seen=True).done == (Yield(),)
    assert walk.resumes().state == {"n": 1_000, "seen": True}
    assert walk.done == (Yield(),)
    assert walk.resumes().state == {"n": 1_002, "seen": True}
    assert walk.trace[3] == "again --resumed--> done through set_state, again, set_state, again"


# stop


def test_stop_in_flight_waits_for_the_function():
    walk = Walk(run(work)).stops()
    assert (walk.at, walk.done) == ("cancelling", (SetTimer(5.0), Cancel(0)))
    assert walk.returns(Ok(n=1)).trace[-1] == "cancelling --settled--> stopped"
    assert (walk.state, walk.failure) == ({}, None)


def test_stop_while_cancelling_goes_another_way():
    walk = Walk(run(work, retries=5, attempt_timeout=1)).until(1).stops().stops().settles()
    assert walk.trace[2:] == [
        "cancelling --stop--> cancelling",
        "cancelling --stop--> cancelling",
        "cancelling --settled--> stopped",
    ]


def test_stop_cancels_the_timer():
    walk = Walk(wait(1)).stops()
    assert walk.done == (SetTimer(FOREVER), End("stopped"))


def test_stop_waits_for_every_task():
    walk = Walk(parallel([work] * 3, "got", limit=2)).stops().settles(1).settles(0)
    assert walk.trace[1:] == [
        "gathering --stop--> cancelling",
        "cancelling --task_settled--> cancelling",
        "cancelling --settled--> stopped",
    ]


# Effects


@pytest.mark.parametrize(
    ("walk", "expected"),
    [
        (Walk(wait(1)), (SetTimer(1.0),)),
        (Walk(wait_until(on)), ()),
        (Walk(run(work)), (Invoke(0),)),
        (Walk(run(work, attempt_timeout=1)), (SetTimer(1.0), Invoke(0))),
        (Walk(parallel([work] * 3, "got", limit=2)), (Invoke(0, 0), Invoke(0, 1))),
        (Walk(set_state(n=1)), (End("done"),)),
        (Walk(fail("no")), (End("failed"),)),
        (Walk(wait(1), wait(1)).until(1), (SetTimer(2.0),)),
        (Walk(wait(1)).signal(), ()),
        (Walk(wait(1), run(work)).until(1), (SetTimer(FOREVER), Invoke(0))),
        (Walk(run(work, name="a"), run(work, name="b")).returns(), (Invoke(1),)),
        (Walk(repeat(run(work))).returns(), (Invoke(1),)),
        (Walk(run(work)).stops().stops(), ()),
    ],
)
def test_effects_are_what_differs_between_two_snapshots(walk, expected):
    assert walk.done == expected


def test_without_a_difference_there_is_nothing_to_do():
    for make, _ in KINDS.values():
        walk = make()
        again = (Yield(),) if walk.at == "again" else ()
        end = (End(walk.at),) if walk.at in ("done", "failed", "stopped") else ()
        assert effects(walk.machine, walk.snapshot, walk.snapshot) == again + end


def test_functions_get_a_copy_of_a_dict():
    walk = Walk(run(work), state={"n": 1})
    _, (given,) = invocation(walk.machine, walk.snapshot, 0)
    given["n"] = 2
    assert walk.state == {"n": 1}


# Snapshots


@pytest.mark.parametrize("kind", KINDS)
def test_a_snapshot_is_plain_data_that_can_be_compared_copied_and_pickled(kind):
    make, _ = KINDS[kind]
    walk = make()
    assert type(walk.snapshot) is tuple
    assert copy.deepcopy(walk.snapshot)[:5] == walk.snapshot[:5]
    thawed = pickle.loads(pickle.dumps(walk.snapshot))  # noqa: S301 - our own
    assert repr(thawed) == repr(walk.snapshot)
    if walk.failure is None and kind not in (
        "backoff",
        "cancelling",
    ):  # those hold exceptions, equal to themselves only
        assert thawed == walk.snapshot == make().snapshot


def test_a_run_goes_on_from_a_thawed_snapshot():
    walk = Walk(run(work, retries=1, base_delay=1), wait(1)).returns(Fail("no"))
    walk.snapshot = pickle.loads(pickle.dumps(walk.snapshot))  # noqa: S301 - our own
    assert walk.until(1.0).returns().until(2.0).at == "done"


def test_describe_gives_a_snapshot_to_read():
    walk = Walk(repeat(run(work, attempt_timeout=3), times=2), state={"n": 1}).returns()
    found = describe(walk.machine, walk.snapshot)
    assert (found.machine_state, found.state, found.due, found.token) == ("running(attempt=1)", {"n": 1}, 3.0, 1)
    assert (found.registers, found.failure) == ((1,), None)
    failed = Walk(fail("no"))
    assert describe(failed.machine, failed.snapshot).failure is failed.failure


# Purity


def test_the_same_input_gives_the_same_output_and_stays_as_it_is():
    walk = Walk(run(work, retries=3, base_delay=1, jitter="full"), state={"deep": [1]})
    frozen = copy.deepcopy(walk.snapshot)
    event = events.returned(4.0, 0, Retry(n=1), draw=0.25, apply=apply_all(TWO))
    first, second = (advance(walk.machine, walk.snapshot, event) for _ in range(2))
    assert walk.snapshot == frozen
    assert first is not second
    assert first[:5] == second[:5] == (1, {"deep": [1], "n": 1, "seen": [1, 2]}, 4.25, 1, ())
    assert repr(first) == repr(second)


def test_a_record_changes_nothing():
    for make, _ in KINDS.values():
        for event in EVENTS.values():
            walk = make()
            try:
                event(walk)  # sends with a record, then without one, and compares
            except PostponedSignalError:
                continue
            assert walk.trace
