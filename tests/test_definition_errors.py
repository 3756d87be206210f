"""What cannot be meant is refused by `flow()`, with the flow, the place of the step, and a wrong and a right form."""

import math
from dataclasses import dataclass
from datetime import timedelta
from functools import partial

import pytest

from caravela import (
    FlowDefinitionError,
    debounce,
    each,
    fail,
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
from caravela.vocabulary import EVENTS


def work(*args):
    """A plain function that would do anywhere."""


async def fetch(*args):
    """An async function."""


def generator(*args):
    yield


async def async_generator(*args):
    yield


@dataclass
class Job:
    state: object = None


class PlainCallable:
    def __call__(self, *args):
        """Plain."""


class AsyncCallable:
    async def __call__(self, *args):
        """Async."""


class Asked:
    async def over(self, *args):
        """A method."""


def refused(*steps, **options):
    with pytest.raises(FlowDefinitionError) as error:
        flow("sync", *steps, **{"initial_state": {}, **options})
    return error.value


def check(error, step, what):
    assert what in error.args[0]
    assert error.flow == "sync"
    assert error.step == step
    assert error.wrong
    assert error.right
    assert error.wrong != error.right


def table(*rows):
    """Make a parameter of each row: the steps, the place that is named, what is said."""
    return pytest.mark.parametrize(
        ("steps", "place", "what"), [row if isinstance(row[0], tuple) else ((row[0],), *row[1:]) for row in rows]
    )


# Blocks


@table(
    ((), None, "an empty flow"),
    (repeat(), "repeat[0]", "an empty repeat"),
    (sequence(), "sequence[0]", "an empty sequence"),
    ((wait(1), repeat(sequence(wait(1), sequence()))), "repeat[1].sequence[0].sequence[1]", "an empty sequence"),
)
def test_an_empty_block(steps, place, what):
    check(refused(*steps), place, what)


NEVER = "a repeat that can never rest"


@table(
    (repeat(set_state(n=1)), "repeat[0]", NEVER),
    (repeat(wait(0)), "repeat[0]", NEVER),
    (repeat(wait(timedelta(0)), set_state(n=1)), "repeat[0]", NEVER),
    (repeat(sequence(set_state(n=1))), "repeat[0]", NEVER),
    (repeat(repeat(set_state(n=1), times=3)), "repeat[0]", NEVER),
    (repeat(repeat(wait(1), times=0)), "repeat[0]", NEVER),
    (repeat(parallel([], "got")), "repeat[0]", NEVER),
    ((wait(1), sequence(repeat(set_state(n=1)))), "sequence[1].repeat[0]", NEVER),
)
def test_a_repeat_that_can_never_rest(steps, place, what):
    check(refused(*steps), place, what)


NOTHING = "nothing can reach this step"


@table(
    ((repeat(wait(1)), wait(2)), "wait[1]", NOTHING),
    ((sequence(wait(0), repeat(wait(1))), wait(2)), "wait[1]", NOTHING),
    ((repeat(repeat(wait(1)), times=2), wait(2)), "wait[1]", NOTHING),
    (repeat(repeat(wait(1)), wait(2)), "repeat[0].wait[1]", NOTHING),
    (sequence(fail("no"), wait(1)), "sequence[0].wait[1]", NOTHING),
    ((race([], "first"), wait(1)), "wait[1]", NOTHING),
)
def test_a_step_after_one_that_never_goes_on(steps, place, what):
    check(refused(*steps), place, what)


# Names


@table(
    ((wait(1, name="a"), wait(2, name="a")), "wait[1]", "two steps have the name 'a': wait[0] and wait[1]"),
    (
        (wait(1, name="a"), repeat(run(work, name="a"))),
        "repeat[1].run[0]",
        "two steps have the name 'a': wait[0] and repeat[1].run[0]",
    ),
    (repeat(wait(1, name="a"), name="a"), "repeat[0].wait[0]", "two steps have the name 'a'"),
)
def test_one_explicit_name_twice(steps, place, what):
    check(refused(*steps), place, what)


@pytest.mark.parametrize("name", ["", "a(b", "a)b", "a:b", "a,b", "a[b]", "a\nb", 3, b"a", ("a",)])
@pytest.mark.parametrize(
    ("step", "place"),
    [
        (lambda name: wait(1, name=name), "wait[0]"),
        (lambda name: set_state(work, name=name), "set_state[0]"),
        (lambda name: run(work, name=name), "run[0]"),
        (lambda name: repeat(wait(1), name=name), "repeat[0]"),
    ],
    ids=["wait", "set_state", "run", "repeat"],
)
def test_a_name_that_cannot_be_a_label(step, place, name):
    check(refused(step(name)), place, f"name is {name!r}")


@pytest.mark.parametrize("name", ["", " ", 3, None])
def test_a_name_that_no_flow_can_have(name):
    with pytest.raises(FlowDefinitionError) as error:
        flow(name, wait(1), initial_state={})
    assert f"the name of the flow is {name!r}" in error.value.args[0]
    assert error.value.wrong
    assert error.value.right


# Durations

DURATIONS = {
    "wait": (wait, "seconds"),
    "wait_until": (lambda value: wait_until(work, timeout=value), "timeout"),
    "debounce": (debounce, "seconds"),
    "debounce, max_wait": (lambda value: debounce(1, max_wait=value), "max_wait"),
    "run, base_delay": (lambda value: run(work, base_delay=value), "base_delay"),
    "run, max_delay": (lambda value: run(work, max_delay=value), "max_delay"),
    "run, attempt_timeout": (lambda value: run(work, attempt_timeout=value), "attempt_timeout"),
    "each, base_delay": (lambda value: each("items", work, base_delay=value), "base_delay"),
    "each, max_delay": (lambda value: each("items", work, max_delay=value), "max_delay"),
    "each, attempt_timeout": (lambda value: each("items", work, attempt_timeout=value), "attempt_timeout"),
    "parallel": (lambda value: parallel([work], "got", timeout=value), "timeout"),
    "race": (lambda value: race([work], "got", timeout=value), "timeout"),
}
NO_DURATIONS = [-1, -0.5, math.nan, math.inf, -math.inf, 10**400, "1", True, 1j, [1], timedelta(seconds=-1)]
durations = pytest.mark.parametrize(("call", "make", "option"), [(call, *row) for call, row in DURATIONS.items()])


@pytest.mark.parametrize("value", NO_DURATIONS, ids=lambda value: repr(value)[:20])
@durations
def test_what_is_no_duration(call, make, option, value):
    error = refused(make(value))
    check(error, f"{call.partition(',')[0]}[0]", f"{option} is {value!r}; a duration is 0 or more seconds")


@pytest.mark.parametrize("call", ["wait", "debounce", "run, base_delay", "each, base_delay"])
def test_a_duration_that_cannot_be_left_out(call):
    make, option = DURATIONS[call]
    check(refused(make(None)), f"{call.partition(',')[0]}[0]", f"{option} is None; a duration is")


@durations
def test_an_async_or_generator_function_is_no_duration(call, make, option):
    place = f"{call.partition(',')[0]}[0]"
    check(refused(make(fetch)), place, f"{option} is an async function")
    check(refused(make(generator)), place, f"{option} is a generator function")


# Other options


@pytest.mark.parametrize("value", [-1, 1.5, True, "3", math.inf])
@pytest.mark.parametrize(
    ("make", "place", "option"),
    [
        (lambda value: repeat(wait(1), times=value), "repeat[0]", "times"),
        (lambda value: run(work, retries=value), "run[0]", "retries"),
        (lambda value: each("items", work, retries=value), "each[0]", "retries"),
        (lambda value: parallel([work], "got", limit=value), "parallel[0]", "limit"),
    ],
    ids=["repeat", "run", "each", "parallel"],
)
def test_what_is_no_count(make, place, option, value):
    check(refused(make(value)), place, f"{option} is {value!r}; it is a whole number from ")


@table(
    (parallel([work], "got", limit=0), "parallel[0]", "limit is 0; it is a whole number from 1 on"),
    (run(work, backoff="fast"), "run[0]", "backoff is 'fast'; it is one of 'constant', 'linear', 'exponential'"),
    (run(work, backoff=None), "run[0]", "backoff is None; it is one of"),
    (run(work, backoff=2), "run[0]", "backoff is 2; it is one of"),
    (run(work, backoff=fetch), "run[0]", "backoff is an async function"),
    (run(work, backoff=wait(1)), "run[0]", "backoff is Wait("),
    (each("items", work, backoff="fast"), "each[0]", "backoff is 'fast'; it is one of"),
    (run(work, jitter="some"), "run[0]", "jitter is 'some'; it is one of 'none', 'full', 'equal', 'decorrelated'"),
    (run(work, jitter=None), "run[0]", "jitter is None; it is one of"),
    (run(work, jitter=work), "run[0]", "jitter is <function work"),
    (each("items", work, jitter="some"), "each[0]", "jitter is 'some'; it is one of"),
    (parallel([work], "got", on_error="ignore"), "parallel[0]", "on_error is 'ignore'; it is one of 'fail', 'collect'"),
    (run(work, retry_on=3), "run[0]", "retry_on is 3"),
    (run(work, retry_on=int), "run[0]", "retry_on is <class 'int'>; it is exception types or a predicate"),
    (run(work, retry_on=(OSError, 3)), "run[0]", "; it is exception types or a predicate"),
    (run(work, retry_on=[OSError]), "run[0]", "retry_on is [<class 'OSError'>]"),
    (run(work, retry_on=fetch), "run[0]", "retry_on is an async function"),
    (each("items", work, retry_on=int), "each[0]", "retry_on is <class 'int'>"),
    (run(work, collect_as=""), "run[0]", "collect_as is ''; it is the name of a field"),
    (run(work, collect_as=3), "run[0]", "collect_as is 3; it is the name of a field"),
    (parallel([work], None), "parallel[0]", "collect_as is None; it is the name of a field"),
    (race([work], ""), "race[0]", "collect_as is ''; it is the name of a field"),
    (each(3, work), "each[0]", "key is 3; it is the name of a field"),
    (each("", work), "each[0]", "key is ''; it is the name of a field"),
    (set_state(), "set_state[0]", "set_state changes nothing"),
    (set_state(work, dirty=False), "set_state[0]", "set_state takes a function or changed fields, not both"),
)
def test_an_option_that_no_step_can_use(steps, place, what):
    check(refused(*steps), place, what)


# Functions

WITH_FUNCTIONS = {
    "run": (run, "fn"),
    "each": (lambda fn: each("items", fn), "fn"),
    "parallel": (lambda fn: parallel([work, fn], "got"), "a task"),
    "race": (lambda fn: race({"a": work, "b": fn}, "got"), "a task"),
    "set_state": (set_state, "fn"),
    "wait_until": (wait_until, "predicate"),
    "repeat": (lambda fn: repeat(wait(1), until=fn), "until"),
}
PURE = ["set_state", "wait_until", "repeat"]
functions = pytest.mark.parametrize(("call", "make", "option"), [(call, *row) for call, row in WITH_FUNCTIONS.items()])
pure = pytest.mark.parametrize(("call", "make", "option"), [(call, *WITH_FUNCTIONS[call]) for call in PURE])


@functions
def test_a_step_where_a_function_was_meant(call, make, option):
    check(refused(make(wait(1))), f"{call}[0]", f"{option} is a step where a function was meant")


@pytest.mark.parametrize("value", [3, "work", True, {"a": 1}])
@functions
def test_what_is_no_function(call, make, option, value):
    check(refused(make(value)), f"{call}[0]", f"{option} is {value!r}, which is no function")


@pytest.mark.parametrize("function", [generator, async_generator, partial(generator, 1)], ids=["sync", "async", "part"])
@functions
def test_a_generator_function(call, make, option, function):
    check(refused(make(function)), f"{call}[0]", f"{option} is a generator function")


@functions
def test_a_class(call, make, option):
    check(refused(make(Job)), f"{call}[0]", f"{option} is the class Job")


@pytest.mark.parametrize(
    "function", [fetch, partial(fetch, 1), AsyncCallable(), Asked().over], ids=["def", "partial", "object", "method"]
)
@pure
def test_an_async_function_where_a_pure_one_is_meant(call, make, option, function):
    check(refused(make(function)), f"{call}[0]", f"{option} is an async function")


@pytest.mark.parametrize("step", [parallel, race])
@pytest.mark.parametrize(
    ("tasks", "what"),
    [
        (3, "tasks is 3; it is a list or a mapping of functions"),
        ("work", "tasks is 'work'; it is a list or a mapping of functions"),
        (None, "tasks is None; it is a list or a mapping of functions"),
        (wait(1), "tasks is Wait("),
        (fetch, "tasks is an async function"),
        (generator, "tasks is a generator function"),
        ([work, 3], "a task is 3, which is no function"),
        ({"a": None}, "a task is None, which is no function"),
    ],
)
def test_what_are_no_tasks(step, tasks, what):
    check(refused(step(tasks, "got")), f"{step.__name__}[0]", what)


@table(
    (work, "?[0]", "a function where a step was meant"),
    (lambda state: state, "?[0]", "a function where a step was meant"),
    (fetch, "?[0]", "a function where a step was meant"),
    (Job, "?[0]", "a function where a step was meant"),
    (repeat(wait(1), work), "repeat[0].?[1]", "a function where a step was meant"),
    (repeat(wait), "repeat[0].?[0]", "wait itself where a step was meant"),
    (set_state, "?[0]", "set_state itself where a step was meant"),
    (([wait(1)],), "?[0]", "a list where a step was meant"),
    (sequence((wait(1), wait(2))), "sequence[0].?[0]", "a list where a step was meant"),
    ((wait(1), None), "?[1]", "None is no step"),
    (repeat("wait"), "repeat[0].?[0]", "'wait' is no step"),
)
def test_something_else_where_a_step_was_meant(steps, place, what):
    check(refused(*steps), place, what)


# Signals


@pytest.mark.parametrize("signals", [[work], work, "mark", 3])
def test_signals_that_are_no_mapping(signals):
    check(refused(wait(1), signals=signals), None, "it is a mapping of names to functions")


@pytest.mark.parametrize("name", ["", "mark dirty", "1st", "mark-dirty", 3, None, *EVENTS])
def test_a_name_that_no_signal_can_have(name):
    check(refused(wait(1), signals={name: work}), None, f"a signal has the name {name!r}")


@pytest.mark.parametrize(
    ("signal", "what"),
    [
        (3, "signal 'mark' is 3, which is no function"),
        (wait(1), "signal 'mark' is a step where a function was meant"),
        (fetch, "signal 'mark' is an async function"),
        (partial(fetch, 1), "signal 'mark' is an async function"),
        (AsyncCallable(), "signal 'mark' is an async function"),
        (generator, "signal 'mark' is a generator function"),
        (Job, "signal 'mark' is the class Job"),
    ],
)
def test_a_signal_that_is_no_plain_function(signal, what):
    check(refused(wait(1), signals={"mark": signal}), None, what)


# The message as a whole


def test_the_message_says_what_where_and_both_forms():
    assert str(refused(repeat(wait(-1)))).splitlines() == [
        "seconds is -1; a duration is 0 or more seconds, finite, a timedelta, or a function of the state",
        "  where: flow 'sync', step repeat[0].wait[0]",
        "  wrong: wait(-1)",
        "  right: wait(0.5)",
    ]
    assert str(refused(repeat(wait(1), work))).splitlines() == [
        "a function where a step was meant",
        "  where: flow 'sync', step repeat[0].?[1]",
        "  wrong: repeat(work)",
        "  right: repeat(run(work))",
    ]


# What looks odd and is meant


@pytest.mark.parametrize(
    "step",
    [
        wait(0),
        wait(timedelta(minutes=1)),
        wait(lambda state: -1),
        wait_until(bool),
        debounce(0, max_wait=0),
        repeat(set_state(n=1), times=3),
        repeat(set_state(n=1), until=bool),
        repeat(set_state(n=1), times=0),
        repeat(wait(lambda state: 0)),
        repeat(wait_until(lambda state: True)),
        set_state(name="a field of this name"),
        set_state(dict),
        sequence(run(work), run(work), run(partial(work, 1))),
        run(print),
        run(fetch),
        run(partial(fetch, 1)),
        run(Asked().over),
        run(AsyncCallable()),
        run(PlainCallable()),
        run(work, retries=None, backoff=work, retry_on=work),
        run(work, retry_on=(OSError, KeyboardInterrupt), attempt_timeout=0, max_delay=0),
        each("items", fetch, retries=2),
        parallel([], "got"),
        parallel({"a": work, "b": fetch}, "got", limit=5),
        parallel((task for task in (work, fetch)), "got"),
        parallel(lambda state: [], "got"),
        race([], "got"),
        race(lambda state: [work], "got", timeout=0),
        fail(None),
    ],
)
def test_what_looks_odd_and_is_meant(step):
    signals = {"mark": partial(work, 1), "start": work, "class": PlainCallable(), "_": len}
    assert flow("sync", step, initial_state={}, signals=signals).machine.states
