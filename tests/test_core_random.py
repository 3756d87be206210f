"""Random flows with random events: what the core does is in the table, and what is in the table the core can do.

The functions of these flows are pure, and still do everything: each reads its own digit (base 4) of the number `n` in
the state and is true or false, gives nonsense or raises accordingly. Signals and outcomes set `n` anew.
"""

from itertools import pairwise
from random import Random
from typing import NamedTuple

import pytest
from hypothesis import HealthCheck, assume, event, given, settings
from hypothesis import strategies as st

from caravela.compile import compile_steps
from caravela.core import Record, advance, machine_state, start
from caravela.core import events as e
from caravela.core.effects import Cancel, Invoke, effects, invocation
from caravela.core.postponed import Postponed
from caravela.core.snapshot import AT, DUE, MEMORY, TOKEN
from caravela.errors import FlowDefinitionError, PostponedSignalError
from caravela.outcomes import Abort, Fail, Ok, Retry, Skip
from caravela.state import evolve, read_field
from caravela.steps import (
    debounce,
    each,
    fail,
    parallel,
    race,
    repeat,
    run,
    sequence,
    set_state,
    wait,
    wait_until,
)
from caravela.trace import recorded, replay

DIGITS = 6


class Wrong(Exception):  # noqa: N818 - what a user's function raises
    """Raised by the functions of the flows."""


def raises(*args):
    raise Wrong


