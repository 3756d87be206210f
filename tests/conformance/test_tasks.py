"""`parallel`, `race` and `each`: several functions in one step."""

import pytest

from caravela import (
    Abort,
    Fail,
    FlowError,
    InvalidOutcomeError,
    Ok,
    Retry,
    Skip,
    StateError,
    StepFailedError,
    StepTimeoutError,
    each,
    flow,
    parallel,
    race,
    run,
    wait,
)
from tests.conformance.functions import Held

LONG = 300.0
CUT_AFTER = 0.2  # by then a function has begun, on a busy machine too
CANCELLED = {"plain": "abandoned", "async": "settled"}


def gathered(stage, tasks, *, state=None, **options):
    step = parallel(tasks, "results", **options)
    return stage.start(flow("f", step, initial_state={} if state is None else state))


def raced(stage, tasks, *, state=None, **options):
    return stage.start(flow("f", race(tasks, "winner", **options), initial_state={} if state is None else state))


def failure_of(play):
    with pytest.raises(FlowError) as caught:
        play.result()
    return caught.value


# --- parallel -------------------------------------------------------------------------------------------------------


def test_parallel_gives_results_in_the_order_of_the_tasks(stage, form):
    first, second, third = (stage.function(form, Held(n)) for n in (1, 2, 3))
    play = gathered(stage, [first, second, third])
    for count, task in enumerate((third, first, second), 1):
        task.begun()
        task.release()
        stage.until(lambda count=count: len(play.records) > count, "the next result")
    assert play.result() == {"results": [1, 2, 3]}
    assert play.path == "gathering --task_succeeded--> gathering --task_succeeded--> gathering --succeeded--> done"


def test_parallel_gives_a_mapping_for_a_mapping(stage, form):
    play = gathered(stage, {"b": stage.function(form, 2), "a": stage.function(form, 1)})
    assert list(play.result()["results"].items()) == [("b", 2), ("a", 1)]


@pytest.mark.parametrize(("tasks", "results"), [([], []), ({}, {}), (lambda state: [], []), (lambda state: {}, {})])
def test_parallel_without_tasks_is_passed(stage, tasks, results):
    play = gathered(stage, tasks)
    assert play.result() == {"results": results}
    assert play.path == "done"


def test_parallel_takes_a_function_of_the_state_that_gives_the_tasks(stage, form):
    play = gathered(stage, lambda s: [stage.function(form, n * n) for n in range(s["n"])], state={"n": 4})
    assert play.result()["results"] == [0, 1, 4, 9]


def test_any_value_is_a_result_of_a_task(stage, form):
    values = [None, {"a": 1}, Exception, ("x",)]
    play = gathered(stage, [stage.function(form, lambda value=value: value) for value in values])
    assert play.result()["results"] == values


def test_the_first_failure_cancels_the_rest_and_fails_with_a_group(stage, form):
    slow, bad = stage.function(form, Held(1)), stage.function(form, Held(OSError("boom")))
    play = gathered(stage, [slow, bad])
    slow.begun()
    bad.begun()
    bad.release()
    error = failure_of(play)
    slow.release()
    assert isinstance(error.reason, ExceptionGroup)
    assert [type(leaf) for leaf in error.reason.exceptions] == [OSError]
    assert play.path == f"gathering --failed--> cancelling --{CANCELLED[form]}--> failed"
    assert play.runner.get_state() == {}


TASK_FAILURES = {
    "a raise": (OSError("boom"), OSError),
    "Fail": (Fail("text"), StepFailedError),
    "Abort": (Abort("text"), StepFailedError),
    "Ok": (Ok(), InvalidOutcomeError),
    "Retry": (Retry(), InvalidOutcomeError),
    "Skip": (Skip(), InvalidOutcomeError),
}


@pytest.mark.parametrize("rule", TASK_FAILURES)
def test_what_makes_a_task_fail(stage, form, rule):
    outcome, error = TASK_FAILURES[rule]
    play = gathered(stage, [stage.function(form, outcome)])
    assert [type(leaf) for leaf in failure_of(play).reason.exceptions] == [error]
    assert play.path == "gathering --failed--> failed"


def test_on_error_collect_puts_a_fail_in_the_place_of_the_result(stage, form):
    boom = OSError("boom")
    tasks = [stage.function(form, outcome) for outcome in (1, boom, Abort("no"), 4)]
    assert gathered(stage, tasks, on_error="collect").result() == {"results": [1, Fail(boom), Fail("no"), 4]}


