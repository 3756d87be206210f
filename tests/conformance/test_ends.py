"""Stopping, failing, leaving the `with` block, and who hears of it."""

import asyncio
import gc
import logging
from contextlib import suppress
from functools import partial

import pytest

from caravela import (
    Fail,
    FlowEndedError,
    FlowError,
    FlowStoppedError,
    ResultTimeoutError,
    debounce,
    each,
    fail,
    flow,
    parallel,
    race,
    run,
    set_state,
    wait,
    wait_until,
)
from tests.conformance.functions import Gate, Held

LONG = 300.0


# --- stop -----------------------------------------------------------------------------------------------------------

# A step, made of a function that is held, and the machine state in which it rests.
RESTING = {
    "sleeping": lambda work: wait(LONG),
    "waiting": lambda work: wait_until(lambda s: False),
    "debouncing": lambda work: debounce(LONG),
    "backoff(attempt=1)": lambda work: run(lambda s: Fail("x"), retries=1, base_delay=LONG),
}
INVOKING = {
    "running(attempt=1)": run,
    "iterating(index=0)": lambda work: each("items", work),
    "gathering": lambda work: parallel([work], "result"),
    "racing": lambda work: race([work], "result"),
}
SETTLING = {"plain": "abandoned", "async": "settled"}


@pytest.mark.parametrize("machine_state", RESTING)
def test_stop_ends_a_flow_that_rests(stage, machine_state):
    play = stage.start(flow("f", RESTING[machine_state](None), initial_state={"n": 1}))
    play.reach(machine_state)
    play.stop()
    assert play.path.endswith(f"{machine_state} --stop--> stopped")
    with pytest.raises(FlowStoppedError) as caught:
        play.result()
    assert caught.value.state == {"n": 1}
    assert caught.value.compensation_errors == ()


@pytest.mark.parametrize("machine_state", INVOKING)
def test_stop_cancels_functions_first(stage, form, machine_state):
    work = stage.function(form, Held())
    play = stage.start(flow("f", INVOKING[machine_state](work), initial_state={"items": [1, 2]}))
    work.begun()
    play.stop()
    assert play.path == f"{machine_state} --stop--> cancelling --{SETTLING[form]}--> stopped"
    assert len(work.calls) == 1
    assert stage.backend.statistics().abandoned_total == (form == "plain")
    work.release()
    stage.until(lambda: stage.backend.statistics().abandoned == 0, "the end of the abandoned function")


def cancelling(stage, *steps):
    """Give a flow that cancels an async function which takes its time to end, and the gate at which that one waits."""
    begun, gate = Gate(), Gate()

    async def fast():
        await begun.passed()
        return "fast"

    async def slow():
        begun.open()
        with suppress(asyncio.CancelledError):
            await asyncio.sleep(LONG)
        await gate.passed()
        return "slow"

    play = stage.start(flow("f", race([fast, slow], "winner"), *steps, initial_state={"n": 0}))
    play.reach("cancelling")
    return play, gate


def test_stop_while_cancelling_waits_for_the_function_and_then_stops(stage):
    play, gate = cancelling(stage, wait(LONG))
    play.ask_to_stop()
    play.reach("cancelling", times=2)
    assert not play.runner.done()
    gate.open()
    assert play.ends() == "racing --succeeded--> cancelling --stop--> cancelling --settled--> stopped"


def test_stopping_twice_is_stopping_once(stage):
    play, gate = cancelling(stage, wait(LONG))
    play.ask_to_stop()
    play.ask_to_stop()
    gate.open()
    play.stop()
    assert play.records[-1].target == "stopped"
    assert [name for name, _ in play.told] == ["FlowState", "FlowStopped"]


def test_stopping_a_flow_that_has_ended_does_nothing(stage):
    play = stage.start(flow("f", set_state(n=1), initial_state={}))
    play.result()
    play.stop()
    assert play.result() == {"n": 1}
    assert play.path == "done"


def test_signals_apply_while_a_function_is_being_cancelled(stage):
    play, gate = cancelling(stage)
    assert play.update(n=1) == {"n": 1, "winner": "fast"}
    gate.open()
    assert play.result() == {"n": 1, "winner": "fast"}


def test_a_value_that_is_returned_after_the_cancel_is_dropped(stage):
    play, gate = cancelling(stage, wait(LONG))
    gate.open()
    play.reach("sleeping")
    assert play.path == "racing --succeeded--> cancelling --settled--> sleeping"
    assert play.runner.get_state() == {"n": 0, "winner": "fast"}


def test_no_attempt_starts_after_a_stop(stage, form):
    work = stage.function(form, Held(Fail("x")), None)
    play = stage.start(flow("f", run(work, retries=5, base_delay=0), initial_state=0))
    work.begun()
    play.stop()
    work.release()
    assert len(work.calls) == 1


def test_an_update_that_waits_when_the_flow_ends_raises(sync_stage):
    """The update is sent while the loop is in the middle of the signal after which the flow ends."""
    gate, raised = Gate(), []
    play = sync_stage.start(flow("f", wait_until(lambda s: s["over"]), initial_state={"over": False}))

    def last(state):
        gate.wait()
        return {"over": True}

    if sync_stage.name == "virtual":
        gate.open()
    play.signal(last)
    gate.open()
    try:
        play.update(lambda state: state)
    except FlowEndedError as error:
        raised.append(error)
    assert play.result() == {"over": True}
    assert len(raised) == 1


