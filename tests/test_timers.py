"""The heap of deadlines: moved lazily, and yet as right as a naive list."""

import gc
import math
import weakref

from hypothesis import given
from hypothesis import strategies as st

from caravela.backends.timers import Timers

NEVER = math.inf


class Sleeper:
    """What the heap knows of a run."""

    def __init__(self, name=""):
        self.name = name
        self.armed = NEVER
        self.due = NEVER


class Clock:
    """The heap with the backend's part: who comes up too early is planned again."""

    def __init__(self):
        self.timers = Timers()

    def set(self, sleeper, due):
        sleeper.due = due
        if due < sleeper.armed:
            self.timers.plan(sleeper, due)

    def up_to(self, until):
        fired = []
        while (sleeper := self.timers.pop(until)) is not None:
            if sleeper.due <= until:
                fired.append(sleeper.name)
                sleeper.due = NEVER
            elif sleeper.due != NEVER:
                self.timers.plan(sleeper, sleeper.due)
        return fired


COMMANDS = st.lists(
    st.one_of(
        st.tuples(st.just("set"), st.integers(0, 7), st.integers(0, 50)),
        st.tuples(st.just("never"), st.integers(0, 7), st.none()),
        st.tuples(st.just("forget"), st.integers(0, 7), st.none()),
        st.tuples(st.just("pass"), st.none(), st.integers(0, 20)),
    ),
    max_size=60,
)


@given(COMMANDS)
def test_whatever_is_planned_moved_and_forgotten_comes_up_at_its_time(commands):
    clock, sleepers, now = Clock(), [Sleeper(n) for n in range(8)], 0
    naive = {}
    for command, which, number in commands:
        if command == "set":
            naive[which] = now + number
            clock.set(sleepers[which], now + number)
        elif command == "never":
            naive.pop(which, None)
            sleepers[which].due = NEVER
        elif command == "forget":
            naive.pop(which, None)
            sleepers[which].due = NEVER
            clock.timers.forget(sleepers[which])
        else:
            now += number
            expected = sorted(name for name, due in naive.items() if due <= now)
            naive = {name: due for name, due in naive.items() if due > now}
            assert sorted(clock.up_to(now)) == expected
        assert clock.timers.earliest() <= min(naive.values(), default=NEVER)
        assert len(naive) <= len(clock.timers) <= 8


@given(st.lists(st.integers(0, 100), max_size=50))
def test_deadlines_come_up_in_the_order_of_their_times_and_then_of_planning(times):
    timers = Timers()
    for number, due in enumerate(times):
        timers.plan(Sleeper((due, number)), due)
    order = []
    while (sleeper := timers.pop(1_000)) is not None:
        order.append(sleeper.name)
    assert order == sorted(order)
    assert len(order) == len(times)
    assert (len(timers), timers.earliest()) == (0, NEVER)


def test_a_deadline_that_moves_later_costs_no_entry():
    timers, sleeper = Timers(), Sleeper()
    for due in range(1, 1_000):
        timers.plan(sleeper, due)
    assert len(timers._heap) == 1
    assert timers.pop(NEVER) is sleeper
    assert sleeper.armed == NEVER


def test_nothing_comes_up_before_its_time():
    timers, sleeper = Timers(), Sleeper()
    timers.plan(sleeper, 5)
    assert timers.pop(4.999) is None
    assert timers.pop(5) is sleeper
    assert timers.pop(5) is None


def test_void_entries_are_swept_out():
    timers, sleeper = Timers(), Sleeper()
    for due in range(10_000, 0, -1):
        timers.plan(sleeper, due)
    assert len(timers) == 1
    assert len(timers._heap) < 200
    assert timers.pop(1) is sleeper
    assert timers.pop(NEVER) is None


def test_runs_that_are_forgotten_are_not_kept_alive():
    timers = Timers()
    sleepers = [Sleeper() for _ in range(1_000)]
    for due, sleeper in enumerate(sleepers):
        timers.plan(sleeper, 1_000_000 + due)
    alive = weakref.WeakSet(sleepers)
    for sleeper in sleepers:
        timers.forget(sleeper)
    del sleepers, sleeper
    gc.collect()
    assert len(alive) < 200
    assert len(timers) == 0


def test_forgetting_twice_is_forgetting_once():
    timers, sleeper, other = Timers(), Sleeper(), Sleeper()
    timers.plan(sleeper, 1)
    timers.plan(other, 2)
    timers.forget(sleeper)
    timers.forget(sleeper)
    assert len(timers) == 1
    assert timers.pop(9) is other


def test_what_was_forgotten_may_be_planned_again_for_the_same_time():
    timers, sleeper = Timers(), Sleeper()
    for _ in range(3):
        timers.plan(sleeper, 1)
        timers.forget(sleeper)
    timers.plan(sleeper, 1)
    assert timers.pop(1) is sleeper
    assert timers.pop(NEVER) is None
