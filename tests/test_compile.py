"""From steps to the table: golden tables, names, registers, pruning, the same bytes everywhere."""

import os
import subprocess
import sys
from dataclasses import replace
from functools import partial

import pytest

from caravela import (
    CaravelaError,
    Transition,
    compile_flow,
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
from caravela.compile import PASSES
from caravela.compile.draft import Draft
from caravela.compile.verify import verify


def dirty(state):
    return state["dirty"]


def push(*args):
    """Called by `run` and `each`."""


def charge(*args):
    """Called by `run` and `each`."""


def compiled(*steps, signals=None):
    return flow("golden", *steps, initial_state={}, signals=signals).machine


def names(*steps):
    return [state.name for state in compiled(*steps).states]


# Golden tables: the states as they are titled, then every way out of each, in order.

GOLDEN = {
    "one step": (
        [wait(1)],
        ["sleeping", "done", "stopped"],
        """
        sleeping --elapsed--> done
        sleeping --signal--> sleeping
        sleeping --stop--> stopped
        """,
    ),
    "the seed's book": (
        [repeat(wait_until(dirty), debounce(0.5), run(push, retries=3), set_state(dirty=False))],
        [
            "waiting",
            "debouncing",
            "running(attempt=n)",
            "backoff(attempt=n)",
            "cancelling",
            "set_state",
            "again",
            "failed",
            "stopped",
        ],
        """
        waiting --[condition holds]--> debouncing
        waiting --[the condition failed]--> failed
        waiting --signal [condition holds]--> debouncing
        waiting --signal [condition does not hold]--> waiting
        waiting --signal [the condition failed]--> failed
        waiting --stop--> stopped
        debouncing --elapsed--> running
        debouncing --signal--> debouncing
        debouncing --stop--> stopped
        running --succeeded--> set_state
        running --retried [attempt ≤ retries]--> backoff
        running --failed [attempt ≤ retries]--> backoff
        running --retried [attempt > retries]--> failed
        running --failed [not retried]--> failed
        running --stop--> cancelling
        backoff --[no delay]--> running
        backoff --elapsed [attempt + 1]--> running
        backoff --signal--> backoff
        backoff --stop--> stopped
        cancelling --settled [stopping]--> stopped
        cancelling --abandoned [stopping]--> stopped
        cancelling --signal--> cancelling
        cancelling --stop--> cancelling
        set_state ----> again
        set_state --[the function failed]--> failed
        again ----> waiting
        """,
    ),
    "an attempt that may take too long": (
        [run(push, attempt_timeout=1)],
        ["running(attempt=n)", "cancelling", "done", "failed", "stopped"],
        """
        running --succeeded--> done
        running --timed_out--> cancelling
        running --retried [attempt > retries]--> failed
        running --failed [not retried]--> failed
        running --stop--> cancelling
        cancelling --settled [stopping]--> stopped
        cancelling --settled [timed out, not retried]--> failed
        cancelling --abandoned [stopping]--> stopped
        cancelling --abandoned [timed out, not retried]--> failed
        cancelling --signal--> cancelling
        cancelling --stop--> cancelling
        """,
    ),
    "rounds that are counted": (
        [repeat(wait(1), times=3, until=dirty)],
        ["repeat", "sleeping", "again", "done", "failed", "stopped"],
        """
        repeat ----> sleeping
        sleeping --elapsed--> again
        sleeping --signal--> sleeping
        sleeping --stop--> stopped
        again --[until does not hold, rounds left]--> sleeping
        again --[until holds]--> done
        again --[until failed]--> failed
        again --[rounds done]--> done
        """,
    ),
    "a loop that may have to yield": (
        [repeat(set_state(n=1), times=2000)],
        ["repeat", "set_state", "again", "done", "failed", "stopped"],
        """
        repeat ----> set_state
        set_state ----> again
        set_state --[the function failed]--> failed
        again --[rounds left]--> set_state
        again --[rounds done]--> done
        again --resumed [rounds left]--> set_state
        again --resumed [rounds done]--> done
        again --signal--> again
        again --stop--> stopped
        """,
    ),
    "items": (
        [each("items", push, retries=1)],
        ["iterating(index=i)", "backoff(index=i, attempt=n)", "cancelling", "done", "failed", "stopped"],
        """
        iterating --[no items]--> done
        iterating --[no such field]--> failed
        iterating --succeeded [more items]--> iterating
        iterating --succeeded [last item]--> done
        iterating --skipped [more items]--> iterating
        iterating --skipped [last item]--> done
        iterating --failed [attempt ≤ retries]--> backoff
        iterating --failed [not retried]--> failed
        iterating --stop--> cancelling
        backoff --elapsed [attempt + 1]--> iterating
        backoff --signal--> backoff
        backoff --stop--> stopped
        cancelling --settled [stopping]--> stopped
        cancelling --abandoned [stopping]--> stopped
        cancelling --signal--> cancelling
        cancelling --stop--> cancelling
        """,
    ),
    "tasks": (
        [parallel([push, charge], "got", timeout=1)],
        ["gathering", "cancelling", "done", "failed", "stopped"],
        """
        gathering --task_succeeded--> gathering
        gathering --succeeded [all returned]--> done
        gathering --failed [others in flight]--> cancelling
        gathering --failed [none in flight]--> failed
        gathering --timed_out--> cancelling
        gathering --signal--> gathering
        gathering --stop--> cancelling
        cancelling --settled [stopping]--> stopped
        cancelling --settled [failed]--> failed
        cancelling --abandoned [stopping]--> stopped
        cancelling --abandoned [failed]--> failed
        cancelling --task_settled [others in flight]--> cancelling
        cancelling --signal--> cancelling
        cancelling --stop--> cancelling
        """,
    ),
    "a race": (
        [race([push, charge], "first")],
        ["racing", "cancelling", "done", "failed", "stopped"],
        """
        racing --task_failed--> racing
        racing --succeeded [others in flight]--> cancelling
        racing --failed [others in flight]--> cancelling
        racing --succeeded [none in flight]--> done
        racing --failed [none in flight]--> failed
        racing --signal--> racing
        racing --stop--> cancelling
        cancelling --settled [stopping]--> stopped
        cancelling --settled [won]--> done
        cancelling --settled [failed]--> failed
        cancelling --abandoned [stopping]--> stopped
        cancelling --abandoned [won]--> done
        cancelling --abandoned [failed]--> failed
        cancelling --task_settled [others in flight]--> cancelling
        cancelling --signal--> cancelling
        cancelling --stop--> cancelling
        """,
    ),
    "a condition that may come too late, then a failure": (
        [wait_until(dirty, timeout=60), wait(0), fail("too late")],
        ["waiting", "sleeping", "fail", "failed", "stopped"],
        """
        waiting --[condition holds]--> sleeping
        waiting --[the condition failed]--> failed
        waiting --timed_out--> failed
        waiting --signal [condition holds]--> sleeping
        waiting --signal [condition does not hold]--> waiting
        waiting --signal [the condition failed]--> failed
        waiting --stop--> stopped
        sleeping --[no time to wait]--> fail
        fail ----> failed
        """,
    ),
}


@pytest.mark.parametrize(("steps", "states", "transitions"), GOLDEN.values(), ids=GOLDEN)
def test_the_golden_tables(steps, states, transitions):
    machine = compiled(*steps)
    assert [state.title for state in machine.states] == states
    assert [str(transition) for transition in machine.transitions] == [
        line.strip() for line in transitions.strip().splitlines()
    ]


def test_declared_signals_stand_beside_the_others():
    machine = compiled(wait_until(dirty), signals={"mark": push, "clear": push})
    assert machine.signals == ("mark", "clear")
    assert [t.event for t in machine.transitions if t.guard == "condition does not hold"] == ["signal", "mark", "clear"]


def test_a_sequence_takes_no_state():
    nested = compiled(sequence(wait(1), sequence(wait_until(dirty))))
    plain = compiled(wait(1), wait_until(dirty))
    assert nested.transitions == plain.transitions
    assert [s.path for s in nested.states if s.path] == [
        "sequence[0].wait[0]",
        "sequence[0].sequence[1].wait_until[0]",
    ]


# Names


class Shop:
    def charge(self, *args):
        """A method."""


@pytest.mark.parametrize(
    ("steps", "expected"),
    [
        ([run(push)], ["running"]),
        ([run(push), run(charge)], ["running:push", "running:charge"]),
        ([run(push), run(push)], ["running:push", "running:push_2"]),
        (
            [run(push), run(partial(push, 1)), run(partial(partial(push), 2))],
            [f"running:push{n}" for n in ("", "_2", "_3")],
        ),
        ([run(Shop().charge), run(charge)], ["running:charge", "running:charge_2"]),
        ([run(lambda s: None), run(lambda s: None)], ["running:1", "running:2"]),
        ([run(push), each("items", lambda i, s: None)], ["running", "iterating"]),
        ([run(push, name="a"), run(push)], ["running:a", "running:push"]),
        ([run(push), run(charge, name="push")], ["running:push_2", "running:push"]),
        ([run(lambda s: None), run(push, name="1")], ["running:2", "running:1"]),
        ([wait(1)], ["sleeping"]),
        ([wait(1), wait(2)], ["sleeping:1", "sleeping:2"]),
        ([wait(1, name="nap"), wait(2)], ["sleeping:nap", "sleeping:1"]),
        ([wait(1, name="nap")], ["sleeping"]),
        ([wait_until(dirty), wait_until(dirty)], ["waiting:dirty", "waiting:dirty_2"]),
        ([debounce(1), wait(1), debounce(2)], ["debouncing:1", "sleeping", "debouncing:2"]),
        ([parallel([push], "a"), parallel([push], "b")], ["gathering:a", "gathering:b"]),
        ([race([push], "a"), race([push], "a")], ["racing:a", "racing:a_2"]),
        ([each("a", lambda i, s: None), each("b", lambda i, s: None)], ["iterating:a", "iterating:b"]),
    ],
)
def test_a_name_is_the_shortest_that_is_unique(steps, expected):
    machine = compiled(*steps)
    assert [s.name for s in machine.states if not s.final and s.kind != "cancelling"] == expected


def test_transient_states_are_named_by_their_fields_functions_or_numbers():
    steps = (set_state(a=1, b=2), set_state(push), set_state(lambda s: s), repeat(wait(1), times=1), set_state(a=1))
    assert [s.name for s in compiled(*steps).states if s.transient] == [
        "set_state:a_b",
        "set_state:push",
        "set_state:1",
        "repeat",
        "again",
        "set_state:a",
    ]


def test_the_states_of_one_step_share_its_label():
    machine = compiled(run(push, retries=1), run(charge, retries=1))
    assert [s.name for s in machine.states if s.label == "charge"] == [
        "running:charge",
        "backoff:charge",
        "cancelling:charge",
    ]


def test_a_live_name_has_the_values_of_its_parameters():
    machine = compiled(run(push), run(charge), each("items", push, retries=1))
    assert machine.by_name["running:charge"].live_name({"attempt": 2}) == "running:charge(attempt=2)"
    assert machine.by_name["backoff"].live_name({"attempt": 2, "index": 0}) == "backoff(index=0, attempt=2)"
    assert machine.by_name["done"].live_name({"attempt": 2}) == "done"


@pytest.mark.parametrize(
    ("transition", "shown"),
    [
        (Transition(source="a", event="signal", target="b"), "a --signal--> b"),
        (Transition(source="a", event="", target="b", guard="c"), "a --[c]--> b"),
        (Transition(source="a", event="signal", target="b", guard="c"), "a --signal [c]--> b"),
    ],
)
def test_a_transition_reads_as_an_arrow(transition, shown):
    assert str(transition) == shown


# Registers


@pytest.mark.parametrize(
    ("steps", "registers", "count"),
    [
        ([repeat(wait(1))], {}, 0),
        ([repeat(wait(1), until=dirty)], {}, 0),
        ([repeat(wait(1), times=2)], {"repeat[0]": 0}, 1),
        ([repeat(wait(1), times=2), repeat(wait(1), times=2)], {"repeat[0]": 0, "repeat[1]": 0}, 1),
        ([repeat(repeat(wait(1), times=2), times=2)], {"repeat[0]": 0, "repeat[0].repeat[0]": 1}, 2),
        ([repeat(repeat(wait(1), times=2))], {"repeat[0].repeat[0]": 0}, 1),
        (
            [repeat(repeat(wait(1), times=2), sequence(repeat(wait(1), times=2)), times=2)],
            {"repeat[0]": 0, "repeat[0].repeat[0]": 1, "repeat[0].sequence[1].repeat[0]": 1},
            2,
        ),
    ],
    ids=["endless", "until", "counted", "siblings", "nested", "inside an endless one", "siblings inside"],
)
def test_counted_loops_take_a_register_and_siblings_share_it(steps, registers, count):
    machine = compiled(*steps)
    assert machine.registers == count
    assert {s.path: s.register for s in machine.states if s.register >= 0} == registers


# Requirements


def test_the_fields_that_steps_name_are_listed_in_order():
    machine = compiled(
        each("items", push), repeat(run(push, collect_as="got"), times=1), parallel([], "all"), race([push], "first")
    )
    assert [(need.option, need.field, need.path) for need in machine.requirements] == [
        ("key", "items", "each[0]"),
        ("collect_as", "got", "repeat[1].run[0]"),
        ("collect_as", "all", "parallel[2]"),
        ("collect_as", "first", "race[3]"),
    ]


# Pruning


@pytest.mark.parametrize(
    ("steps", "missing"),
    [
        ([wait(1)], {"failed"}),
        ([repeat(wait(1))], {"done", "failed"}),
        ([set_state(n=1)], {"stopped"}),
        ([fail("no")], {"done", "stopped"}),
        ([parallel([], "got")], {"stopped", "cancelling"}),
        ([race([], "got")], {"done", "stopped", "cancelling"}),
        ([repeat(debounce(1), times=0)], {"debouncing", "again", "failed", "stopped"}),
    ],
)
def test_what_nothing_can_reach_is_left_out(steps, missing):
    found = set(names(*steps))
    assert not found & missing
    assert {"done", "failed", "stopped"} - missing <= found


def test_final_states_come_last():
    machine = compiled(run(push, retries=1), wait(1))
    assert [s.final for s in machine.states] == [False] * 4 + [True] * 3
    assert [s.kind for s in machine.states if s.final] == ["done", "failed", "stopped"]
    assert machine.initial.name == "running"


def test_the_states_know_their_places():
    machine = compiled(repeat(wait_until(dirty), run(push, retries=2), times=2))
    assert [s.index for s in machine.states] == list(range(len(machine.states)))
    assert [row[0] for row in machine.rows] == [s.kind for s in machine.states]
    assert all(row[3] is s for row, s in zip(machine.rows, machine.states, strict=True))
    again = machine.by_name["again"]
    assert (machine.states[again.body].name, machine.states[again.next].name) == ("waiting", "done")


# The same bytes everywhere

PROGRAM = """
from caravela import *
def push(*args): ...
def mark(state): return state
signals = {name: mark for name in ("mark", "clear", "alpha", "omega", "x", "y")}
machine = flow("f", repeat(
    wait_until(push, timeout=1), debounce(1, max_wait=2), set_state(a=1, b=2, c=3), wait(1, name="nap"), wait(2),
    run(push, retries=3, attempt_timeout=1, collect_as="x"), run(push, retries=None), each("items", push, retries=1),
    parallel({"one": push, "two": push}, "got", timeout=1), race([push, push], "first"), repeat(wait(1), times=3),
), initial_state={}, signals=signals).machine
print(repr(machine))
print(*machine.transitions, sep="\\n")
print(machine.to_mermaid(), machine.to_dot(), machine.to_text())
"""


def printed(seed):
    environment = {**os.environ, "PYTHONHASHSEED": seed, "PYTHONIOENCODING": "utf-8"}
    return subprocess.run(  # noqa: S603 - our own program
        [sys.executable, "-c", PROGRAM], env=environment, capture_output=True, check=True
    ).stdout


def test_two_processes_with_different_hash_seeds_make_the_same_table():
    tables = [printed(seed) for seed in ("0", "1", "4242")]
    assert b"running:push_2" in tables[0]
    assert tables[0] == tables[1] == tables[2]


def test_compiling_anew_gives_an_equal_table():
    golden = flow("golden", run(push, retries=2), initial_state={}, signals={"mark": push})
    anew = compile_flow(golden)
    assert anew is not golden.machine
    assert anew == golden.machine
    assert hash(anew) == hash(golden.machine)
    assert anew.signals == ("mark",)


def test_what_is_compiled_is_kept():
    golden = flow("golden", wait(1), initial_state={})
    machine = golden.machine
    assert golden.machine is machine
    assert machine.by_name is machine.by_name
    assert machine.outgoing is machine.outgoing


def test_outgoing_has_every_state_and_every_transition():
    machine = compiled(run(push, retries=2), set_state(n=1))
    assert list(machine.outgoing) == [s.name for s in machine.states]
    assert tuple(t for ways in machine.outgoing.values() for t in ways) == machine.transitions
    assert machine.outgoing["done"] == ()


# A mistake of the compiler is found when it compiles


def draft_of(*steps):
    draft = Draft(flow="golden", steps=steps, signals={})
    for one_pass in PASSES:
        draft = one_pass(draft)
    return draft


def renamed(draft):
    first, second, *rest = draft.states
    return replace(draft, states=(first, replace(second, name=first.name), *rest))


def left_at_the_end(draft):
    return replace(draft, transitions=(*draft.transitions, Transition(source="done", event="", target="sleeping")))


def never_left(draft):
    return replace(draft, transitions=tuple(t for t in draft.transitions if t.source != "sleeping"))


def led_nowhere(draft):
    return replace(draft, transitions=(*draft.transitions, Transition(source="sleeping", event="x", target="gone")))


def led_from_nowhere(draft):
    return replace(draft, transitions=(*draft.transitions, Transition(source="gone", event="x", target="done")))


@pytest.mark.parametrize(
    ("breaks", "fault"),
    [
        (renamed, "two states are called set_state"),
        (left_at_the_end, "done is final and can be left"),
        (never_left, "sleeping cannot be left"),
        (led_nowhere, "sleeping --x--> gone leads nowhere"),
        (led_from_nowhere, "gone --x--> done leads nowhere"),
    ],
)
def test_verify_finds_a_broken_table(breaks, fault):
    good = draft_of(set_state(n=1), wait(1))
    assert verify(good) is good
    with pytest.raises(CaravelaError, match="the compiler made a wrong table") as found:
        verify(breaks(good))
    assert fault in str(found.value)
    assert found.value.flow == "golden"
