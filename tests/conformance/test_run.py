"""`run`: outcomes, retries, backoff, timeouts. And what the function may be."""

import asyncio

import pytest

from caravela import (
    Abort,
    Fail,
    FlowError,
    InvalidOutcomeError,
    Ok,
    RetriesExhaustedError,
    Retry,
    Skip,
    StateError,
    StepFailedError,
    StepTimeoutError,
    debounce,
    flow,
    run,
    wait,
    wait_until,
)
from tests.conformance.functions import Held

LONG = 300.0
CUT_AFTER = 0.2  # by then a function has begun, on a busy machine too

GOES_ON = "running(attempt=1) --succeeded--> done"
FAILS = "running(attempt=1) --failed--> failed"
FAILS_AFTER_TWO = "running(attempt=1) --failed--> backoff(attempt=1) --elapsed--> running(attempt=2) --failed--> failed"
SECOND_GOES_ON = "running(attempt=1) --failed--> backoff(attempt=1) --elapsed--> running(attempt=2) --succeeded--> done"


def started(stage, work, *, state=None, **options):
    return stage.start(flow("f", run(work, **options), initial_state={"n": 0} if state is None else state))


# What the function does, the options of `run`, the path, and the final state.
OUTCOMES = {
    "None goes on": ([None], {}, GOES_ON, {"n": 0}),
    "Ok() goes on": ([Ok()], {}, GOES_ON, {"n": 0}),
    "Ok(state) gives the state": ([Ok({"n": 1})], {}, GOES_ON, {"n": 1}),
    "Ok(field=...) changes the field": ([Ok(n=2)], {}, GOES_ON, {"n": 2}),
    "a value is collected": ([7], {"collect_as": "n"}, GOES_ON, {"n": 7}),
    "None is collected as nothing": ([None], {"collect_as": "n"}, GOES_ON, {"n": 0}),
    "Ok comes before collecting": ([Ok(n=3)], {"collect_as": "n"}, GOES_ON, {"n": 3}),
    "Fail is retried": ([Fail("x"), Ok(n=1)], {"retries": 1, "base_delay": 0.005}, SECOND_GOES_ON, {"n": 1}),
    "a raise is retried": ([OSError(), None], {"retries": 1, "base_delay": 0.005}, SECOND_GOES_ON, {"n": 0}),
    "Retry keeps its state": (
        [Retry({"n": 5}), lambda state: Ok(n=state["n"] + 1)],
        {"retries": 1, "base_delay": 0.005},
        SECOND_GOES_ON.replace("failed", "retried", 1),
        {"n": 6},
    ),
    "a delay of 0 passes through backoff": (
        [Fail("x"), None],
        {"retries": 1, "base_delay": 0},
        "running(attempt=1) --failed--> running(attempt=2) --succeeded--> done",
        {"n": 0},
    ),
    "no limit of retries": (
        [*[Fail("x")] * 7, None],
        {"retries": None, "base_delay": 0},
        "".join(f"running(attempt={n}) --failed--> " for n in range(1, 8)) + "running(attempt=8) --succeeded--> done",
        {"n": 0},
    ),
}


@pytest.mark.parametrize("rule", OUTCOMES)
def test_an_outcome_that_goes_on(stage, form, rule):
    outcomes, options, path, state = OUTCOMES[rule]
    play = started(stage, stage.function(form, *outcomes), **options)
    assert play.result() == state
    assert play.path == path


def test_a_delay_of_zero_passes_through_backoff_by_name(stage, form):
    play = started(stage, stage.function(form, Fail("x"), None), retries=1, base_delay=0)
    play.result()
    assert play.records[1].passed == ("backoff",)


BOOM = ValueError("boom")
LATE = KeyError("late")