def test_limit_bounds_how_many_tasks_run_at_once(stage, form):
    tasks = [stage.function(form, Held(n), name=f"task{n}") for n in range(3)]
    play = gathered(stage, tasks, limit=2)
    tasks[0].begun()
    tasks[1].begun()
    assert [len(task.calls) for task in tasks] == [1, 1, 0]
    tasks[0].release()
    tasks[2].begun()
    tasks[1].release()
    tasks[2].release()
    assert play.result()["results"] == [0, 1, 2]


def test_tasks_that_wait_for_the_limit_never_start_after_a_failure(stage, form):
    bad, late = stage.function(form, OSError()), stage.function(form)
    failure_of(gathered(stage, [bad, late], limit=1))
    assert late.calls == []


def test_a_timeout_cancels_all_tasks(stage, form):
    tasks = [stage.function(form, Held(n)) for n in range(2)]
    play = gathered(stage, tasks, timeout=CUT_AFTER)
    error = failure_of(play)
    for task in tasks:
        task.release()
    assert isinstance(error.reason, StepTimeoutError)
    event = CANCELLED[form]
    assert play.path == f"gathering --timed_out--> cancelling --task_settled--> cancelling --{event}--> failed"


def test_signals_apply_at_once_while_gathering(stage, form):
    task = stage.function(form, Held(1))
    play = gathered(stage, [task])
    task.begun()
    assert play.update(n=5) == {"n": 5}
    assert play.runner.machine_state == "gathering"
    task.release()
    assert play.result() == {"n": 5, "results": [1]}


TASK_BUILDERS = {
    "raises": (lambda state: 1 / 0, ZeroDivisionError),
    "gives no list": (lambda state: 7, InvalidOutcomeError),
    "gives what is no function": (lambda state: [7], InvalidOutcomeError),
}


@pytest.mark.parametrize("step", [gathered, raced])
@pytest.mark.parametrize("rule", TASK_BUILDERS)
def test_a_wrong_task_builder_fails_its_step(stage, step, rule):
    builder, error = TASK_BUILDERS[rule]
    assert type(failure_of(step(stage, builder)).__cause__) is error


# --- race -----------------------------------------------------------------------------------------------------------


def test_a_race_ends_with_the_first_success_and_cancels_the_others(stage, form):
    slow, fast = stage.function(form, Held("slow")), stage.function(form, Held("fast"))
    play = raced(stage, [slow, fast])
    slow.begun()
    fast.begun()
    fast.release()
    assert play.result() == {"winner": "fast"}
    slow.release()
    assert play.path == f"racing --succeeded--> cancelling --{CANCELLED[form]}--> done"


def test_a_failure_does_not_win_a_race(stage, form):
    bad, good = stage.function(form, OSError()), stage.function(form, Held("good"))
    play = raced(stage, {"bad": bad, "good": good})
    play.reach("racing", times=2)
    good.release()
    assert play.result() == {"winner": "good"}
    assert play.path == "racing --task_failed--> racing --succeeded--> done"


def test_a_race_may_be_won_with_none(stage, form):
    assert raced(stage, [stage.function(form, None)]).result() == {"winner": None}


def test_a_race_that_all_lose_fails_with_the_group_in_the_order_of_the_tasks(stage, form):
    first, second = stage.function(form, Held(OSError("1"))), stage.function(form, Held(Fail("2")))
    play = raced(stage, [first, second])
    for task in (second, first):
        task.begun()
        task.release()
        stage.until(lambda: len(play.records) > 1, "a result")
    error = failure_of(play)
    assert [error.args[0] for error in error.reason.exceptions] == ["1", "2"]
    assert play.path == "racing --task_failed--> racing --failed--> failed"


@pytest.mark.parametrize("tasks", [[], {}, lambda state: []])
def test_a_race_without_tasks_fails(stage, tasks):
    assert isinstance(failure_of(raced(stage, tasks)).__cause__, StepFailedError)


def test_a_race_may_time_out(stage, form):
    task = stage.function(form, Held())
    play = raced(stage, [task], timeout=CUT_AFTER)
    error = failure_of(play)
    task.release()
    assert isinstance(error.reason, StepTimeoutError)
    assert play.path == f"racing --timed_out--> cancelling --{CANCELLED[form]}--> failed"


def test_signals_apply_at_once_while_racing(stage, form):
    task = stage.function(form, Held("x"))
    play = raced(stage, [task])
    task.begun()
    assert play.update(n=5) == {"n": 5}
    task.release()
    assert play.result() == {"n": 5, "winner": "x"}