def by_digit(place, *ways):
    """Make a function of the state that goes one of four ways, by a digit of `n`. A way that is `Wrong` is raised."""

    def function(state):
        way = ways[read_field(state, "n") // 4**place % 4]
        if way is Wrong:
            raise Wrong
        return way(state) if callable(way) else way

    return function


def condition(place):
    return by_digit(place, 0, 1, Wrong, 1)


def duration(place):
    return by_digit(place, 0, 1.5, Wrong, -1)


def change(place):
    return by_digit(place, lambda s: s, lambda s: evolve(s, n=read_field(s, "n") + 1), Wrong, None)


def push(*args):
    """Never called: the events say what it returned."""
    raise AssertionError


def tasks(place):
    return by_digit(place, lambda s: [], lambda s: [push, push], Wrong, lambda s: {"a": push})


def retry_on(error):
    if isinstance(error, TimeoutError):
        return True
    if "again" not in str(error):
        raise Wrong
    return "never" not in str(error)


def mark(state, more):
    return evolve(state, n=read_field(state, "n") + more)


class Fixed(NamedTuple):
    """A state that cannot take a result: it has no field `got`."""

    n: int
    items: tuple = ()


SIGNALS = {"mark": mark, "start": mark}  # `start` is what the first record is called, too


# One run, and what is true of it always


class Walk:
    """One run; every move is checked against the table, and taken down for the replay."""

    def __init__(self, machine, state):
        self.machine = machine
        self.ways = {(t.source, t.event, t.target) for t in machine.transitions}
        self.taken = set()
        self.now = 0.0
        self.snapshots = []
        self.records = []
        self.in_flight = set()
        record = Record()
        self._check(None, start(machine, state, record=record), (0.0, state), record)

    def send(self, sent):
        old, before, record = self.snapshots[-1], repr(self.snapshots[-1]), Record()
        try:
            new = advance(self.machine, old, sent, record)
        except PostponedSignalError:
            assert self.row.postpones
            return
        except Wrong:
            assert sent[0] == e.SIGNAL
            assert repr(old) == before
            return
        assert repr(old) == before
        assert repr(advance(self.machine, old, sent)) == repr(new)
        if new is not old:
            self._check(old, new, sent, record)

    def _check(self, old, new, sent, record):
        made = recorded(self.machine, len(self.records) + 1, self.now, old, new, sent, record)
        path = [self.base(made.source), *made.passed, self.base(made.target)]
        if old is None:
            assert path.pop(0) == ""
            assert made.event == "start"
            assert path[0] == self.machine.initial.name
        for number, (source, target) in enumerate(pairwise(path)):
            way = (source, made.event if number == 0 and old is not None else "", target)
            assert way in self.ways, f"{made}\n  takes {way}, which is not in the table"
            self.taken.add(way)
        self.snapshots.append(new)
        self.records.append(made)
        self._check_effects(old, new, made.effects)
        self._check_rest(new)

    def _check_effects(self, old, new, found):
        if old is None or old[TOKEN] != new[TOKEN]:
            self.in_flight = set()
        for effect in found:
            if isinstance(effect, Invoke):
                assert effect.token == new[TOKEN]
                assert effect.index not in self.in_flight
                assert callable(invocation(self.machine, new, effect.index)[0])
                self.in_flight.add(effect.index)
            elif isinstance(effect, Cancel):
                assert self.in_flight
                assert effect.token == new[TOKEN]

    def _check_rest(self, new):
        row = self.row
        assert row.final or not row.transient or row.yields
        assert bool(self.in_flight) == (row.kind in ("running", "iterating", "gathering", "racing", "cancelling"))
        assert new[DUE] >= 0
        assert len(new[4]) == self.machine.registers
        if row.final:
            assert new[DUE] == float("inf")
            assert (row.kind == "failed") == (new[MEMORY] is not None)

    @property
    def row(self):
        return self.machine.states[self.snapshots[-1][AT]]

    @staticmethod
    def base(name):
        return name.partition("(")[0]


def check_replay(walk):
    again = list(replay(walk.machine, walk.records))
    assert [repr(snapshot) for snapshot in again] == [repr(snapshot) for snapshot in walk.snapshots]
    for old, new, record in zip([None, *again], again, walk.records, strict=False):
        assert record.effects == effects(walk.machine, old, new)
        assert record.target == machine_state(walk.machine, new)


# Events, made of a few numbers

VALUES = (
    lambda n: None,
    lambda n: Ok(n=n),
    lambda n: Ok({"n": n}),
    lambda n: Ok({"n": n, "items": [1, 2]}),
    lambda n: Ok(None),
    lambda n: Retry(n=n),
    lambda n: Retry(after=0),
    lambda n: Retry(after=1),
    lambda n: Retry(after=-1),
    lambda n: Fail("no"),
    lambda n: Fail(OSError("no")),
    lambda n: Abort("no"),
    lambda n: Skip("no"),
    lambda n: n,
    lambda n: "a value",
    lambda n: ["a value"],
)
ERRORS = (OSError("again"), OSError("again, never"), OSError("other"), KeyboardInterrupt())
KINDS = ("signal", "signal", "due", "due", "resumed", "returned", "returned", "raised", "settled", "stale", "stop")
POSTPONED = Postponed([(mark, (5,), None, "mark", None), (raises, (), None, "", None)])


def make_event(walk, kind, n, pick):
    """Make an event that could come now; the numbers say which."""
    apply = POSTPONED if pick % 2 and walk.row.postpones else None
    draw = (0.0, 0.5, 0.99)[pick % 3]
    kind = KINDS[kind]
    if kind == "signal":
        return signal_event(walk.now, n, pick)
    if kind == "due":
        walk.now = max(walk.now, min(walk.snapshots[-1][DUE], walk.now + 100))
        return e.elapsed(walk.now, walk.now, draw, apply)
    if kind == "stop" and pick % 3 == 0:
        return e.stop(walk.now, apply)
    if walk.in_flight and kind in ("returned", "raised", "settled"):
        return end_event(walk, kind, n, pick, (draw, apply))
    if kind == "stale":
        return e.returned(walk.now, walk.snapshots[-1][TOKEN] - 1, None)
    return e.resumed(walk.now)


def end_event(walk, kind, n, pick, rest):
    """Make the event of a function that ends."""
    token, index = walk.snapshots[-1][TOKEN], sorted(walk.in_flight)[pick % len(walk.in_flight)]
    if kind == "settled" and walk.row.kind != "cancelling":
        return e.settled(walk.now, token, index)
    walk.in_flight.discard(index)
    if kind == "settled":
        return (e.settled if pick % 2 else e.abandoned)(walk.now, token, index, rest[0])
    if kind == "returned":
        return e.returned(walk.now, token, VALUES[pick % len(VALUES)](n), index, *rest)
    return e.raised(walk.now, token, ERRORS[pick % len(ERRORS)], index, *rest)


def signal_event(now, n, pick):
    changes = (
        (lambda s: evolve(s, n=n), (), ""),
        (lambda s: evolve(s, n=n, items=[1, 2]), (), ""),
        (lambda s: {"n": n}, (), ""),
        (lambda s: Fixed(n), (), ""),
        (mark, (n,), "mark"),
        (mark, (n,), "start"),
        (raises, (), ""),
        (lambda s: s, (), ""),
    )
    fn, args, name = changes[pick % len(changes)]
    return e.signal(now, fn, args, None, name)


def walked(machine, n, moves):
    walk = Walk(machine, {"n": n, "items": [1, 2, 3]})
    for move in moves:
        if walk.row.final:
            break
        walk.send(make_event(walk, *move))
    return walk


# Random trees

numbers = st.integers(0, 4**DIGITS - 1)
places = st.integers(0, DIGITS - 1)
delays = st.sampled_from([0, 1, 2.5]) | places.map(duration)
policies = st.fixed_dictionaries(
    {},
    optional={
        "retries": st.sampled_from([0, 1, 3, None]),
        "backoff": st.sampled_from(["constant", "linear", "exponential", raises]),
        "base_delay": delays,
        "max_delay": delays,
        "jitter": st.sampled_from(["none", "full", "equal", "decorrelated"]),
        "attempt_timeout": delays,
        "retry_on": st.sampled_from([Exception, OSError, ValueError, retry_on]),
    },
)
task_lists = st.sampled_from([(), (push,), (push, push), (push,) * 4, {"a": push, "b": push}]) | places.map(tasks)
leaves = st.one_of(
    st.just(set_state(n=3)),
    places.map(lambda place: set_state(change(place))),
    delays.map(wait),
    st.builds(wait_until, places.map(condition), timeout=st.none() | delays),
    st.builds(debounce, delays, max_wait=st.none() | delays),
    policies.map(lambda policy: run(push, **policy)),
    policies.map(lambda policy: run(push, collect_as="got", **policy)),
    st.builds(lambda key, policy: each(key, push, **policy), st.sampled_from(["items", "n"]), policies),
    st.builds(
        parallel,
        task_lists,
        st.just("got"),
        timeout=st.none() | delays,
        limit=st.sampled_from([None, 1, 2]),
        on_error=st.sampled_from(["fail", "collect"]),
    ),
    st.builds(race, task_lists, st.just("got"), timeout=st.none() | delays),
    st.just(fail("no")),
)


def blocks(inner):
    bodies = st.lists(inner, min_size=1, max_size=3)
    return st.one_of(
        bodies.map(lambda steps: sequence(*steps)),
        st.builds(lambda steps, times: repeat(*steps, times=times), bodies, st.sampled_from([0, 1, 2, 3, 700])),
        st.builds(lambda steps, place: repeat(*steps, until=condition(place)), bodies, places),
        bodies.map(lambda steps: repeat(*steps)),
    )


trees = st.lists(st.recursive(leaves, blocks, max_leaves=6), min_size=1, max_size=3)
moves = st.lists(st.tuples(st.integers(0, 10), numbers, st.integers(0, 47)), max_size=30)


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.filter_too_much, HealthCheck.too_slow])
@given(trees, numbers, moves)
def test_what_happens_is_in_the_table_and_can_be_replayed(steps, n, moves):
    try:
        machine = compile_steps("random", tuple(steps), SIGNALS)
    except FlowDefinitionError:
        assume(False)  # noqa: FBT003 - positional by definition
    walk = walked(machine, n, moves)
    check_replay(walk)
    event(f"ended {walk.row.kind}" if walk.row.final else "rests")


