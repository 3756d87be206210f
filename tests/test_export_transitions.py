"""`to_transitions`: a real `transitions.Machine` that allows what the core does, and nothing else that was tried."""

import logging
from dataclasses import dataclass

import pytest
import transitions
from hypothesis import given, settings
from hypothesis import strategies as st

from caravela.compile import compile_steps
from caravela.core import Record, advance, machine_state, start
from caravela.core import events as e
from caravela.core.snapshot import AT, DUE, TOKEN
from caravela.errors import ExportError
from caravela.export import to_transitions
from caravela.outcomes import Abort, Fail, Ok, Retry, Skip
from caravela.steps import debounce, each, fail, parallel, race, repeat, run, set_state, wait, wait_until
from tests.walk import walk


@dataclass(frozen=True)
class Step:
    """One step of a trace."""

    source: str
    event: str
    target: str


def steps(*chain):
    """Make the steps of `source, event, target, event, target, …`."""
    return [Step(*chain[i : i + 3]) for i in range(0, len(chain) - 2, 2)]


def push(state):
    """A function to run."""


def sync_book(signals=None):
    round_ = (wait_until(lambda state: state["dirty"]), debounce(0.5), set_state(dirty=False), run(push, retries=3))
    return compile_steps("sync_book", (repeat(*round_),), signals)


def ways(exported):
    return [
        (way.source, event.name, way.dest)
        for event in exported.events.values()
        for found in event.transitions.values()
        for way in found
    ]


# What is made


def test_it_is_flat_and_ordered_as_the_table():
    exported = to_transitions(sync_book())
    assert type(exported) is transitions.Machine
    assert exported.auto_transitions is False
    assert exported.send_event is False
    assert list(exported.states) == ["waiting", "debouncing", "running", "backoff", "cancelling", "failed", "stopped"]
    assert [name for name, state in exported.states.items() if state.final] == ["failed", "stopped"]
    assert exported.initial == exported.model.state == "waiting"


def test_no_way_is_listed_twice():
    found = ways(to_transitions(sync_book({"mark_dirty": lambda state: state})))
    assert len(found) == len(set(found))


def test_a_move_goes_through_what_is_passed():
    found = ways(to_transitions(sync_book()))
    assert ("debouncing", "elapsed", "running") in found  # through `set_state`
    assert ("debouncing", "elapsed", "failed") in found
    assert ("running", "succeeded", "waiting") in found
    assert ("running", "succeeded", "debouncing") in found  # through `waiting`, whose condition holds
    assert ("running", "failed", "running") in found  # through `backoff`, without a delay
    assert ("debouncing", "signal", "debouncing") in found


def test_the_first_way_is_taken_unless_a_target_is_given():
    model = to_transitions(sync_book()).model
    assert model.trigger("signal")
    assert model.state == "debouncing"
    assert model.trigger("elapsed", target="failed")
    assert model.state == "failed"


def test_a_target_that_the_event_does_not_lead_to_is_refused():
    model = to_transitions(sync_book()).model
    assert not model.trigger("signal", target="running")
    with pytest.raises(transitions.MachineError):
        model.trigger("elapsed")
    assert model.state == "waiting"


def test_targets_may_be_live_names():
    model = to_transitions(sync_book(), initial="running(attempt=3)").model
    assert model.trigger("failed", target="backoff(attempt=3)")
    assert model.trigger("elapsed", target="running(attempt=4)")
    assert model.state == "running"


def test_a_model_of_ones_own_is_moved_and_its_callbacks_are_called():
    class Book:
        def __init__(self):
            self.seen = []

        def __len__(self):
            return 0  # `transitions` takes an empty model for none

        def on_enter_debouncing(self, **given):
            self.seen.append(given)

    book = Book()
    exported = to_transitions(sync_book(), model=book)
    assert exported.model is book
    book.signal(target="debouncing")
    assert book.seen == [{"target": "debouncing"}]


def test_it_begins_at_the_first_place_to_rest():
    machine = compile_steps("f", (set_state(a=1), wait(0), wait_until(bool), wait(1)))
    assert to_transitions(machine).model.state == "waiting"
    assert to_transitions(machine, initial="sleeping:2").model.state == "sleeping:2"
    assert "sleeping:1" not in to_transitions(machine).states  # nothing ever rests there
    with pytest.raises(ExportError, match="no state 'sleeping:1' to begin in; there are waiting, "):
        to_transitions(machine, initial="sleeping:1")