# What the function does, the options, the path, the reason, the type of the cause, and the reasons of the attempts.
FAILURES = {
    "Fail fails": ([Fail("text")], {}, FAILS, "text", StepFailedError, 1),
    "Fail with an exception fails with it": ([Fail(BOOM)], {}, FAILS, BOOM, ValueError, 1),
    "a raise fails": ([BOOM], {}, FAILS, BOOM, ValueError, 1),
    "the last attempt is the reason": (
        [BOOM, LATE],
        {"retries": 1, "base_delay": 0.005},
        FAILS_AFTER_TWO,
        LATE,
        KeyError,
        2,
    ),
    "Abort is not retried": ([Abort("no")], {"retries": 3}, FAILS, "no", StepFailedError, 1),
    "a raise that does not match is not retried": (
        [BOOM],
        {"retries": 3, "retry_on": OSError},
        FAILS,
        BOOM,
        ValueError,
        1,
    ),
    "a predicate decides what is retried": (
        [BOOM, LATE],
        {"retries": 3, "retry_on": lambda error: isinstance(error, ValueError), "base_delay": 0.005},
        FAILS_AFTER_TWO,
        LATE,
        KeyError,
        2,
    ),
    "KeyboardInterrupt is not retried": (
        [KeyboardInterrupt()],
        {"retries": 3, "retry_on": BaseException},
        FAILS,
        None,
        KeyboardInterrupt,
        1,
    ),
    "SystemExit is not retried": (
        [SystemExit(1)],
        {"retries": 3, "retry_on": BaseException},
        FAILS,
        None,
        SystemExit,
        1,
    ),
    "CancelledError is not retried": (
        [asyncio.CancelledError()],
        {"retries": 3, "retry_on": BaseException},
        FAILS,
        None,
        asyncio.CancelledError,
        1,
    ),
    "a value without collect_as is invalid": ([7], {"retries": 3}, FAILS, None, InvalidOutcomeError, 1),
    "Skip is invalid": ([Skip("x")], {"retries": 3}, FAILS, None, InvalidOutcomeError, 1),
    "Skip is not collected": ([Skip("x")], {"collect_as": "n"}, FAILS, None, InvalidOutcomeError, 1),
    "a step is invalid": ([lambda _: wait(1)], {"collect_as": "n"}, FAILS, None, InvalidOutcomeError, 1),
    "Ok(None) is no state": ([Ok(None)], {"retries": 3}, FAILS, None, StateError, 1),
    "Retry without retries left is exhausted": (
        [Retry()],
        {"retries": 0},
        "running(attempt=1) --retried--> failed",
        None,
        RetriesExhaustedError,
        1,
    ),
    "a negative after is no duration": ([Retry(after=-1)], {"retries": 3}, FAILS, None, StateError, 1),
    "a raising backoff fails": (
        [BOOM],
        {"retries": 3, "backoff": lambda k: 1 / 0},
        FAILS,
        None,
        ZeroDivisionError,
        1,
    ),
    "a raising predicate of retry_on fails": (
        [BOOM],
        {"retries": 3, "retry_on": lambda error: 1 / 0},
        FAILS,
        None,
        ZeroDivisionError,
        1,
    ),
}


@pytest.mark.parametrize("rule", FAILURES)
def test_an_outcome_that_fails(stage, form, rule):
    outcomes, options, path, reason, cause, attempts = FAILURES[rule]
    work = stage.function(form, *outcomes)
    play = started(stage, work, **options)
    with pytest.raises(FlowError) as caught:
        play.result()
    error = caught.value
    assert play.path == path
    assert type(error.__cause__) is cause
    assert error.reason == (error.__cause__ if reason is None else reason)
    assert error.step.startswith("run[0]")
    assert len(work.calls) == len(error.attempts) == attempts
    assert error.attempts[0] is not None


def test_the_errors_of_all_attempts_are_kept_in_order(stage, form):
    outcomes = [Fail("one"), OSError("two"), Retry(), Abort("four")]
    play = started(stage, stage.function(form, *outcomes), retries=9, base_delay=0)
    with pytest.raises(FlowError) as caught:
        play.result()
    assert [error.args[0] for error in caught.value.attempts] == [
        "one",
        "two",
        "the function asked for a retry",
        "four",
    ]
    assert caught.value.reason == "four"
    assert caught.value.machine_state == "running(attempt=4)"
    assert caught.value.__cause__ is caught.value.attempts[-1]


def test_the_state_of_the_last_retry_is_on_the_failure(stage, form):
    play = started(stage, stage.function(form, Retry(n=1), Retry(n=2)), retries=1, base_delay=0)
    with pytest.raises(FlowError) as caught:
        play.result()
    assert caught.value.state == {"n": 2}


def test_an_awaitable_that_nobody_awaits_is_invalid(stage):
    async def fetch(state):
        return None

    play = started(stage, lambda state: fetch(state))  # noqa: PLW0108 - the mistake itself
    with pytest.raises(FlowError) as caught:
        play.result()
    assert isinstance(caught.value.__cause__, InvalidOutcomeError)


# The options of `run`, and the delays before the first three retries.
DELAYS = {
    "constant": ({"base_delay": 0.002}, [0.002, 0.002, 0.002]),
    "linear": ({"base_delay": 0.002, "backoff": "linear"}, [0.002, 0.004, 0.006]),
    "exponential": ({"base_delay": 0.002, "backoff": "exponential"}, [0.002, 0.004, 0.008]),
    "a function": ({"backoff": lambda k: k / 500}, [0.002, 0.004, 0.006]),
    "a function of the state": ({"base_delay": lambda s: s["n"] + 0.003}, [0.003, 0.003, 0.003]),
    "max_delay caps": ({"base_delay": 0.002, "backoff": "exponential", "max_delay": 0.003}, [0.002, 0.003, 0.003]),
}


