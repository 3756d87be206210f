"""The steps that wait, repeat, change the state and fail."""

from dataclasses import dataclass
from datetime import timedelta

import pytest

from caravela import (
    FlowError,
    Ok,
    StateError,
    StepFailedError,
    StepTimeoutError,
    debounce,
    evolve,
    fail,
    flow,
    repeat,
    run,
    sequence,
    set_state,
    wait,
    wait_until,
)
from tests.conformance.functions import Held

LONG = 300.0  # a window in which nothing elapses while a test runs


def add(state, n=1):
    return state + n


def nothing(state):
    return state


# Steps on a state that is a number: the flow, where it ends, and the final state.
ENDS = {
    "a sequence runs its steps in order": (
        [set_state(add), sequence(set_state(lambda n: n * 10), set_state(add))],
        "done",
        11,
    ),
    "a repeat of 0 times runs nothing": ([repeat(set_state(add), times=0)], "done", 0),
    "a repeat runs its steps so many times": ([repeat(set_state(add), times=3)], "done", 3),
    "repeats nest": ([repeat(repeat(set_state(add), times=3), times=4)], "done", 12),
    "until is asked after a round": ([repeat(set_state(add), until=lambda n: True)], "done", 1),
    "until ends a repeat": ([repeat(set_state(add), until=lambda n: n >= 5)], "done", 5),
    "times ends a repeat before until": ([repeat(set_state(add), times=2, until=lambda n: n >= 5)], "done", 2),
    "until ends a repeat before times": ([repeat(set_state(add), times=9, until=lambda n: n >= 5)], "done", 5),
    "a wait of 0 is passed": ([wait(0)], "done", 0),
    "a predicate that holds is passed": ([wait_until(lambda n: n == 0)], "done", 0),
    "a predicate is asked before a timeout of 0": ([wait_until(lambda n: n == 0, timeout=0)], "done", 0),
    "a wait rests in sleeping": ([wait(0.01)], "sleeping --elapsed--> done", 0),
    "a wait takes a timedelta": ([wait(timedelta(milliseconds=10))], "sleeping --elapsed--> done", 0),
    "a wait takes a function of the state": ([wait(lambda n: n / 100)], "done", 0),
    "a debounce without signals elapses": ([debounce(0.01)], "debouncing --elapsed--> done", 0),
    "a debounce of 0 still rests": ([debounce(0)], "debouncing --elapsed--> done", 0),
    "waits follow each other": ([repeat(wait(0.005), times=2)], "sleeping --elapsed--> sleeping --elapsed--> done", 0),
}


@pytest.mark.parametrize("rule", ENDS)
def test_a_flow_comes_to_its_end(stage, rule):
    steps, path, state = ENDS[rule]
    play = stage.start(flow("f", *steps, initial_state=0))
    assert play.result() == state
    assert play.path == path


def raises(*_):
    raise ZeroDivisionError


# What a step's own function does wrong, and the failure that comes of it.
FAILURES = {
    "set_state raises": ([set_state(raises)], ZeroDivisionError),
    "set_state gives None": ([set_state(lambda n: None)], StateError),
    "set_state gives an outcome": ([set_state(lambda n: Ok())], StateError),
    "set_state gives a step": ([set_state(lambda n: wait(1))], StateError),
    "set_state names a field of a state without fields": ([set_state(dirty=True)], StateError),
    "a predicate raises": ([wait_until(raises)], ZeroDivisionError),
    "a duration raises": ([wait(raises)], ZeroDivisionError),
    "a duration is negative": ([wait(lambda n: -1)], StateError),
    "a duration is no number": ([debounce(lambda n: "soon")], StateError),
    "a duration is infinite": ([debounce(1, max_wait=lambda n: float("inf"))], StateError),
    "a timeout raises": ([wait_until(lambda n: False, timeout=raises)], ZeroDivisionError),
    "until raises": ([repeat(set_state(add), until=raises)], ZeroDivisionError),
    "fail fails": ([fail("no such book")], StepFailedError),
    "fail with an exception fails with it": ([fail(KeyError("book"))], KeyError),
    "a timeout runs out": ([wait_until(lambda n: False, timeout=0.01)], StepTimeoutError),
    "a timeout of 0 runs out": ([wait_until(lambda n: False, timeout=0)], StepTimeoutError),
}


@pytest.mark.parametrize("rule", FAILURES)
def test_a_raising_or_wrong_function_fails_its_step(stage, rule):
    steps, error = FAILURES[rule]
    play = stage.start(flow("f", sequence(*steps), initial_state=0))
    with pytest.raises(FlowError) as caught:
        play.result()
    assert type(caught.value.__cause__) is error
    assert caught.value.step.startswith("sequence[0]")
    assert play.records[-1].target == "failed"


