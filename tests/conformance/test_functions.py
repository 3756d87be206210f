"""What a flow's own functions see and may do, plain and async."""

import asyncio
import contextvars
import threading

import pytest

from caravela import (
    FlowStoppedError,
    Ok,
    WouldDeadlockError,
    each,
    flow,
    parallel,
    race,
    run,
    set_state,
    wait,
    wait_until,
)
from tests.conformance.functions import Held

LONG = 300.0

NAME = contextvars.ContextVar("name", default="nobody")

STEPS = {
    "run": run,
    "each": lambda work: each("items", work),
    "parallel": lambda work: parallel([work], "results"),
    "race": lambda work: race([work], "winner"),
}


@pytest.mark.parametrize("step", STEPS)
def test_functions_see_the_context_of_the_start(stage, form, step):
    seen = []
    work = stage.function(form, lambda *args: seen.append(NAME.get()))
    token = NAME.set("ada")
    try:
        play = stage.start(flow("f", wait(0.005), STEPS[step](work), initial_state={"items": [1]}))
    finally:
        NAME.reset(token)
    play.result()
    assert seen == ["ada"]


def test_each_call_has_a_fresh_copy_of_the_context(stage, form):
    seen = []

    def change(state):
        seen.append(NAME.get())
        NAME.set("changed")

    NAME.set("ada")
    work = stage.function(form, change)
    stage.start(flow("f", run(work), run(work), initial_state=0)).result()
    assert seen == ["ada", "ada"]
    assert NAME.get() == "ada"


def test_plain_functions_run_off_the_loop_that_drives_flows(stage):
    """On virtual time there is only the caller's thread."""
    threads = {}
    steps = (
        set_state(lambda s: threads.setdefault("loop", threading.current_thread()) and s),
        run(lambda s: threads.setdefault("plain", threading.current_thread()) and None),
    )
    play = stage.start(flow("f", wait(0.001), *steps, initial_state=0))
    play.result()
    assert (threads["loop"] is threads["plain"]) is (stage.name == "virtual")


def test_async_functions_run_beside_each_other(stage):
    """None of them would end if they were called one after the other."""
    barriers = []

    async def meet():
        barriers.append(asyncio.Barrier(3))
        await barriers[0].wait()

    play = stage.start(flow("f", parallel([meet] * 3, "results"), initial_state={}))
    assert play.result() == {"results": [None] * 3}


def test_an_async_function_finds_a_running_loop_and_may_use_it(stage):
    async def work(state):
        async with asyncio.timeout(LONG), asyncio.TaskGroup() as group:
            task = group.create_task(asyncio.sleep(0.001, "slept"))
        return Ok(slept=task.result())

    assert stage.start(flow("f", run(work), initial_state={})).result() == {"slept": "slept"}


def test_a_cancelled_async_function_may_clean_up(stage):
    cleaned = []

    async def tidy(state):
        try:
            await asyncio.sleep(LONG)
        finally:
            await asyncio.sleep(0.001)
            cleaned.append(True)

    work = stage.function("async", None)

    async def begin(state):
        await work(state)
        await tidy(state)

    play = stage.start(flow("f", run(begin), initial_state=0))
    work.begun()
    play.stop()
    assert cleaned == [True]
    assert play.path == "running(attempt=1) --stop--> cancelling --settled--> stopped"


CALLS = {
    "update()": lambda runner: runner.update(lambda state: state),
    "result()": lambda runner: runner.result(),
}


@pytest.mark.parametrize("call", CALLS)
def test_a_function_that_would_wait_for_its_own_flow_is_told(stage, form, call):
    raised = []

    def work(state):
        with pytest.raises(WouldDeadlockError) as caught:
            CALLS[call](play.runner)
        raised.append(caught.value)

    steps = (wait_until(lambda s: s["go"]), run(stage.function(form, work)))
    play = stage.start(flow("f", *steps, initial_state={"go": False}))
    play.signal(go=True)
    play.result()
    assert len(raised) == 1
    assert raised[0].flow == "f"
    assert raised[0].right


@pytest.mark.parametrize("call", CALLS)
def test_notify_that_would_wait_for_the_loop_is_told(stage, call):
    raised = []

    def notify(message):
        with pytest.raises(WouldDeadlockError) as caught:
            CALLS[call](play.runner)
        raised.append(caught.value)

    play = stage.start(flow("f", wait_until(lambda s: s["go"]), wait(LONG), initial_state={"go": False}), notify=notify)
    play.signal(go=True)
    play.reach("sleeping")
    stage.until(lambda: raised, "notify")


def test_a_signal_function_that_would_wait_for_the_loop_is_told(stage):
    play = stage.start(flow("f", wait(LONG), initial_state=0))
    with pytest.raises(WouldDeadlockError):
        play.update(lambda state: play.runner.update(lambda state: state))


def test_stop_in_a_flows_own_function_asks_and_does_not_wait(stage, form):
    work = stage.function(form, lambda state: play.runner.stop() and None)
    steps = (wait_until(lambda s: s["go"]), run(work), wait(LONG))
    play = stage.start(flow("f", *steps, initial_state={"go": False}))
    play.signal(go=True)
    with pytest.raises(FlowStoppedError):
        play.result()


def test_stop_in_notify_asks_and_does_not_wait(stage):
    play = stage.start(
        flow("f", wait_until(lambda s: s["go"]), wait(LONG), initial_state={"go": False}),
        notify=lambda message: play.runner.stop() and None,
    )
    play.signal(go=True)
    with pytest.raises(FlowStoppedError):
        play.result()
    assert play.path == "waiting --signal--> sleeping --stop--> stopped"


INNER = flow("inner", wait(0.001), set_state(n=1), initial_state={})


def test_an_async_function_may_start_another_flow(stage):
    async def work(state):
        started.append(INNER.start(backend=stage.backend))

    started = []
    stage.start(flow("outer", run(work), initial_state=0)).result()
    assert stage.result(started[0]) == {"n": 1}


def test_a_plain_function_may_start_another_flow(sync_stage):
    started = []
    work = sync_stage.function("plain", lambda state: started.append(INNER.start(backend=sync_stage.backend)))
    sync_stage.start(flow("outer", run(work), initial_state=0)).result()
    assert sync_stage.result(started[0]) == {"n": 1}


def test_what_is_read_while_a_function_is_in_flight(stage, form):
    work = stage.function(form, Held(Ok(n=1)))
    play = stage.start(flow("f", run(work), initial_state={"n": 0}))
    work.begun()
    assert play.runner.get_state() == {"n": 0}
    assert play.runner.machine_state == "running(attempt=1)"
    assert play.runner.snapshot.state == {"n": 0}
    assert not play.runner.done()
    assert repr(play.runner).endswith("of 'f': running(attempt=1)>")
    work.release()
    play.result()
    assert play.runner.done()
