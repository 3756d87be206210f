"""The threading backend: what only threads can do wrong."""

import asyncio
import os
import threading
import time

import pytest

from caravela import (
    BackendError,
    FlowEndedError,
    FlowStoppedError,
    Ok,
    ThreadingBackend,
    debounce,
    flow,
    parallel,
    repeat,
    run,
    set_state,
    wait,
    wait_until,
)
from tests.conformance.functions import GUARD, Gate
from tests.conformance.programs import run_script

LONG = 300.0
SOON = 4.0
"""Seconds in which what must be prompt is done, on a busy machine too; less than any timeout of the backend."""


@pytest.fixture
def backend():
    with ThreadingBackend(max_workers=4) as backend:
        yield backend


def until(condition):
    end = time.monotonic() + GUARD
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.001)


def in_threads(count, work):
    threads = [threading.Thread(target=work, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(GUARD)
        assert not thread.is_alive()


def add(state):
    return {**state, "n": state["n"] + 1}


# --- signals from many threads --------------------------------------------------------------------------------------


def test_each_of_10_000_signals_of_8_threads_is_counted_once_while_functions_run(backend):
    """The function returns a whole state, so a signal that were applied beside it would be lost."""
    rounds = flow(
        "rounds",
        repeat(run(lambda s: Ok({**s, "rounds": s["rounds"] + 1})), until=lambda s: s["n"] >= 10_000),
        initial_state={"n": 0, "rounds": 0},
        signals={"add": add},
    )
    messages = []
    runner = rounds.start(backend=backend, notify=messages.append)
    in_threads(8, lambda _: [runner.signal("add") for _ in range(1_250)])
    assert runner.result(timeout=GUARD)["n"] == 10_000
    assert runner.result()["rounds"] > 1
    counts = [message.state["n"] for message in messages]
    assert counts == sorted(counts)
    assert set(counts) >= set(range(1, 10_001))


def test_signals_of_one_thread_keep_their_order_beside_those_of_others(backend):
    runner = flow("f", wait(LONG), initial_state=()).start(backend=backend)
    in_threads(8, lambda sender: [runner.signal(lambda s, *word: (*s, word), sender, n) for n in range(50)])
    words = runner.update(lambda s: s)
    assert len(words) == 400
    for sender in range(8):
        assert [n for who, n in words if who == sender] == list(range(50))


def test_signals_race_with_the_end_and_are_either_taken_or_refused(backend):
    for _ in range(20):
        rejected = []
        runner = flow("f", wait_until(lambda s: s["n"] >= 50), initial_state={"n": 0}).start(
            backend=backend, notify=rejected.append
        )
        refused = []

        def send(_, runner=runner, refused=refused):
            for _ in range(50):
                try:
                    runner.signal(add)
                except FlowEndedError:
                    refused.append(1)

        in_threads(4, send)
        assert runner.result(timeout=GUARD) == {"n": 50}
        told_rejected = sum(type(message).__name__ == "SignalRejected" for message in rejected)
        assert 50 + told_rejected + len(refused) == 200


def test_reading_and_signalling_do_not_wait_for_a_function(backend):
    gate = Gate()
    runner = flow("f", run(lambda s: gate.wait()), wait(LONG), initial_state={"n": 0}).start(backend=backend)
    for _ in range(100):
        runner.signal(add)
        assert runner.get_state() == {"n": 0}
    assert runner.machine_state == "running(attempt=1)"
    gate.open()
    assert runner.update(add) == {"n": 101}


def test_reading_does_not_wait_for_a_signal_function(backend):
    gate, inside = Gate(), threading.Event()

    def slow(state):
        inside.set()
        gate.wait()
        return add(state)

    runner = flow("f", wait(LONG), initial_state={"n": 0}).start(backend=backend)
    runner.signal(slow)
    assert inside.wait(GUARD)
    assert runner.get_state() == {"n": 0}
    runner.signal(add)
    gate.open()
    assert runner.update(add) == {"n": 3}


def test_a_loop_that_never_rests_lets_others_through(backend):
    spin = repeat(set_state(add), wait_until(lambda s: True), until=lambda s: s["over"])
    runner = flow("spin", spin, initial_state={"n": 0, "over": False}).start(backend=backend)
    other = flow("other", debounce(0.001), run(add_one), initial_state={"n": 0}).start(backend=backend)
    assert other.result(timeout=GUARD) == {"n": 1}
    assert runner.get_state()["n"] > 0
    assert runner.update(over=True)["over"]
    assert runner.result(timeout=GUARD)["over"]


def add_one(state):
    return Ok(add(state))


# --- the pool -------------------------------------------------------------------------------------------------------


def test_1_000_flows_that_block_in_a_small_pool_all_end(backend):
    gate = Gate()
    blocked = flow("blocked", run(lambda s: gate.wait()), initial_state=0)
    runners = [blocked.start(backend=backend) for _ in range(1_000)]
    assert backend.statistics().running == 1_000
    gate.open()
    assert [runner.result(timeout=GUARD) for runner in runners] == [0] * 1_000
    assert backend.statistics().running == 0


def test_parallel_tasks_of_many_flows_do_not_starve_each_other(backend):
    fan = flow("fan", parallel([lambda n=n: time.sleep(0.0005) or n for n in range(6)], "results"), initial_state={})
    runners = [fan.start(backend=backend) for _ in range(50)]
    assert all(runner.result(timeout=GUARD) == {"results": list(range(6))} for runner in runners)


@pytest.mark.parametrize("depth", [1, 5])
def test_a_worker_that_waits_for_another_run_lends_its_place(depth):
    with ThreadingBackend(max_workers=1) as backend:

        def nested(state):
            if state == depth:
                return Ok(("bottom",))
            inner = flow("inner", run(nested), initial_state=state + 1).start(backend=backend)
            return Ok((state, *inner.result(timeout=GUARD)))

        outer = flow("outer", run(nested), initial_state=0).start(backend=backend)
        assert outer.result(timeout=GUARD) == (*range(depth), "bottom")


def test_a_worker_that_waits_for_an_update_or_a_message_lends_its_place():
    with ThreadingBackend(max_workers=1) as backend:
        other = flow("other", run(add_one), wait_until(lambda s: s["n"] > 1), initial_state={"n": 0})

        def work(state):
            runner = other.start(backend=backend)
            messages = runner.subscribe()
            updated = runner.update(add)
            return Ok(updated=updated, messages=len(list(messages)))

        runner = flow("f", run(work), initial_state={}).start(backend=backend)
        assert runner.result(timeout=GUARD) == {"updated": {"n": 2}, "messages": 4}


def test_max_workers_bounds_how_many_functions_run_at_once():
    lock, now, most = threading.Lock(), [], []
    both = threading.Barrier(2)

    def work(state):
        with lock:
            now.append(1)
            most.append(len(now))
        both.wait(GUARD)
        with lock:
            now.pop()

    with ThreadingBackend(max_workers=2) as backend:
        runners = [flow("f", run(work), initial_state=0).start(backend=backend) for _ in range(20)]
        for runner in runners:
            runner.result(timeout=GUARD)
    assert max(most) == 2


@pytest.mark.parametrize("wrong", [0, -1])
def test_max_workers_is_1_or_more(wrong):
    with pytest.raises(BackendError):
        ThreadingBackend(max_workers=wrong)


def test_a_function_that_was_not_begun_when_its_flow_stops_is_never_called():
    gate, called = Gate(), []
    with ThreadingBackend(max_workers=1) as backend:
        first = flow("first", run(lambda s: gate.wait()), initial_state=0).start(backend=backend)
        second = flow("second", run(called.append), initial_state=0).start(backend=backend, history=9)
        until(lambda: second.history)
        second.stop(timeout=GUARD)
        gate.open()
        first.result(timeout=GUARD)
    assert called == []
    assert [record.event for record in second.history] == ["start", "stop", "settled"]


# --- async functions ------------------------------------------------------------------------------------------------


def test_async_functions_share_one_private_loop_in_a_thread_of_its_own(backend):
    async def where(state):
        return Ok(seen=(*state["seen"], (threading.current_thread().name, asyncio.get_running_loop())))

    seen = flow("f", run(where), run(where), initial_state={"seen": ()}).start(backend=backend).result(timeout=GUARD)
    (first, second) = seen["seen"]
    assert first == second
    assert first[0] == "caravela-asyncio"


def test_the_cancellation_of_an_async_function_is_awaited(backend):
    begun, cleaned = threading.Event(), []

    async def work(state):
        begun.set()
        try:
            await asyncio.sleep(LONG)
        finally:
            await asyncio.sleep(0.01)
            cleaned.append(True)

    runner = flow("f", run(work), initial_state=0).start(backend=backend)
    assert begun.wait(GUARD)
    runner.stop(timeout=GUARD)
    assert cleaned == [True]
    assert backend.statistics().abandoned_total == 0


# --- close ----------------------------------------------------------------------------------------------------------


def test_close_stops_all_flows_and_leaves_no_threads():
    before = set(threading.enumerate())
    with ThreadingBackend() as backend:
        resting = flow("resting", wait(LONG), initial_state=0).start(backend=backend)
        flow("plain", run(lambda s: None), initial_state=0).start(backend=backend).result(timeout=GUARD)
        flow("async", run(yields), initial_state=0).start(backend=backend).result(timeout=GUARD)
        assert {"caravela-loop", "caravela-worker", "caravela-asyncio"} <= {
            thread.name for thread in threading.enumerate()
        }
    assert set(threading.enumerate()) <= before
    with pytest.raises(FlowStoppedError):
        resting.result()


async def yields(state):
    await asyncio.sleep(0)


def test_a_closed_backend_starts_no_flows_and_may_be_closed_again():
    backend = ThreadingBackend()
    backend.close()
    backend.close()
    with pytest.raises(BackendError):
        flow("f", wait(1), initial_state=0).start(backend=backend)


def test_a_backend_that_was_never_used_has_no_threads():
    before = threading.active_count()
    with ThreadingBackend():
        assert threading.active_count() == before


def test_a_backend_cannot_be_closed_from_its_own_loop(backend):
    raised = []

    def notify(message):
        try:
            backend.close()
        except BackendError as error:
            raised.append(error)

    flow("f", set_state(add), initial_state={"n": 0}).start(backend=backend, notify=notify).result(timeout=GUARD)
    assert len(raised) == 2


def test_abandoned_functions_are_counted_until_they_end(backend):
    gate, begun = Gate(), threading.Event()

    def work(state):
        begun.set()
        gate.wait()

    runner = flow("f", run(work), initial_state=0).start(backend=backend)
    assert begun.wait(GUARD)
    runner.stop(timeout=GUARD)
    statistics = backend.statistics()
    assert (statistics.running, statistics.ended, statistics.abandoned, statistics.abandoned_total) == (0, 1, 1, 1)
    gate.open()
    until(lambda: backend.statistics().abandoned == 0)
    assert backend.statistics().abandoned_total == 1


def test_a_flow_that_does_not_end_in_time_is_left_behind(caplog):
    release = []

    async def refuse(state):
        release.append((asyncio.get_running_loop(), event := asyncio.Event()))
        while not event.is_set():
            try:
                await event.wait()
            except asyncio.CancelledError:
                continue

    backend = ThreadingBackend(shutdown_timeout=0.05)
    flow("f", run(refuse), initial_state=0).start(backend=backend)
    until(lambda: release)
    began = time.monotonic()
    backend.close()
    assert time.monotonic() - began < SOON
    assert "did not end within 0.05 s and is left behind" in caplog.text
    loop, event = release[0]
    loop.call_soon_threadsafe(event.set)
    until(lambda: not any(thread.name == "caravela-asyncio" for thread in threading.enumerate()))


# --- the process ----------------------------------------------------------------------------------------------------


def test_threads_of_the_shared_backend_begin_when_they_are_needed():
    end = run_script(
        """
        import threading
        from caravela import flow, run, wait
        def names(): return sorted(thread.name for thread in threading.enumerate() if thread.name != "MainThread")
        async def nothing(state): pass
        nap = flow("nap", wait(0.001), initial_state=0)
        print(names())
        first = nap.start(); first.result(); print(names())
        flow("plain", run(lambda state: None), initial_state=0).start().result(); print(names())
        flow("async", run(nothing), initial_state=0).start().result(); print(names())
        """,
        "-X",
        "dev",
    )
    loop, worker, private = "caravela-loop", "caravela-worker", "caravela-asyncio"
    expected = [[], [loop], [loop, worker], [private, loop, worker]]
    assert end.output == "".join(f"{names}\n" for names in expected)
    assert (end.code, end.errors) == (0, "")


EVERY_STATE = """
    import asyncio, threading
    from caravela import *

    def hang(*_): threading.Event().wait()
    async def sleep(*_): await asyncio.sleep(1_000)
    async def tidy(*_):
        try: await asyncio.sleep(1_000)
        finally: await asyncio.sleep(0.05)
    def boom(state): raise OSError

    STEPS = {
        "sleeping": [wait(1_000)],
        "waiting": [wait_until(lambda s: False)],
        "debouncing": [debounce(1_000)],
        "running(attempt=1)": [run(hang)],
        "backoff(attempt=1)": [run(boom, retries=1, base_delay=1_000)],
        "iterating(index=0)": [each("items", sleep)],
        "gathering": [parallel([hang, sleep], "result")],
        "racing": [race([hang, sleep], "result")],
        "cancelling": [run(tidy, attempt_timeout=0.001)],
        "done": [set_state(n=1)],
        "failed": [fail("text")],
    }
    runners = {name: flow(name, *steps, initial_state={"items": [1]}).start(tag=name) for name, steps in STEPS.items()}
    import time
    def came(name): return name == "cancelling" or runners[name].machine_state == name
    while not all(map(came, runners)): time.sleep(0.001)
    seen = runners["failed"].subscribe()
"""


def test_a_program_ends_promptly_whatever_its_flows_do():
    end = run_script(EVERY_STATE + "    print('ready')\n", "-X", "dev")
    assert (end.code, end.errors) == (0, "")
    assert end.seconds < SOON


def test_a_program_ends_promptly_by_an_exception():
    end = run_script(EVERY_STATE + "    print('ready', flush=True)\n    raise SystemExit(3)\n")
    assert (end.code, end.errors) == (3, "")
    assert end.seconds < SOON


def test_the_stop_at_exit_is_told():
    end = run_script(
        """
        from caravela import flow, wait
        runner = flow("f", wait(1_000), initial_state=7).start(notify=lambda message: print(message.state))
        """
    )
    assert (end.output, end.code, end.errors) == ("7\n", 0, "")


def test_ctrl_c_ends_a_program_that_waits_for_a_result():
    end = run_script(
        """
        import threading
        from caravela import flow, run
        begun = threading.Event()
        def hang(state): begun.set(); threading.Event().wait()
        runner = flow("f", run(hang), initial_state=0).start()
        begun.wait()
        print("ready", flush=True)
        runner.result()
        """,
        interrupt=True,
    )
    assert end.code != 0
    assert end.errors.strip().splitlines()[-1] == "KeyboardInterrupt"
    assert end.errors.count("Traceback") == 1
    assert end.seconds < SOON


needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")

FORK = """
    import os, threading
    from caravela import *

    async def nothing(state): pass
    nap = flow("nap", wait(1_000), initial_state={})
    works = flow("works", wait(0.001), run(lambda s: None), run(nothing), set_state(n=2), initial_state={})
    works.start().result(timeout=20)
    runner = nap.start()
    runner.update(n=1)

    def child():
        assert runner.done()
        try: runner.signal(n=5)
        except FlowEndedError: pass
        else: raise AssertionError("an inherited runner takes signals")
        try: runner.result()
        except FlowStoppedError: pass
        assert works.start().result(timeout=20) == {"n": 2}
        fresh = nap.start()
        assert fresh.update(n=3) == {"n": 3}

    def fork(leave):
        pid = os.fork()
        if pid == 0:
            try:
                child()
            except BaseException:
                import traceback; traceback.print_exc()
                os._exit(1)
            leave()
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
"""


@needs_fork
def test_after_a_fork_the_child_begins_afresh_and_the_parent_goes_on():
    end = run_script(
        FORK
        + """
    fork(lambda: os._exit(0))
    assert runner.update(n=2) == {"n": 2}
    assert works.start().result(timeout=20) == {"n": 2}
    """,
        "-W",
        "ignore::DeprecationWarning",
    )
    assert (end.code, end.errors) == (0, "")


@needs_fork
def test_a_forked_child_ends_promptly():
    end = run_script(
        FORK
        + """
    import sys
    print("ready", flush=True)
    fork(sys.exit)
    """,
        "-W",
        "ignore::DeprecationWarning",
    )
    assert (end.code, end.errors) == (0, "")
    assert end.seconds < SOON


@needs_fork
def test_a_fork_in_the_middle_of_signals_harms_nobody():
    end = run_script(
        FORK
        + """
    over = False
    def send():
        while not over: runner.signal(lambda s: s)
    senders = [threading.Thread(target=send) for _ in range(3)]
    for sender in senders: sender.start()
    for _ in range(5): fork(lambda: os._exit(0))
    over = True
    for sender in senders: sender.join()
    assert runner.update(n=2) == {"n": 2}
    """,
        "-W",
        "ignore::DeprecationWarning",
    )
    assert (end.code, end.errors) == (0, "")