# Small fixed flows, every way of which is taken in the end

POLICY = {"retries": 2, "attempt_timeout": 1}
FLOWS = {
    "set_state": [set_state(change(0)), wait(1)],
    "wait": [wait(1)],
    "wait 0": [wait(0), wait(1)],
    "wait, computed": [wait(duration(0))],
    "wait_until": [wait_until(condition(0))],
    "wait_until, timeout": [wait_until(condition(0), timeout=2)],
    "wait_until, computed timeout": [wait_until(condition(0), timeout=duration(1))],
    "debounce": [debounce(1)],
    "debounce, max_wait": [debounce(1, max_wait=3)],
    "debounce, computed": [debounce(duration(0), max_wait=duration(1))],
    "debounce, computed max_wait": [debounce(1, max_wait=duration(0))],
    "fail": [wait(1), fail("no")],
    "repeat": [repeat(wait(1))],
    "repeat, times": [repeat(wait(1), times=2)],
    "repeat, once": [repeat(wait(1), times=1)],
    "repeat, never": [repeat(wait(1), times=0)],
    "repeat, until": [repeat(wait(1), until=condition(0))],
    "repeat, times and until": [repeat(wait(1), times=3, until=condition(0))],
    "repeat, once and until": [repeat(wait(1), times=1, until=condition(0))],
    "repeat, nested": [repeat(repeat(wait(1), times=2), until=condition(0))],
    "repeat, yields": [repeat(wait_until(condition(0)), times=501)],
    "repeat, yields for ever": [repeat(wait_until(condition(0)), until=condition(1))],
    "run": [run(push)],
    "run, retries": [run(push, retries=2)],
    "run, retries without end": [run(push, retries=None)],
    "run, retries without end, some": [run(push, retries=None, retry_on=retry_on)],
    "run, retries of some": [run(push, retries=2, retry_on=retry_on)],
    "run, no delay": [run(push, retries=2, base_delay=0)],
    "run, timeout": [run(push, attempt_timeout=1)],
    "run, retries and timeout": [run(push, **POLICY)],
    "run, retries and timeout without end": [run(push, retries=None, attempt_timeout=1)],
    "run, only other errors are retried": [run(push, retry_on=ValueError, **POLICY)],
    "run, computed timeout": [run(push, retries=1, attempt_timeout=duration(0))],
    "run, computed delay": [run(push, retries=1, base_delay=duration(0))],
    "run, computed cap": [run(push, retries=1, base_delay=1, max_delay=duration(0))],
    "run, jitter": [run(push, retries=1, base_delay=1, jitter="full")],
    "run, collect_as": [run(push, collect_as="got")],
    "each": [each("items", push)],
    "each, retries": [each("items", push, retries=1)],
    "each, no delay": [each("items", push, retries=1, base_delay=0)],
    "each, no delay, decorrelated": [
        each("items", push, retries=3, base_delay=0, backoff=lambda k: 2 - k, jitter="decorrelated")
    ],
    "each, jitter": [each("items", push, retries=1, base_delay=1, jitter="full")],
    "each, equal jitter": [each("items", push, retries=1, base_delay=1, jitter="equal")],
    "each, retries and timeout": [each("items", push, **POLICY)],
    "each, retries and timeout without end": [each("items", push, retries=None, attempt_timeout=1)],
    "each, computed timeout": [each("items", push, attempt_timeout=duration(0))],
    "each, computed delay": [each("items", push, retries=1, base_delay=duration(0))],
    "each, in a loop": [repeat(each("items", push, **POLICY), times=2)],
    "parallel": [parallel([push, push], "got")],
    "parallel, one": [parallel([push], "got")],
    "parallel, none": [parallel([], "got")],
    "parallel, computed": [parallel(tasks(0), "got", timeout=1)],
    "parallel, computed, limit 1": [parallel(tasks(0), "got", limit=1)],
    "parallel, computed, collect": [parallel(tasks(0), "got", on_error="collect")],
    "parallel, timeout": [parallel([push, push], "got", timeout=1)],
    "parallel, computed timeout": [parallel([push, push], "got", timeout=duration(0))],
    "parallel, limit 1": [parallel([push] * 3, "got", limit=1)],
    "parallel, limit 1 and timeout": [parallel([push] * 3, "got", limit=1, timeout=1)],
    "parallel, limit 2": [parallel([push] * 3, "got", limit=2)],
    "parallel, collect": [parallel([push] * 3, "got", on_error="collect")],
    "parallel, collect, one": [parallel([push], "got", on_error="collect", timeout=1)],
    "race": [race([push, push], "got")],
    "race, one": [race([push], "got")],
    "race, one, timeout": [race([push], "got", timeout=1)],
    "race, none": [race([], "got")],
    "race, computed": [race(tasks(0), "got")],
    "race, timeout": [race([push] * 3, "got", timeout=1)],
    "race, computed timeout": [race([push, push], "got", timeout=duration(0))],
}


STATES = (
    Fixed,
    lambda n: {"n": n},
    lambda n: {"n": n, "items": []},
    lambda n: {"n": n, "items": [1]},
    lambda n: {"n": n, "items": [1, 2]},
)


def explored(machine, most_runs=5_000):
    """Walk at random until every way has been taken, and give the ways that have not."""
    random = Random(0)  # noqa: S311 - the same walks each time
    left = {(t.source, t.event, t.target) for t in machine.transitions}
    for _ in range(most_runs):
        if not left:
            break
        walk = Walk(machine, random.choice(STATES)(random.randrange(16)))
        for _ in range(random.randrange(25)):
            if not walk.row.final:
                walk.send(make_event(walk, random.randrange(11), random.randrange(16), random.randrange(48)))
        left -= walk.taken
    return sorted(left)


@pytest.mark.parametrize("steps", FLOWS.values(), ids=FLOWS)
def test_every_way_in_the_table_can_be_taken(steps):
    machine = compile_steps("small", tuple(steps), SIGNALS)
    assert explored(machine) == []