# --- results and failures -------------------------------------------------------------------------------------------


def test_the_result_is_the_final_state_every_time(stage):
    play = stage.start(flow("f", set_state(n=1), initial_state={}))
    play.result()["n"] = "spoiled"
    assert play.result() == {"n": 1}
    assert play.runner.done()


@pytest.mark.parametrize("reason", ["text", {"code": 7}, KeyError("missing")], ids=repr)
def test_the_reason_is_what_was_given_and_the_cause_is_an_exception(stage, reason):
    play = stage.start(flow("f", wait(0), fail(reason), initial_state=5))
    with pytest.raises(FlowError) as caught:
        play.result()
    error = caught.value
    assert error.reason is reason
    assert isinstance(error.__cause__, BaseException)
    assert getattr(error.__cause__, "reason", reason) is reason
    assert (error.state, error.step, error.attempts, error.compensation_errors) == (
        5,
        "fail[1]",
        (),
        (),
    )


def test_a_result_may_time_out_and_the_flow_goes_on(sync_stage):
    play = sync_stage.start(flow("f", wait_until(lambda s: s["over"]), initial_state={"over": False}))
    with pytest.raises(ResultTimeoutError):
        play.runner.result(timeout=0.01)
    play.signal(over=True)
    assert play.result() == {"over": True}


def test_a_stop_may_time_out_and_is_still_about_to_stop(sync_stage):
    play, gate = cancelling(sync_stage, wait(LONG))
    with pytest.raises(ResultTimeoutError):
        play.runner.stop(timeout=0.01)
    gate.open()
    assert play.ends().endswith("stopped")


# --- the `with` block -----------------------------------------------------------------------------------------------


def test_leaving_the_block_stops_the_flow(stage):
    runner = stage.begin(flow("f", wait(LONG), initial_state=0), {})
    stage.inside(runner, lambda: None)
    assert runner.machine_state == "stopped"


def test_leaving_the_block_of_a_flow_that_is_done_is_quiet(stage):
    runner = stage.begin(flow("f", set_state(n=1), initial_state={}), {})
    stage.inside(runner, partial(stage.until, runner.done, "the end"))
    assert stage.result(runner) == {"n": 1}


def failing(stage):
    return stage.begin(flow("f", fail("text"), initial_state=0), {})


def test_leaving_the_block_raises_a_failure_that_nobody_has_seen(stage, caplog):
    runner = failing(stage)
    with pytest.raises(FlowError) as caught:
        stage.inside(runner, partial(stage.until, runner.done, "the end"))
    assert caught.value.reason == "text"
    del runner, caught
    gc.collect()
    assert "nobody asked" not in caplog.text


def test_leaving_the_block_does_not_raise_a_failure_that_was_seen(stage):
    runner = failing(stage)

    def see():
        stage.until(runner.done, "the end")
        with pytest.raises(FlowError):
            runner.result()

    stage.inside(runner, see)


def test_leaving_the_block_by_an_exception_lets_that_one_through(stage):
    runner = failing(stage)

    def leave():
        stage.until(runner.done, "the end")
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        stage.inside(runner, leave)
    with pytest.raises(FlowError):
        stage.result(runner)


# --- failures that nobody sees --------------------------------------------------------------------------------------


def complaints(caplog):
    return [record for record in caplog.records if "nobody asked for its result" in record.getMessage()]


def test_a_failure_at_which_nobody_looks_is_logged_once(stage, caplog):
    runner = failing(stage)
    stage.until(runner.done, "the end")
    del runner
    stage.until(lambda: gc.collect() >= 0 and complaints(caplog), "the complaint")
    (complaint,) = complaints(caplog)
    assert complaint.levelno == logging.ERROR
    assert complaint.exc_info[1].args == ("text",)
    stage.close()
    gc.collect()
    assert len(complaints(caplog)) == 1


def ask_for_the_result(stage, runner):
    with pytest.raises(FlowError):
        stage.result(runner)


def read_the_messages(stage, runner):
    stage.collected(stage.do(runner.subscribe))


@pytest.mark.parametrize("look", [ask_for_the_result, read_the_messages])
def test_a_failure_that_somebody_sees_is_not_logged(stage, caplog, look):
    runner = failing(stage)
    stage.until(runner.done, "the end")
    look(stage, runner)
    del runner
    gc.collect()
    stage.close()
    gc.collect()
    assert complaints(caplog) == []


def test_a_failure_that_notify_hears_of_is_not_logged(stage, caplog):
    messages = []
    runner = stage.begin(flow("f", fail("text"), initial_state=0), {"notify": messages.append})
    stage.until(runner.done, "the end")
    assert len(messages) == 1
    del runner
    gc.collect()
    assert complaints(caplog) == []


def test_a_stopped_flow_is_nothing_to_complain_of(stage, caplog):
    runner = stage.begin(flow("f", wait(LONG), initial_state=0), {})
    stage.wait_for(runner.stop)
    del runner
    gc.collect()
    assert complaints(caplog) == []