def test_a_flow_that_only_passes_through_begins_at_its_end():
    assert to_transitions(compile_steps("f", (set_state(a=1),))).model.state == "done"


def test_a_loop_head_at_which_a_run_yields_is_a_state():
    machine = compile_steps("f", (repeat(set_state(a=1), wait_until(bool), times=5_000),))
    exported = to_transitions(machine)
    walk(exported, steps("waiting", "signal", "again", "resumed", "again", "signal", "again", "stop", "stopped"))


# Names


@pytest.mark.parametrize(
    "name", ["trigger", "state", "class_", "may_trigger", "is_waiting", "events", "model", "to", "_"]
)
def test_signals_may_have_names_that_transitions_uses_itself(name, caplog):
    machine = sync_book({name: lambda state: state})
    with caplog.at_level(logging.CRITICAL):
        exported = to_transitions(machine)
    assert exported.model.state == "waiting"
    assert exported.model.trigger(name, target="waiting")
    assert exported.events[name].trigger(exported.model, target="debouncing")
    assert exported.model.state == "debouncing"


def test_a_signal_with_the_name_of_a_callback_is_refused():
    with pytest.raises(ExportError, match="the signal 'on_enter_waiting' has the name of a callback"):
        to_transitions(sync_book({"on_enter_waiting": lambda state: state}))


def test_labels_may_hold_anything():
    machine = compile_steps("f", (wait(1, name="*"), wait(1, name="= é ->"), run(push, name="_a.b")))
    walk(to_transitions(machine), steps("sleeping:*", "elapsed", "sleeping:= é ->", "elapsed", "running(attempt=1)"))


# Unrolled


def test_unrolled_there_is_one_state_for_each_attempt():
    exported = to_transitions(sync_book(), unroll=True)
    assert [name for name in exported.states if "(" in name] == [
        *(f"running(attempt={n})" for n in (1, 2, 3, 4)),
        *(f"backoff(attempt={n})" for n in (1, 2, 3)),
    ]
    found = ways(exported)
    assert ("running(attempt=2)", "failed", "backoff(attempt=2)") in found
    assert ("backoff(attempt=2)", "elapsed", "running(attempt=3)") in found
    assert ("backoff(attempt=2)", "signal", "backoff(attempt=2)") in found
    assert ("running(attempt=4)", "retried", "failed") in found
    assert ("running(attempt=4)", "failed", "failed") in found
    assert ("running(attempt=3)", "retried", "failed") not in found
    assert not [way for way in found if way[0] == "running(attempt=4)" and "backoff" in way[2]]
    assert {way[2] for way in found if way[1] == "elapsed" and way[0] == "debouncing"} == {
        "running(attempt=1)",
        "failed",
    }


def test_unrolled_live_names_are_taken_as_they_are():
    model = to_transitions(sync_book(), unroll=True, initial="running(attempt=1)").model
    assert not model.trigger("failed", target="backoff(attempt=2)")
    assert model.trigger("failed", target="backoff(attempt=1)")


def test_what_has_no_bound_cannot_be_unrolled():
    endless = compile_steps("f", (run(push, retries=None),))
    with pytest.raises(ExportError, match="with retries=None there is no last attempt") as refused:
        to_transitions(endless, unroll=True)
    assert "step run[0], machine state running(attempt=n)" in str(refused.value)
    items = compile_steps("f", (each("xs", lambda x, state: None),))
    with pytest.raises(ExportError, match="how many items there are is known only when it runs"):
        to_transitions(items, unroll=True)
    for machine in (endless, items):
        to_transitions(machine)


# The judge


def test_the_judge_names_the_first_step_that_is_not_legal():
    legal = steps("waiting", "signal", "debouncing", "elapsed", "running(attempt=1)")
    for wrong, message in [
        (Step("running(attempt=1)", "elapsed", "waiting"), "'elapsed' leads to \\[\\]; taken so far"),
        (Step("running(attempt=1)", "succeeded", "running(attempt=1)"), "'succeeded' leads to \\['waiting', "),
        (Step("backoff(attempt=1)", "elapsed", "running(attempt=2)"), "the run stood at 'running'"),
        (Step("running(attempt=1)", "exploded", "waiting"), "no event 'exploded'"),
        (Step("running(attempt=1)", "succeeded", "set_state"), "step 2, .* not allowed"),
    ]:
        with pytest.raises(AssertionError, match=message):
            walk(to_transitions(sync_book()), [*legal, wrong])
    with pytest.raises(AssertionError, match="no state 'set_state'; it is the first step"):
        walk(to_transitions(sync_book()), [Step("set_state", "elapsed", "waiting")])


