"""The virtual backend: time that stands still, functions that are held, and waits that move the clock."""

import asyncio
import gc
import math
import threading
import time
import warnings

import pytest

from caravela import (
    AsyncioBackend,
    BackendError,
    Fail,
    FlowStoppedError,
    LivelockError,
    Ok,
    ResultTimeoutError,
    ThreadingBackend,
    VirtualBackend,
    WouldDeadlockError,
    debounce,
    flow,
    parallel,
    repeat,
    run,
    set_state,
    wait,
    wait_until,
)
from caravela.core.cursor import CANCEL_TIMEOUT


@pytest.fixture
def backend():
    with VirtualBackend() as backend:
        yield backend


def add(state, n=1):
    return state + n


def times(runner):
    return [record.time for record in runner.trace]


def path(runner):
    return [record.target for record in runner.trace]


# --- the clock ------------------------------------------------------------------------------------------------------


def test_time_stands_still_until_it_is_moved(backend):
    runner = flow("f", wait(1), initial_state=0).start(backend=backend)
    backend.clock.advance(0.999)
    assert runner.machine_state == "sleeping"
    backend.clock.advance(0.001)
    assert runner.machine_state == "done"
    assert backend.clock.now() == 1.0


def test_chained_delays_all_fire_at_their_own_times(backend):
    runner = flow("f", repeat(wait(0.3), times=3), initial_state=0).start(backend=backend)
    backend.clock.advance(10)
    assert times(runner) == pytest.approx([0, 0.3, 0.6, 0.9])
    assert backend.clock.now() == 10


def test_timers_of_several_flows_fire_in_the_order_of_their_times(backend):
    fired = []
    for seconds in (0.3, 0.1, 0.2, 0.1):
        steps = (wait(seconds), set_state(lambda s: fired.append(s) or s))
        flow("f", *steps, initial_state=(seconds, len(backend.runs))).start(backend=backend)
    backend.clock.advance(1)
    assert fired == [(0.1, 1), (0.1, 3), (0.2, 2), (0.3, 0)]


def test_a_day_of_retries_takes_no_time(backend):
    began = time.monotonic()
    retried = run(lambda s: Fail("x"), retries=50, base_delay=3_600)
    runner = flow("f", retried, initial_state=0).start(backend=backend)
    backend.clock.advance(50 * 3_600)
    assert runner.machine_state == "failed"
    assert time.monotonic() - began < 5
    runner.subscribe()  # so that the failure is seen


@pytest.mark.parametrize("seconds", [-1, math.inf, math.nan])
def test_the_clock_moves_forward_by_finite_steps(backend, seconds):
    with pytest.raises(BackendError):
        backend.clock.advance(seconds)


def test_the_clock_cannot_be_moved_from_a_flows_function(backend):
    raised = []

    def work(state):
        with pytest.raises(BackendError) as caught:
            backend.clock.advance(1)
        raised.append(caught.value)

    flow("f", run(work), initial_state=0).start(backend=backend).result()
    assert len(raised) == 1


def test_planned_calls_come_at_their_times_and_before_timers_of_flows(backend):
    runner = flow("f", debounce(1), initial_state=0).start(backend=backend)
    seen = []
    backend.clock.call_at(1, lambda: seen.append((backend.clock.now(), runner.machine_state)))
    backend.clock.call_at(1, lambda: runner.signal(add))
    backend.clock.advance(1)
    assert seen == [(1, "debouncing")]
    assert runner.machine_state == "debouncing"
    backend.clock.advance(1)
    assert path(runner) == ["debouncing", "debouncing", "done"]
    assert times(runner) == [0, 1, 2]


def test_planned_calls_of_one_instant_keep_their_order(backend):
    seen = []
    for number in range(5):
        backend.clock.call_at(1, lambda number=number: seen.append(number))
    backend.clock.advance(1)
    assert seen == [0, 1, 2, 3, 4]


def test_a_planned_call_may_plan_another_of_the_same_instant(backend):
    seen = []
    backend.clock.call_at(1, lambda: backend.clock.call_at(1, lambda: seen.append(backend.clock.now())))
    backend.clock.advance(1)
    assert seen == [1]


def test_nothing_is_planned_for_the_past(backend):
    backend.clock.advance(2)
    with pytest.raises(BackendError):
        backend.clock.call_at(1, lambda: None)


def test_a_result_that_comes_at_the_deadline_wins_over_the_timer(backend):
    async def work(state):
        await asyncio.sleep(1)

    runner = flow("f", run(work, attempt_timeout=1), initial_state=0).start(backend=backend)
    backend.clock.advance(1)
    assert runner.machine_state == "done"


