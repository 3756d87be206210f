"""What `notify` and subscribers are told."""

import queue

import pytest

from caravela import (
    BackendError,
    Fail,
    FlowDone,
    FlowEndedError,
    FlowState,
    StepFailedError,
    debounce,
    flow,
    parallel,
    repeat,
    run,
    set_state,
    wait,
    wait_until,
)
from tests.conformance.functions import Held
from tests.conformance.harness import told

LONG = 300.0


def add(state, n=1):
    return state + n


COUNTING = flow("count", set_state(add), set_state(lambda n: n), set_state(add), initial_state=0)
COUNTED = [("FlowState", 1), ("FlowState", 2), ("FlowDone", 2)]


def test_every_change_is_told_in_order_and_then_one_end(stage):
    play = stage.start(COUNTING)
    play.result()
    assert play.told == COUNTED


@pytest.mark.parametrize("kind", [queue.Queue, queue.SimpleQueue])
def test_notify_may_be_a_queue(stage, kind):
    messages = kind()
    stage.result(stage.begin(COUNTING, {"notify": messages}))
    assert told([messages.get_nowait() for _ in range(3)]) == COUNTED
    assert messages.empty()


async def async_notify(message):
    raise NotImplementedError


@pytest.mark.parametrize("notify", [queue.Queue(maxsize=5), async_notify, 7], ids=["bounded", "async", "no function"])
def test_what_cannot_take_every_message_is_refused(stage, notify):
    with pytest.raises(BackendError):
        stage.begin(COUNTING, {"notify": notify})
    assert stage.backend.statistics().running == 0


def test_messages_carry_tag_runner_id_seq_and_time(stage):
    tag = object()
    play = stage.start(flow("f", wait(0.01), set_state(add), initial_state=0), tag=tag)
    play.result()
    first, last = play.messages
    assert first.tag is last.tag is play.runner.tag is tag
    assert first.runner_id == last.runner_id == play.runner.id
    assert (first.seq, last.seq) == (1, 2)
    assert play.records[0].time + 0.01 <= first.time <= last.time


def test_the_failure_is_told_with_its_reason(stage, form):
    play = stage.start(flow("f", run(stage.function(form, Fail("text")), retries=1, base_delay=0), initial_state=5))
    play.ends()
    (message,) = play.messages
    assert (message.reason, message.state, message.step, message.machine_state) == (
        "text",
        5,
        "run[0]",
        "running(attempt=2)",
    )
    assert isinstance(message.error, StepFailedError)
    assert len(message.attempts) == 2
    assert message.compensation_errors == ()


def test_the_stop_is_told(stage):
    play = stage.start(flow("f", wait(LONG), initial_state=5))
    play.stop()
    assert play.told == [("FlowStopped", 5)]


def test_told_states_are_copies_of_a_dict(stage):
    play = stage.start(flow("f", wait(LONG), initial_state={"n": 0}))
    play.update(n=1)
    play.messages[0].state["n"] = "spoiled"
    assert play.runner.get_state() == {"n": 1}


@pytest.mark.parametrize("error", [OSError("boom"), KeyboardInterrupt()], ids=repr)
def test_a_raising_notify_is_logged_and_changes_nothing(stage, caplog, error):
    messages = []

    def notify(message):
        messages.append(message)
        raise error

    assert stage.result(stage.begin(COUNTING, {"notify": notify})) == 2
    assert told(messages) == COUNTED
    assert caplog.text.count("notify raised") == 3


@pytest.mark.parametrize("end", ["FlowStopped", "FlowDone"])
def test_signals_still_queued_at_the_end_are_rejected_before_the_final_message(stage, end):
    """They are sent by the signal after which the flow ends, so they are queued behind it."""
    play = stage.start(flow("f", wait_until(lambda n: n < 0), initial_state=1))

    def last(state):
        if end == "FlowStopped":
            play.runner.stop()
        play.runner.signal(add)
        play.runner.signal(raising)
        return state if end == "FlowStopped" else -1

    play.signal(last)
    play.ends()
    assert [name for name, _ in play.told if name != "FlowState"] == ["SignalRejected", "SignalRejected", end]
    assert [message.signal for message in play.messages[-3:-1]] == ["add", "raising"]
    assert all(isinstance(message.error, FlowEndedError) for message in play.messages[-3:-1])


def raising(state):
    raise OSError


def test_postponed_signals_are_applied_before_a_stop(stage, form):
    work = stage.function(form, Held())
    play = stage.start(flow("f", run(work), initial_state=0))
    work.begun()
    play.signal(add)
    play.stop()
    work.release()
    assert play.told == [("FlowState", 1), ("FlowStopped", 1)]


def test_a_subscriber_hears_the_state_of_the_moment_first_and_the_end_last(stage):
    play = stage.start(flow("f", wait_until(lambda n: n >= 2), initial_state=0))
    play.update(add)
    subscription = play.subscribe()
    play.signal(add)
    messages = stage.collected(subscription)
    assert told(messages) == [("FlowState", 1), ("FlowState", 2), ("FlowDone", 2)]
    assert [message.seq for message in messages] == [1, 2, 3]
    assert stage.collected(subscription) == []


def test_every_subscriber_hears_everything_however_slow(stage):
    play = stage.start(flow("f", wait_until(lambda n: n >= 100), initial_state=0), notify=None)
    slow, other = play.subscribe(), play.subscribe()
    for _ in range(100):
        play.signal(add)
    play.result()
    expected = [*(("FlowState", n) for n in range(101)), ("FlowDone", 100)]
    assert told(stage.collected(slow)) == told(stage.collected(other)) == expected


def test_a_subscriber_after_the_end_still_hears_of_it(stage):
    play = stage.start(COUNTING, notify=None)
    play.result()
    assert told(stage.collected(play.subscribe())) == [("FlowState", 2), ("FlowDone", 2)]


def test_a_subscriber_that_leaves_leaves_the_others_alone(stage):
    play = stage.start(flow("f", wait_until(lambda n: n >= 1), initial_state=0))
    leaving, dropped, staying = play.subscribe(), play.subscribe(), play.subscribe()
    play.update(lambda n: n)
    leaving.close()
    del dropped
    play.signal(add)
    assert told(stage.collected(staying)) == [("FlowState", 0), ("FlowState", 1), ("FlowDone", 1)]
    assert stage.collected(leaving) == []


def test_notify_and_subscribers_hear_the_same(stage):
    play = stage.start(flow("f", wait_until(lambda n: n >= 3), initial_state=0))
    subscription = play.subscribe()
    for _ in range(3):
        play.signal(add)
    first, *others = stage.collected(subscription)
    assert others == play.messages
    assert isinstance(first, FlowState)
    assert isinstance(others[-1], FlowDone)


def test_a_change_in_every_kind_of_step_is_told(stage, form):
    work = stage.function(form, lambda n: n and None)
    steps = (
        set_state(n=1),
        debounce(0.001),
        run(stage.function(form, 2), collect_as="n"),
        repeat(set_state(n=3), times=2),
        parallel([stage.function(form, 4)], "n"),
    )
    play = stage.start(flow("f", *steps, initial_state={"n": 0}))
    play.result()
    assert [state["n"] for _, state in play.told] == [1, 2, 3, [4], [4]]
    assert work.calls == []