def test_the_judge_takes_a_record_of_the_start():
    begin = Step("", "start", "running(attempt=1)")
    walk(to_transitions(sync_book()), [begin, *steps("running(attempt=1)", "succeeded", "waiting")])
    with pytest.raises(AssertionError, match=r"step 0, .* stood at 'running'"):
        walk(to_transitions(sync_book()), [begin, *steps("waiting", "signal", "debouncing")])


# What the core does is legal


def flip(state):
    return {**state, "on": not state["on"]}


def maybe_none(state):
    return [] if state["on"] else [push, push]


UNROLLABLE = (
    wait_until(lambda state: state["on"], timeout=5),
    debounce(0.5, max_wait=2),
    set_state(flip),
    wait(lambda state: 0 if state["on"] else 1),
    run(push, retries=2, attempt_timeout=3, base_delay=lambda state: 0 if state["on"] else 1),
    run(push, retries=1),
    parallel([push, push], "got", timeout=3),
    parallel([push, push], "got", limit=1, on_error="collect"),
    race(maybe_none, "got", timeout=2),
)
FOLDED_ONLY = (each("items", lambda item, state: None, retries=1), run(push, retries=None, jitter="full"))
OUTCOMES = (
    None,
    Ok(),
    Retry(),
    Retry(after=0),
    Fail("no"),
    Abort("no"),
    Skip(),
    3,
    ValueError("no"),
    KeyboardInterrupt(),
)

sequences = st.lists(st.sampled_from(UNROLLABLE), min_size=1, max_size=3, unique=True)
folded_sequences = st.lists(st.sampled_from(UNROLLABLE + FOLDED_ONLY), min_size=1, max_size=3, unique=True)


def build(chosen, loop, ending):
    body = repeat(*chosen, set_state(flip), times=2, until=lambda state: state["n"] > 2) if loop else None
    return compile_steps("f", (body, ending) if body else (*chosen, ending), {"flip": flip})


def recorded(machine, choices):
    """Drive a run of the core by random choices and give its trace."""
    snapshot = start(machine, {"on": False, "n": 0, "items": [1, 2], "got": None})
    now, trace = 0.0, []
    for what, outcome, index in choices:
        row = machine.states[snapshot[AT]]
        if row.final:
            break
        now += 0.1
        token = snapshot[TOKEN]
        event = {
            "signal": e.signal(now, flip, (), {}, "flip") if not row.postpones else e.resumed(now),
            "anonymous": e.signal(now, flip, (), {}) if not row.postpones else e.resumed(now),
            "elapsed": e.elapsed(max(now, snapshot[DUE]), snapshot[DUE]) if snapshot[DUE] < 1e9 else e.resumed(now),
            "ended": e.raised(now, token, outcome, index)
            if isinstance(outcome, BaseException)
            else e.returned(now, token, outcome, index),
            "settled": e.settled(now, token, index),
            "abandoned": e.abandoned(now, token, index),
            "stop": e.stop(now),
        }[what]
        now = max(now, event[1])
        record, before = Record(), machine_state(machine, snapshot)
        snapshot = advance(machine, snapshot, event, record)
        if record.event:
            trace.append(Step(before, record.event, machine_state(machine, snapshot)))
    return trace


choices = st.lists(
    st.tuples(
        st.sampled_from(
            ["signal", "anonymous", "elapsed", "elapsed", "ended", "ended", "settled", "abandoned", "stop"]
        ),
        st.sampled_from(OUTCOMES),
        st.integers(0, 1),
    ),
    max_size=25,
)
endings = st.sampled_from([wait(1), fail("the end"), run(push)])


@given(sequences, st.booleans(), endings, choices)
@settings(deadline=None, max_examples=200)
def test_every_run_of_the_core_is_a_legal_path_of_the_unrolled_machine(chosen, loop, ending, choices):
    machine = build(chosen, loop, ending)
    trace = recorded(machine, choices)
    walk(to_transitions(machine), trace)
    walk(to_transitions(machine, unroll=True), trace, folded=False)


@given(folded_sequences, st.booleans(), endings, choices)
@settings(deadline=None, max_examples=200)
def test_every_run_of_the_core_is_a_legal_path(chosen, loop, ending, choices):
    machine = build(chosen, loop, ending)
    walk(to_transitions(machine), recorded(machine, choices))