def test_signals_do_not_shorten_a_wait(stage):
    play = stage.start(flow("f", wait(LONG), initial_state=0))
    assert play.update(add) == 1
    assert play.timers == [LONG]
    assert play.runner.machine_state == "sleeping"


def test_a_wait_is_never_shorter_than_asked(stage):
    play = stage.start(flow("f", wait(0.03), initial_state=0))
    play.result()
    started, elapsed = play.records
    assert elapsed.time - started.time >= 0.03


def test_a_predicate_is_asked_after_every_signal(stage):
    play = stage.start(flow("f", wait_until(lambda n: n >= 2), set_state(lambda n: n * 10), initial_state=0))
    play.signal(add)
    play.signal(add)
    assert play.result() == 20
    assert play.path == "waiting --signal--> waiting --signal--> done"
    assert play.records[-1].passed == ("set_state",)


def test_a_predicate_that_raises_after_a_signal_fails_the_step(stage):
    play = stage.start(flow("f", wait_until(lambda n: 1 / (n - 1) > 0), initial_state=0))
    play.signal(add)
    with pytest.raises(FlowError) as caught:
        play.result()
    assert isinstance(caught.value.__cause__, ZeroDivisionError)
    assert caught.value.machine_state == "waiting"


def test_a_signal_does_not_move_the_timeout_of_a_wait_until(stage):
    play = stage.start(flow("f", wait_until(lambda n: False, timeout=LONG), initial_state=0))
    play.update(add)
    assert play.timers == [LONG]


@pytest.mark.parametrize("change", [add, nothing], ids=["changes the state", "changes nothing"])
def test_every_accepted_signal_restarts_a_debounce(stage, change):
    play = stage.start(flow("f", debounce(LONG), initial_state=0))
    stage.pass_time(0.002)
    play.update(change)
    stage.pass_time(0.002)
    play.update(change)
    assert play.path == "debouncing --signal--> debouncing --signal--> debouncing"
    assert play.timers == [LONG] * 3


def test_a_restarted_debounce_elapses_one_window_after_the_last_signal(stage):
    play = stage.start(flow("f", debounce(lambda n: 0.03 if n else LONG), initial_state=0))
    play.update(add)
    play.result()
    *_, signalled, elapsed = play.records
    assert play.timers == [LONG, 0.03]
    assert elapsed.time - signalled.time >= 0.03


def test_max_wait_counts_from_the_entry(stage):
    play = stage.start(flow("f", debounce(LONG, max_wait=LONG + 0.001), initial_state=0))
    stage.pass_time(0.01)
    play.update(add)
    entered, signalled = play.records
    assert play.timers[1] == round(entered.time + LONG + 0.001 - signalled.time, 6)


def test_max_wait_is_never_shorter_than_the_window(stage):
    play = stage.start(flow("f", debounce(0.02, max_wait=0.001), initial_state=0))
    play.result()
    assert play.timers == [0.02]


def test_a_raising_duration_of_a_restart_fails_the_debounce(stage):
    play = stage.start(flow("f", debounce(lambda n: LONG / (1 - n)), initial_state=0))
    play.signal(add)
    with pytest.raises(FlowError) as caught:
        play.result()
    assert isinstance(caught.value.__cause__, ZeroDivisionError)


def test_a_signal_during_running_leads_to_a_second_round(stage, form):
    push = stage.function(form, Held(), None, name="push")
    round_ = (wait_until(lambda s: s["dirty"]), debounce(0.01), set_state(dirty=False), run(push))
    play = stage.start(flow("sync", repeat(*round_), initial_state={"dirty": False}, signals={"mark": mark}))
    play.signal("mark")
    push.begun()
    play.signal("mark")
    push.release()
    play.reach("waiting", times=2)
    assert play.path == (
        "waiting --mark--> debouncing --elapsed--> running(attempt=1) --succeeded--> "
        "debouncing --elapsed--> running(attempt=1) --succeeded--> waiting"
    )
    assert play.records[3].signals == ("mark",)
    assert push.calls == [({"dirty": False},)] * 2


def mark(state):
    return evolve(state, dirty=True)


@dataclass(frozen=True)
class Book:
    dirty: bool = False
    pages: int = 0


def test_keywords_change_fields_of_a_dataclass(stage):
    play = stage.start(flow("f", wait_until(lambda book: book.dirty), set_state(pages=3), initial_state=Book()))
    assert play.update(pages=1) == Book(pages=1)
    play.signal(dirty=True)
    assert play.result() == Book(dirty=True, pages=3)


def test_a_start_may_have_its_own_initial_state(stage):
    counted = flow("f", set_state(add), initial_state=0)
    assert stage.start(counted, initial_state=41).result() == 42
    assert stage.start(counted).result() == 1