@pytest.mark.parametrize("rule", DELAYS)
def test_the_delays_before_retries(stage, rule):
    options, delays = DELAYS[rule]
    play = started(stage, stage.function("plain", Fail("x"), Fail("x"), Fail("x"), None), retries=3, **options)
    play.result()
    assert play.timers == delays


def test_after_overrides_the_next_delay_only(stage, form):
    play = started(stage, stage.function(form, Retry(after=0.003), Fail("x"), None), retries=3, base_delay=0.005)
    play.result()
    assert play.timers == [0.003, 0.005]


@pytest.mark.parametrize("jitter", ["full", "equal", "decorrelated"])
def test_jitter_stays_in_its_bounds_and_is_seeded(stage, jitter):
    low, high = {"full": (0, 0.01), "equal": (0.005, 0.01), "decorrelated": (0.01, 0.27)}[jitter]
    play = started(stage, stage.function("plain", *[Fail("x")] * 3, None), retries=3, base_delay=0.01, jitter=jitter)
    play.result()
    assert all(low <= delay <= high for delay in play.timers)
    assert len(set(play.timers)) == 3


def test_signals_in_backoff_apply_at_once(stage):
    play = started(stage, stage.function("plain", Fail("x")), retries=1, base_delay=LONG)
    play.reach("backoff(attempt=1)")
    assert play.update(n=5) == {"n": 5}
    assert play.runner.machine_state == "backoff(attempt=1)"
    assert play.timers == [LONG]


CUT = {
    "plain": "running(attempt=1) --timed_out--> cancelling --abandoned--> failed",
    "async": "running(attempt=1) --timed_out--> cancelling --settled--> failed",
}


def test_an_attempt_that_takes_too_long_is_cut(stage, form):
    work = stage.function(form, Held())
    play = started(stage, work, attempt_timeout=CUT_AFTER)
    with pytest.raises(FlowError) as caught:
        play.result()
    work.release()
    assert isinstance(caught.value.reason, StepTimeoutError)
    assert play.path == CUT[form]
    assert play.timers[0] == CUT_AFTER


def test_a_cut_attempt_is_retried_like_a_raise(stage, form):
    work = stage.function(form, Held(Ok(n=1)), Ok(n=2))
    play = started(stage, work, attempt_timeout=CUT_AFTER, retries=1, base_delay=0.005)
    assert play.result() == {"n": 2}
    work.release()
    assert play.path == CUT[form].replace(
        "failed", "backoff(attempt=1) --elapsed--> running(attempt=2) --succeeded--> done"
    )


def test_a_cut_attempt_is_not_retried_if_retry_on_says_so(stage, form):
    work = stage.function(form, Held())
    play = started(stage, work, attempt_timeout=CUT_AFTER, retries=3, retry_on=KeyError)
    play.ends()
    work.release()
    assert len(work.calls) == 1
    assert play.path == CUT[form]


def test_postponed_signals_are_applied_in_order_before_anything_else(stage, form):
    work = stage.function(form, Held(Ok(log="ran ")))
    steps = (run(work), wait_until(lambda s: s["log"].endswith("c ")))
    play = stage.start(flow("f", *steps, initial_state={"log": ""}, signals={"note": note}))
    work.begun()
    for word in "abc":
        play.signal("note", word)
    assert play.runner.get_state() == {"log": ""}
    work.release()
    assert play.result() == {"log": "ran a b c "}
    assert play.path == "running(attempt=1) --succeeded--> done"
    assert play.records[1].signals == ("note",) * 3
    assert [state["log"] for _, state in play.told] == ["ran ", "ran a ", "ran a b ", "ran a b c ", "ran a b c "]


def note(state, word):
    return {"log": f"{state['log']}{word} "}


@pytest.mark.parametrize("outcome", [Fail("x"), Retry(log="ran "), OSError("x")], ids=repr)
def test_postponed_signals_are_applied_before_a_retry_begins(stage, form, outcome):
    work = stage.function(form, Held(outcome), lambda state: Ok(log=state["log"] + "again "))
    play = stage.start(flow("f", run(work, retries=1, base_delay=0), initial_state={"log": ""}))
    work.begun()
    play.signal(note, "a")
    work.release()
    assert play.result()["log"].endswith("a again ")


def test_postponed_signals_are_applied_when_an_attempt_is_cut(stage, form):
    work = stage.function(form, Held())
    play = stage.start(flow("f", run(work, attempt_timeout=CUT_AFTER), debounce(0), initial_state={"log": ""}))
    work.begun()
    play.signal(note, "a")
    play.ends()
    work.release()
    assert play.runner.get_state() == {"log": "a "}


def test_a_function_gets_a_copy_of_a_dict(stage, form):
    def spoil(state):
        state["n"] = 99
        raise OSError

    play = started(stage, stage.function(form, spoil))
    play.ends()
    assert play.runner.get_state() == {"n": 0}
