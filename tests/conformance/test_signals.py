"""How signals and updates come in, and in which order things happen."""

import pytest

from caravela import (
    FlowEndedError,
    ResultTimeoutError,
    SignalArgumentsError,
    StateError,
    UnknownSignalError,
    debounce,
    flow,
    repeat,
    run,
    set_state,
    wait,
    wait_until,
)
from tests.conformance.functions import Held

LONG = 300.0


def note(state, word):
    return {**state, "log": [*state["log"], word]}


def resting(stage, **options):
    signals = {"note": note, "shout": lambda state, word, mark="!": note(state, word.upper() + mark)}
    return stage.start(flow("f", wait(LONG), initial_state={"log": []}, signals=signals), **options)


# Ways to send, and what the log holds then.
WAYS = {
    "a function": (lambda send: send(lambda state: note(state, "a")), ["a"]),
    "a function with arguments": (lambda send: send(note, "a"), ["a"]),
    "a function with keywords": (lambda send: send(note, word="a"), ["a"]),
    "a name": (lambda send: send("note", "a"), ["a"]),
    "a name with keywords": (lambda send: send("shout", "a", mark="?"), ["A?"]),
    "changed fields": (lambda send: send(log=["b"]), ["b"]),
    "a new key of a dict": (lambda send: send(new=1), []),
}


@pytest.mark.parametrize("way", WAYS)
def test_a_signal_and_an_update_are_sent_in_the_same_ways(stage, way):
    send, log = WAYS[way]
    play = resting(stage)
    send(play.signal)
    assert play.update(lambda state: state)["log"] == log
    assert send(resting(stage).update)["log"] == log


def test_declared_signals_appear_by_name_however_they_are_sent(stage):
    play = resting(stage)
    play.signal("note", "a")
    play.signal(note, "b")
    play.update(lambda state: state)
    assert play.path == "sleeping --note--> sleeping --note--> sleeping --signal--> sleeping"


@pytest.mark.parametrize(
    ("args", "error"),
    [(("unknown",), UnknownSignalError), (("note",), SignalArgumentsError), (("note", 1, 2), SignalArgumentsError)],
)
@pytest.mark.parametrize("send", ["signal", "update"])
def test_a_wrong_name_or_wrong_arguments_raise_at_the_sender(stage, send, args, error):
    play = resting(stage)
    with pytest.raises(error):
        getattr(play, send)(*args)
    assert play.path == "sleeping"


def test_signals_are_handled_in_the_order_in_which_they_were_sent(stage):
    play = resting(stage)
    for number in range(100):
        play.signal("note", number)
    assert play.update("note", 100)["log"] == list(range(101))


def test_a_signal_that_raises_changes_nothing_and_restarts_nothing(stage, caplog):
    play = stage.start(flow("f", debounce(LONG), initial_state={"n": 0}))
    play.signal(raising)
    assert play.update(n=1) == {"n": 1}
    assert play.path == "debouncing --signal--> debouncing"
    assert play.told == [("SignalRejected", "raising"), ("FlowState", {"n": 1})]
    assert isinstance(play.messages[0].error, OSError)
    assert caplog.text.count("signal raising of flow 'f' raised") == 1


def test_an_update_that_raises_raises_to_its_caller_only(stage, caplog):
    play = resting(stage)
    with pytest.raises(KeyError):
        play.update(lambda state: state["missing"])
    assert play.path == "sleeping"
    assert play.told == []
    assert "raised" not in caplog.text


@pytest.mark.parametrize("wrong", [None, wait(1)], ids=["None", "a step"])
def test_a_signal_must_give_a_state(stage, wrong):
    play = resting(stage)
    with pytest.raises(StateError):
        play.update(lambda state: wrong)
    assert play.runner.get_state() == {"log": []}


def test_a_signal_gets_a_copy_of_a_dict(stage):
    def spoil(state):
        state["log"] = "spoiled"
        raise KeyError

    play = resting(stage)
    with pytest.raises(KeyError):
        play.update(spoil)
    assert play.runner.get_state() == {"log": []}


def test_get_state_and_update_give_copies_of_a_dict(stage):
    play = resting(stage)
    play.runner.get_state()["log"] = "spoiled"
    play.update(note, "a")["log"] = "spoiled"
    assert play.runner.get_state() == {"log": ["a"]}


def test_an_equal_state_is_stored_and_makes_no_message(stage):
    play = resting(stage)
    equal = []
    assert play.update(log=equal)["log"] is equal
    assert play.told == []