# --- functions ------------------------------------------------------------------------------------------------------


def test_plain_functions_run_inline_and_take_no_time(backend):
    here = threading.current_thread()
    runner = flow("f", run(lambda s: Ok(threading.current_thread() is here)), initial_state=0).start(backend=backend)
    assert runner.result() is True
    assert backend.clock.now() == 0


def test_async_functions_live_in_virtual_time(backend):
    loop_times = []

    async def work(state):
        loop = asyncio.get_running_loop()
        loop_times.append(loop.time())
        await asyncio.sleep(3)
        loop_times.append(loop.time())
        async with asyncio.timeout_at(loop.time() + 1):
            await asyncio.sleep(0.5)
        loop_times.append(loop.time())

    runner = flow("f", wait(1), run(work), initial_state=0).start(backend=backend)
    backend.clock.advance(3.9)
    assert runner.machine_state == "running(attempt=1)"
    backend.clock.advance(0.6)
    assert runner.machine_state == "done"
    assert loop_times == [1, 4, 4.5]
    assert times(runner) == [0, 1, 4.5]


def test_async_tasks_run_beside_each_other(backend):
    async def work(seconds):
        await asyncio.sleep(seconds)
        return seconds

    tasks = [lambda s=s: work(s) for s in (3, 1, 2)]
    wrapped = [_awaiting(task) for task in tasks]
    runner = flow("f", parallel(wrapped, "results"), initial_state={}).start(backend=backend)
    backend.clock.advance(3)
    assert runner.get_state() == {"results": [3, 1, 2]}
    assert times(runner) == [0, 1, 2, 3]


def _awaiting(task):
    async def awaited():
        return await task()

    return awaited


def test_an_async_function_that_refuses_its_cancellation_is_abandoned_after_a_while(backend):
    async def refuse(state):
        while True:
            try:
                await asyncio.sleep(100)
            except asyncio.CancelledError:
                continue
            break

    steps = (run(refuse, attempt_timeout=1), wait(1))
    runner = flow("f", *steps, initial_state=0).start(backend=backend)
    backend.clock.advance(1)
    assert runner.machine_state == "cancelling"
    backend.clock.advance(CANCEL_TIMEOUT - 0.001)
    assert runner.machine_state == "cancelling"
    assert backend.statistics().abandoned == 0
    backend.clock.advance(0.001)
    assert runner.machine_state == "failed"
    assert [record.event for record in runner.trace] == ["start", "timed_out", "abandoned"]
    assert backend.statistics().abandoned == 1
    backend.clock.advance(100)
    assert backend.statistics().abandoned == 0
    assert backend.statistics().abandoned_total == 1
    runner.subscribe()


def test_a_stop_is_over_when_a_refusing_function_is_abandoned(backend):
    async def refuse(state):
        while True:
            try:
                await asyncio.sleep(100)
            except asyncio.CancelledError:
                continue

    runner = flow("f", run(refuse), initial_state=0).start(backend=backend)
    runner.stop()
    assert backend.clock.now() == CANCEL_TIMEOUT
    assert runner.machine_state == "stopped"
    refuse_no_more(backend)


def refuse_no_more(backend):
    """Take the refusing task off the private loop, so that closing the loop does not destroy it pending."""
    for task in asyncio.all_tasks(backend._loop):
        task._log_destroy_pending = False


# --- held functions -------------------------------------------------------------------------------------------------


def test_a_held_function_is_in_flight_until_it_is_let_go():
    called = []
    with VirtualBackend(hold=["push"]) as backend:
        steps = (run(called.append, name="push"), run(called.append, name="pull"))
        runner = flow("f", *steps, initial_state=7).start(backend=backend)
        backend.clock.advance(100)
        assert runner.machine_state == "running:push(attempt=1)"
        (held,) = backend.held
        assert (held.label, held.args, held.index) == ("push", (7,), 0)
        assert repr(held) == "<HeldCall of 'push', args=(7,)>"
        held.returns(Ok(8))
        assert backend.held == ()
        assert runner.result() == 8
    assert called == [8]


def test_a_held_function_may_raise_or_run_after_all():
    with VirtualBackend(hold=True) as backend:
        runner = flow("f", run(lambda s: Ok(s + 1), retries=1, base_delay=0), initial_state=0).start(backend=backend)
        backend.held[0].raises(OSError("boom"))
        assert runner.machine_state == "running(attempt=2)"
        backend.held[0].runs()
        assert runner.result() == 1