def test_the_result_of_a_loser_is_dropped(stage):
    slow, fast = stage.function("plain", Held("slow")), stage.function("plain", Held("fast"))
    play = stage.start(flow("f", race([slow, fast], "winner"), wait(LONG), initial_state={}))
    slow.begun()
    fast.begun()
    fast.release()
    play.reach("sleeping")
    slow.release()
    assert play.update(n=1) == {"winner": "fast", "n": 1}
    assert play.path.endswith("sleeping --signal--> sleeping")


# --- each -----------------------------------------------------------------------------------------------------------


def iterated(stage, work, *, items=("a", "b"), **options):
    return stage.start(flow("f", each("items", work, **options), initial_state={"items": list(items), "n": 0}))


# What the function does, the options, the path, and the final count.
EACH = {
    "None goes on": (
        [None],
        {},
        "iterating(index=0) --succeeded--> iterating(index=1) --succeeded--> done",
        0,
    ),
    "Ok changes the state": (
        [lambda item, state: Ok(n=state["n"] + 1)],
        {},
        "iterating(index=0) --succeeded--> iterating(index=1) --succeeded--> done",
        2,
    ),
    "Skip goes on to the next item": (
        [Skip("seen"), Ok(n=1)],
        {},
        "iterating(index=0) --skipped--> iterating(index=1) --succeeded--> done",
        1,
    ),
    "Abort is not retried": ([Abort("no")], {"retries": 3}, "iterating(index=0) --failed--> failed", 0),
    "Fail fails without retries": (
        [None, Fail("no")],
        {},
        "iterating(index=0) --succeeded--> iterating(index=1) --failed--> failed",
        0,
    ),
    "retries are for each item anew": (
        [Fail("x"), None, Fail("x"), None],
        {"retries": 1, "base_delay": 0},
        (
            "iterating(index=0) --failed--> iterating(index=0) --succeeded--> "
            "iterating(index=1) --failed--> iterating(index=1) --succeeded--> done"
        ),
        0,
    ),
    "a value is invalid": ([7], {"retries": 3}, "iterating(index=0) --failed--> failed", 0),
}


@pytest.mark.parametrize("rule", EACH)
def test_each_goes_through_the_items(stage, form, rule):
    outcomes, options, path, count = EACH[rule]
    play = iterated(stage, stage.function(form, *outcomes), **options)
    assert play.ends() == path
    assert play.runner.get_state()["n"] == count


def test_each_gives_the_item_and_the_state(stage, form):
    work = stage.function(form, lambda item, state: Ok(n=state["n"] + 1))
    iterated(stage, work).result()
    assert [(item, state["n"]) for item, state in work.calls] == [("a", 0), ("b", 1)]


def test_the_items_are_taken_once_on_entry(stage, form):
    work = stage.function(form, Ok(items=[]), None)
    iterated(stage, work).result()
    assert [item for item, _ in work.calls] == ["a", "b"]


def test_each_without_items_is_passed(stage, form):
    work = stage.function(form)
    assert iterated(stage, work, items=()).ends() == "done"
    assert work.calls == []


@pytest.mark.parametrize("state", [{}, {"items": 7}], ids=["a missing key", "no items"])
def test_each_needs_items(stage, state):
    play = stage.start(flow("f", each("items", lambda item, state: None), initial_state=state))
    assert isinstance(failure_of(play).__cause__, StateError)


def test_signals_are_postponed_until_the_item_is_done(stage, form):
    work = stage.function(form, Held(Ok(n=10)), lambda item, state: Ok(n=state["n"] * 2))
    play = iterated(stage, work)
    work.begun()
    play.signal(lambda state: {**state, "n": state["n"] + 1})
    assert play.runner.get_state()["n"] == 0
    work.release()
    assert play.result()["n"] == 22


def test_an_attempt_at_an_item_may_time_out(stage, form):
    work = stage.function(form, Held())
    play = iterated(stage, work, attempt_timeout=CUT_AFTER)
    error = failure_of(play)
    work.release()
    assert isinstance(error.reason, StepTimeoutError)
    assert play.path == f"iterating(index=0) --timed_out--> cancelling --{CANCELLED[form]}--> failed"


def test_a_parallel_may_follow_a_run_in_a_loop_of_states(stage, form):
    """Tokens: results of one step are never taken for those of the next."""
    work = stage.function(form, Ok(n=1))
    steps = (run(work), parallel([stage.function(form, 1)], "a"), race([stage.function(form, 2)], "b"), run(work))
    play = stage.start(flow("f", *steps, initial_state={}))
    assert play.result() == {"n": 1, "a": [1], "b": 2}