def test_a_comparison_that_raises_counts_as_changed(stage):
    class Odd:
        def __eq__(self, other):
            raise ZeroDivisionError

        __hash__ = None

    play = stage.start(flow("f", wait(LONG), initial_state=Odd()))
    new = Odd()
    assert play.update(lambda _: new) is new
    assert [name for name, _ in play.told] == ["FlowState"]


def test_a_signal_sent_from_a_signal_is_queued_and_not_nested(stage):
    play = resting(stage)

    def outer(state):
        play.runner.signal("note", "inner")
        return note(state, "outer")

    play.update(outer)
    assert play.update("note", "last")["log"] == ["outer", "inner", "last"]


def test_a_signal_sent_from_a_flows_own_function_is_applied_after_it(stage, form):
    work = stage.function(form, lambda state: play.runner.signal("note", "sent"))
    steps = (wait_until(lambda s: s.get("go")), run(work), wait_until(lambda s: False))
    play = stage.start(flow("f", *steps, initial_state={"log": []}, signals={"note": note}))
    play.signal(go=True)
    play.reach("waiting:2")
    stage.until(lambda: play.runner.get_state()["log"], "the signal")
    assert play.path == "waiting:1 --signal--> running(attempt=1) --succeeded--> waiting:2"
    assert play.records[-1].signals == ("note",)


def test_a_signal_sent_from_one_flow_to_another_arrives(stage, form):
    other = resting(stage)
    work = stage.function(form, lambda state: other.runner.signal("note", "hello"))
    stage.start(flow("f", run(work), initial_state=0)).result()
    assert other.update(lambda state: state)["log"] == ["hello"]


def test_a_raising_postponed_signal_is_rejected_and_the_next_one_applies(stage, form):
    work = stage.function(form, Held())
    play = stage.start(flow("f", run(work), wait(LONG), initial_state={"n": 0}))
    work.begun()
    play.signal(raising)
    play.signal(n=1)
    work.release()
    play.reach("sleeping")
    assert play.runner.get_state() == {"n": 1}
    assert play.told == [("SignalRejected", "raising"), ("FlowState", {"n": 1})]
    assert play.records[-1].signals == ("n",)


def raising(state):
    raise OSError


@pytest.mark.parametrize("send", ["signal", "update"])
def test_a_flow_that_has_ended_takes_no_signals(stage, send):
    play = stage.start(flow("f", set_state(n=1), initial_state={"n": 0}))
    play.result()
    with pytest.raises(FlowEndedError):
        getattr(play, send)(n=2)
    assert play.runner.get_state() == {"n": 1}


@pytest.mark.parametrize("end", ["done", "stopped"])
def test_a_loop_that_never_rests_lets_signals_and_stop_through(stage, end):
    """The loop gives way after 1,000 transient states; what was sent by then has its turn."""
    rounds = []

    def count(state):
        rounds.append(state)
        if len(rounds) == 3_000 and end == "done":
            play.runner.signal(leave=True)
        elif len(rounds) == 3_000:
            play.runner.stop()
        return state

    loop = repeat(set_state(count), wait_until(lambda s: True), until=lambda s: s["leave"])
    steps = (wait_until(lambda s: s["go"]), loop)
    play = stage.start(flow("f", *steps, initial_state={"go": False, "leave": False}))
    play.signal(go=True)
    path = play.ends()
    assert 3_000 <= len(rounds) < 4_000
    assert path.startswith("waiting:1 --signal--> again --resumed--> again --resumed--> ")
    assert path.endswith(
        {"done": "again --signal--> again --resumed--> done", "stopped": "again --stop--> stopped"}[end]
    )


def test_an_update_may_time_out_and_is_still_applied(sync_stage):
    work = sync_stage.function("plain", Held())
    play = sync_stage.start(flow("f", run(work), wait(LONG), initial_state={"log": []}, signals={"note": note}))
    work.begun()
    with pytest.raises(ResultTimeoutError):
        play.update("note", "a", timeout=0.01)
    with pytest.raises(TimeoutError):
        play.update(note, "b", timeout=0.01)
    work.release()
    play.reach("sleeping")
    assert play.runner.get_state() == {"log": ["a", "b"]}


def test_history_keeps_the_last_transitions(stage):
    play = stage.start(flow("f", repeat(wait(0.001), times=5), initial_state=0), history=2)
    play.result()
    assert [record.seq for record in play.records][-2:] == [5, 6]
    assert len(play.records) == (6 if stage.name == "virtual" else 2)


def test_history_is_off_by_default(stage):
    runner = stage.begin(flow("f", set_state(n=1), initial_state={}), {})
    stage.result(runner)
    assert bool(runner.history) is (stage.name == "virtual")
    assert runner.trace == runner.history