def test_a_held_async_function_that_runs_takes_its_virtual_time():
    async def work(state):
        await asyncio.sleep(3)

    with VirtualBackend(hold=True) as backend:
        runner = flow("f", run(work), initial_state=0).start(backend=backend)
        backend.clock.advance(1)
        backend.held[0].runs()
        backend.clock.advance(2.9)
        assert runner.machine_state == "running(attempt=1)"
        backend.clock.advance(0.1)
        assert runner.machine_state == "done"


HOLDS = {
    "all": (True, ["a", "b"]),
    "none": (False, []),
    "a label": ("b", ["b"]),
    "labels": (("a", "b", "c"), ["a", "b"]),
    "a predicate": (lambda held: held.index == 1, ["b"]),
}


@pytest.mark.parametrize("rule", HOLDS)
def test_what_is_held(rule):
    hold, labels = HOLDS[rule]
    gathering = [lambda: 1, lambda: 2]
    with VirtualBackend(hold=hold) as backend:
        first = flow("f", run(lambda s: None, name="a"), initial_state=0).start(backend=backend)
        second = flow("g", run(lambda s: None, name="b"), initial_state=0).start(backend=backend)
        if rule == "a predicate":
            runner = flow("h", parallel(gathering, "r", name="b"), initial_state={}).start(backend=backend)
            assert [(held.label, held.index) for held in backend.held] == [("b", 1)]
            backend.held[0].returns("held")
            assert runner.result() == {"r": [1, "held"]}
            return
        assert [held.label for held in backend.held] == labels
        for held in backend.held:
            held.returns()
        assert (first.result(), second.result()) == (0, 0)


def test_only_an_exception_can_be_raised():
    with VirtualBackend(hold=True) as backend:
        runner = flow("f", run(lambda s: None), initial_state=0).start(backend=backend)
        with pytest.raises(BackendError):
            backend.held[0].raises("boom")
        backend.held[0].returns()
        runner.result()


def test_signals_are_postponed_while_a_function_is_held():
    with VirtualBackend(hold=True) as backend:
        runner = flow("f", run(lambda s: None), initial_state=1).start(backend=backend)
        runner.signal(add)
        assert runner.get_state() == 1
        backend.held[0].returns(Ok(10))
        assert runner.result() == 11


def test_a_held_function_of_a_flow_that_stops_is_given_up():
    with VirtualBackend(hold=True) as backend:
        runner = flow("f", run(lambda s: None), initial_state=1).start(backend=backend)
        (held,) = backend.held
        runner.stop()
        assert backend.held == ()
        assert backend.statistics().abandoned == 1
        held.returns(Ok(5))
        assert runner.get_state() == 1
        assert backend.statistics().abandoned == 0


# --- waiting moves the clock ----------------------------------------------------------------------------------------


def test_result_moves_the_clock_to_the_end_and_no_further(backend):
    flow("other", wait(100), initial_state=0).start(backend=backend)
    runner = flow("f", repeat(wait(1), times=5), initial_state=0).start(backend=backend)
    runner.result()
    assert backend.clock.now() == 5


def test_update_moves_the_clock_as_far_as_it_must(backend):
    async def work(state):
        await asyncio.sleep(3)
        return Ok(state * 10)

    runner = flow("f", run(work), wait(100), initial_state=1).start(backend=backend)
    assert runner.update(add) == 11
    assert backend.clock.now() == 3
    assert runner.update(add) == 12
    assert backend.clock.now() == 3


def test_a_timeout_is_virtual_too(backend):
    runner = flow("f", wait(100), initial_state=0).start(backend=backend)
    with pytest.raises(ResultTimeoutError):
        runner.result(timeout=7)
    assert backend.clock.now() == 7
    assert runner.machine_state == "sleeping"


def test_a_wait_that_nothing_can_end_is_refused():
    with VirtualBackend(hold=True) as backend:
        waiting = flow("f", wait_until(lambda s: s > 0), run(add_ok), initial_state=0).start(backend=backend)
        with pytest.raises(WouldDeadlockError, match="nothing is left"):
            waiting.result()
        waiting.signal(add)
        with pytest.raises(WouldDeadlockError, match="nothing is left"):
            waiting.update(add)
        messages = waiting.subscribe()
        next(messages)
        with pytest.raises(WouldDeadlockError, match="nothing is left"):
            next(messages)
        backend.held[0].returns()
        assert waiting.result() == 2


def add_ok(state):
    return Ok(state + 1)


def test_messages_move_the_clock(backend):
    runner = flow("f", wait(1), set_state(add), wait(1), initial_state=0).start(backend=backend)
    seen = [(backend.clock.now(), message.state) for message in runner.subscribe()]
    assert seen == [(0, 0), (1, 1), (2, 1)]


# --- livelock -------------------------------------------------------------------------------------------------------


def test_a_flow_that_never_comes_to_rest_is_named_with_its_cycle(backend):
    spin = repeat(set_state(add), wait_until(lambda s: True))
    with pytest.raises(LivelockError) as caught:
        flow("spin", spin, initial_state=0).start(backend=backend)
    assert caught.value.flow == "spin"
    assert "set_state → waiting → again" in str(caught.value)


def test_a_flow_that_retries_at_one_instant_for_ever_is_a_livelock(monkeypatch):
    monkeypatch.setattr("caravela.backends.virtual.MOST_TRANSITIONS", 1_000)
    backend = VirtualBackend()
    with pytest.raises(LivelockError, match="running"):
        flow("f", run(lambda s: Fail("x"), retries=None, base_delay=0), initial_state=0).start(backend=backend)


def test_many_transitions_at_many_instants_are_none(backend):
    flow("f", repeat(wait(0.001), times=110), initial_state=0).start(backend=backend).result()
    runner = flow("g", repeat(repeat(set_state(add), times=1_000), wait(1), times=3), initial_state=0)
    assert runner.start(backend=backend).result() == 3_000


# --- inside async code, at the end, and seeds -----------------------------------------------------------------------


def test_it_may_be_used_inside_a_running_loop():
    async def work(state):
        await asyncio.sleep(3)
        return Ok(state + 1)

    async def main():
        with VirtualBackend() as backend:
            runner = flow("f", wait(1), run(work), initial_state=0).start(backend=backend)
            before = asyncio.get_running_loop()
            backend.clock.advance(4)
            assert asyncio.get_running_loop() is before
            assert asyncio.current_task() is not None
            await asyncio.sleep(0)
            return runner.result()

    assert asyncio.run(main()) == 1


def test_close_stops_all_flows_and_leaves_no_warnings(caplog):
    async def work(state):
        await asyncio.sleep(100)

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        with VirtualBackend(hold=["held"]) as backend:
            runners = [
                flow("f", step, initial_state={}).start(backend=backend)
                for step in (wait(1), run(work), run(work, name="held"), parallel([_awaiting(lambda: work(0))], "r"))
            ]
        del backend
        gc.collect()
    assert {runner.machine_state for runner in runners} == {"stopped"}
    assert [str(warning.message) for warning in caught] == []
    assert caplog.text == ""
    with pytest.raises(FlowStoppedError):
        runners[0].result()


def test_a_backend_that_is_dropped_leaves_no_warnings(caplog):
    async def work(state):
        await asyncio.sleep(1)

    backend = VirtualBackend()
    flow("f", run(work), initial_state=0).start(backend=backend).result()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        del backend
        gc.collect()
    assert [str(warning.message) for warning in caught] == []
    assert caplog.text == ""


def test_a_closed_backend_starts_no_flows():
    backend = VirtualBackend()
    backend.close()
    with pytest.raises(BackendError):
        flow("f", wait(1), initial_state=0).start(backend=backend)


def delays(**options):
    backend = VirtualBackend(**options)
    retried = run(lambda s: Fail("x"), retries=5, base_delay=1, jitter="full")
    runner = flow("f", retried, initial_state=0).start(backend=backend)
    backend.clock.advance(10)
    runner.subscribe()
    return times(runner)


def test_jitter_is_the_same_each_time_and_differs_by_seed():
    assert delays() == delays() == delays(seed=0)
    assert delays(seed=1) == delays(seed=1) != delays(seed=2)
    assert delays(seed=None) != delays(seed=None)


def test_the_same_seed_gives_the_same_jitter_on_every_backend():
    backends = [kind(seed=5) for kind in (VirtualBackend, AsyncioBackend, ThreadingBackend)]
    first, *others = [[backend.draw() for _ in range(3)] for backend in backends]
    assert others == [first, first]
    assert len(set(first)) == 3


def test_everything_is_kept_as_the_trace(backend):
    runner = flow("f", repeat(wait(1), times=1_000), initial_state=0).start(backend=backend, history=3)
    runner.result()
    assert len(runner.trace) == 1_001
    assert runner.history == runner.trace


def test_signals_from_another_thread_are_taken(backend):
    runner = flow("f", wait_until(lambda s: s >= 100), initial_state=0).start(backend=backend)
    threads = [threading.Thread(target=lambda: [runner.signal(add) for _ in range(25)]) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert runner.result() == 100
