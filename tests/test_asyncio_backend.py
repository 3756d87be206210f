"""The asyncio backend: loops that end, awaits that are forgotten or cancelled, calls from other threads."""

import asyncio
import functools
import threading
import time

import pytest

from caravela import (
    AsyncioBackend,
    BackendError,
    FlowEndedError,
    FlowError,
    FlowStoppedError,
    Ok,
    WouldDeadlockError,
    debounce,
    fail,
    flow,
    parallel,
    repeat,
    run,
    set_state,
    wait,
    wait_until,
)
from tests.conformance.functions import GUARD, Gate
from tests.conformance.harness import told
from tests.conformance.programs import run_script

LONG = 300.0
SOON = 4.0
STRICT = ("-X", "dev", "-W", "error")

NAP = flow("nap", wait(LONG), initial_state={"n": 0})


def add(state):
    return {**state, "n": state["n"] + 1}


def on_asyncio(test):
    """Run an async test on a loop of its own, in debug mode; no task may be left, and nothing may go unhandled."""

    @functools.wraps(test)
    def run_test(*args, **kwargs):
        unhandled = []

        async def main():
            asyncio.get_running_loop().set_exception_handler(lambda _, context: unhandled.append(context))
            async with asyncio.timeout(GUARD):
                await test(*args, **kwargs)

        asyncio.run(main(), debug=True)
        assert unhandled == []

    return run_test


async def until(condition):
    async with asyncio.timeout(GUARD):
        while not condition():  # noqa: ASYNC110 - what is waited for tells nobody
            await asyncio.sleep(0.001)


# --- awaiting -------------------------------------------------------------------------------------------------------


@on_asyncio
async def test_awaiting_a_runner_gives_the_final_state_every_time():
    runner = flow("f", set_state(add), wait(0.001), initial_state={"n": 0}).start(backend="asyncio")
    assert await runner == await runner == runner.result() == {"n": 1}


@on_asyncio
async def test_many_may_await_one_runner():
    runner = flow("f", wait_until(lambda s: s["n"]), initial_state={"n": 0}).start(backend="asyncio")

    async def wait_for_it():
        return await runner

    waiters = [asyncio.create_task(wait_for_it()) for _ in range(3)]
    await asyncio.sleep(0)
    runner.signal(add)
    assert await asyncio.gather(*waiters) == [{"n": 1}] * 3


@on_asyncio
async def test_cancelling_the_await_cancels_the_wait_and_not_the_flow():
    runner = flow("f", wait_until(lambda s: s["n"]), initial_state={"n": 0}).start(backend="asyncio")
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.005):
            await runner
    assert runner.machine_state == "waiting"
    runner.signal(add)
    assert await runner == {"n": 1}


@on_asyncio
async def test_cancelling_the_await_of_an_update_still_applies_it():
    gate = Gate()
    steps = (run(lambda s: gate.wait()), wait(LONG))
    async with flow("f", *steps, initial_state={"n": 0}).start(backend="asyncio") as runner:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.005):
                await runner.update(add)
        gate.open()
        await until(lambda: runner.machine_state == "sleeping")
        assert runner.get_state() == {"n": 1}


@on_asyncio
async def test_a_forgotten_await_of_stop_still_stops():
    runner = NAP.start(backend="asyncio")
    runner.stop()
    await until(runner.done)
    assert runner.machine_state == "stopped"


@on_asyncio
async def test_a_forgotten_await_of_update_still_updates():
    runner = NAP.start(backend="asyncio")
    runner.update(add)
    assert runner.get_state() == {"n": 1}
    await runner.stop()


@on_asyncio
async def test_result_does_not_wait():
    runner = NAP.start(backend="asyncio")
    with pytest.raises(WouldDeadlockError, match="await runner"):
        runner.result()
    await runner.stop()
    with pytest.raises(FlowStoppedError):
        runner.result()


@on_asyncio
async def test_leaving_the_block_stops_the_flow():
    async with NAP.start(backend="asyncio") as runner:
        assert runner.machine_state == "sleeping"
    assert runner.machine_state == "stopped"


@on_asyncio
async def test_a_cancelled_block_stops_the_flow():
    entered = asyncio.Event()
    runner = NAP.start(backend="asyncio")

    async def block():
        async with runner:
            entered.set()
            await asyncio.sleep(LONG)

    task = asyncio.create_task(block())
    await entered.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert runner.machine_state == "stopped"


@on_asyncio
async def test_leaving_the_block_raises_a_failure_that_nobody_has_seen():
    with pytest.raises(FlowError, match="text"):
        async with flow("f", fail("text"), initial_state=0).start(backend="asyncio"):
            pass


# --- messages -------------------------------------------------------------------------------------------------------

COUNTED = [("FlowState", {"n": 0}), ("FlowState", {"n": 1}), ("FlowState", {"n": 2}), ("FlowDone", {"n": 2})]


def counting():
    return flow("f", wait_until(lambda s: s["n"] >= 2), initial_state={"n": 0})


@on_asyncio
async def test_messages_come_by_async_for():
    runner = counting().start(backend="asyncio")
    subscription = runner.subscribe()
    read = asyncio.create_task(collect(subscription))
    await asyncio.sleep(0)
    runner.signal(add)
    runner.signal(add)
    assert told(await read) == COUNTED


async def collect(subscription):
    return [message async for message in subscription]


@on_asyncio
async def test_a_cancelled_reader_loses_nothing():
    runner = counting().start(backend="asyncio")
    subscription = runner.subscribe()
    messages = [await anext(subscription)]
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.005):
            await anext(subscription)
    runner.signal(add)
    runner.signal(add)
    assert told(messages + await collect(subscription)) == COUNTED


@on_asyncio
async def test_notify_may_be_an_asyncio_queue_of_the_same_loop():
    messages = asyncio.Queue()
    runner = counting().start(backend="asyncio", notify=messages)
    runner.signal(add)
    runner.signal(add)
    assert told([await messages.get() for _ in range(3)]) == COUNTED[1:]


@on_asyncio
async def test_a_bounded_asyncio_queue_is_refused():
    with pytest.raises(BackendError, match="maxsize"):
        counting().start(backend="asyncio", notify=asyncio.Queue(maxsize=3))


def test_an_asyncio_queue_is_refused_by_threads_and_by_another_loop():
    messages = asyncio.Queue()

    async def bind():
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.001):
                await messages.get()

    async def other():
        with pytest.raises(BackendError):
            counting().start(backend="asyncio", notify=messages)

    with pytest.raises(BackendError):
        counting().start(notify=messages)
    asyncio.run(bind())
    asyncio.run(other())


# --- functions ------------------------------------------------------------------------------------------------------


@on_asyncio
async def test_plain_functions_run_off_the_loop_and_async_ones_on_it():
    threads = []
    here = threading.current_thread()

    async def on_it(state):
        threads.append(threading.current_thread() is here)

    steps = (run(lambda s: threads.append(threading.current_thread() is here)), run(on_it))
    await flow("f", *steps, initial_state=0).start(backend="asyncio")
    assert threads == [False, True]


@on_asyncio
async def test_a_blocking_function_does_not_block_the_loop():
    gate = Gate()
    runner = flow("f", run(lambda s: gate.wait()), initial_state={"n": 0}).start(backend="asyncio")
    for _ in range(10):
        runner.signal(add)
        await asyncio.sleep(0)
    assert runner.get_state() == {"n": 0}
    gate.open()
    assert await runner == {"n": 10}


@on_asyncio
async def test_1_000_flows_that_block_in_a_small_pool_all_end():
    gate = Gate()
    backend = AsyncioBackend(max_workers=3)
    blocked = flow("blocked", run(lambda s: gate.wait()), initial_state=0)
    runners = [blocked.start(backend=backend) for _ in range(1_000)]
    assert backend.statistics().running == 1_000
    gate.open()
    assert [await runner for runner in runners] == [0] * 1_000


@on_asyncio
async def test_a_function_that_outlives_its_flow_is_counted_until_it_ends():
    gate, begun = Gate(), threading.Event()
    backend = AsyncioBackend()
    runner = flow("f", run(lambda s: begun.set() or gate.wait()), initial_state=0).start(backend=backend)
    await until(begun.is_set)
    await runner.stop()
    assert backend.statistics().abandoned == 1
    gate.open()
    await until(lambda: backend.statistics().abandoned == 0)
    assert backend.statistics().abandoned_total == 1


@on_asyncio
async def test_a_loop_that_never_rests_lets_other_tasks_run():
    spin = repeat(set_state(add), wait_until(lambda s: True), until=lambda s: s["over"])
    runner = flow("spin", spin, initial_state={"n": 0, "over": False}).start(backend="asyncio")
    other = flow("other", debounce(0.001), initial_state=0).start(backend="asyncio")
    await asyncio.sleep(0.002)
    assert await other == 0
    assert (await runner.update(over=True))["over"]
    assert (await runner)["n"] > 0


# --- tasks and loops ------------------------------------------------------------------------------------------------


@on_asyncio
async def test_a_flow_that_has_ended_leaves_no_task():
    async def nothing(state):
        await asyncio.sleep(0)

    runner = flow("f", run(nothing), wait(0.001), initial_state=0).start(backend="asyncio")
    assert len(asyncio.all_tasks()) > 1
    await runner
    await until(lambda: asyncio.all_tasks() == {asyncio.current_task()})


@on_asyncio
async def test_a_thousand_resting_flows_need_one_task():
    before = len(asyncio.all_tasks())
    runners = [NAP.start(backend="asyncio") for _ in range(1_000)]
    assert len(asyncio.all_tasks()) == before + 1
    for runner in runners:
        runner.stop()
    await until(lambda: len(asyncio.all_tasks()) == before)


def test_without_a_running_loop_it_cannot_start():
    with pytest.raises(BackendError, match="running loop"):
        NAP.start(backend="asyncio")
    with pytest.raises(BackendError, match="running loop"):
        NAP.start(backend=AsyncioBackend())


def test_two_loops_one_after_the_other_each_have_their_own_backend():
    async def main():
        return await flow("f", wait(0.001), set_state(add), initial_state={"n": 0}).start(backend="asyncio")

    assert asyncio.run(main()) == asyncio.run(main()) == {"n": 1}


def test_a_backend_may_be_used_on_a_second_loop_when_the_first_is_closed():
    backend = AsyncioBackend()

    async def main():
        return await flow("f", wait(0.001), set_state(add), initial_state={"n": 0}).start(backend=backend)

    assert asyncio.run(main()) == asyncio.run(main()) == {"n": 1}


@on_asyncio
async def test_one_backend_cannot_be_on_two_loops_at_once():
    backend = AsyncioBackend()
    async with NAP.start(backend=backend):

        def elsewhere():
            with pytest.raises(BackendError, match="another loop"):
                asyncio.run(start())

        async def start():
            NAP.start(backend=backend)

        await asyncio.to_thread(elsewhere)


def test_a_loop_that_is_closed_under_a_runner_is_named():
    """`loop.close()`, unlike the end of `asyncio.run`, gives nobody the time to stop."""
    loop = asyncio.new_event_loop()

    async def start():
        return NAP.start(backend="asyncio")

    runner = loop.run_until_complete(start())
    for task in asyncio.all_tasks(loop):
        task._log_destroy_pending = False  # asyncio complains, and rightly; here it is meant
    loop.close()
    with pytest.raises(BackendError, match="closed"):
        runner.signal(add)
    assert runner.get_state() == {"n": 0}
    assert runner.machine_state == "sleeping"


# --- other threads --------------------------------------------------------------------------------------------------


@on_asyncio
async def test_each_of_10_000_signals_of_8_threads_is_counted_once_while_functions_run():
    steps = repeat(run(lambda s: Ok({**s, "rounds": s["rounds"] + 1})), until=lambda s: s["n"] >= 10_000)
    counted = flow("rounds", steps, initial_state={"n": 0, "rounds": 0}, signals={"add": add})
    runner = counted.start(backend="asyncio")

    def send():
        for _ in range(1_250):
            runner.signal("add")

    await asyncio.gather(*(asyncio.to_thread(send) for _ in range(8)))
    assert (await runner)["n"] == 10_000
    assert runner.result()["rounds"] > 1


@on_asyncio
async def test_other_threads_may_signal_read_and_ask_to_stop():
    runner = NAP.start(backend="asyncio")

    def elsewhere():
        runner.signal(add)
        end = time.monotonic() + GUARD
        while runner.get_state() != {"n": 1}:
            assert time.monotonic() < end
            time.sleep(0.001)
        assert runner.machine_state == "sleeping"
        runner.stop()
        while not runner.done():
            assert time.monotonic() < end
            time.sleep(0.001)
        with pytest.raises(FlowEndedError):
            runner.signal(add)
        with pytest.raises(FlowStoppedError):
            runner.result()

    await asyncio.to_thread(elsewhere)


@on_asyncio
async def test_other_threads_cannot_update():
    async with NAP.start(backend="asyncio") as runner:

        def elsewhere():
            with pytest.raises(BackendError, match="another thread"):
                runner.update(add)

        await asyncio.to_thread(elsewhere)
        assert runner.get_state() == {"n": 0}


@on_asyncio
async def test_a_signal_on_the_loop_does_not_overtake_one_from_a_thread():
    runner = flow("f", wait(LONG), initial_state=()).start(backend="asyncio")
    thread = threading.Thread(target=runner.signal, args=(lambda s: (*s, "thread"),))
    thread.start()
    thread.join(GUARD)
    runner.signal(lambda s: (*s, "loop"))
    assert await runner.update(lambda s: s) == ("thread", "loop")
    await runner.stop()


# --- the end of the loop --------------------------------------------------------------------------------------------

LIVE = """
    import asyncio, threading
    from caravela import *

    def hang(*_): threading.Event().wait()
    async def sleep(*_): await asyncio.sleep(1_000)
    async def tidy(*_):
        try: await asyncio.sleep(1_000)
        finally:
            await asyncio.sleep(0.02)
            print("tidied")
    def boom(state): raise OSError

    STEPS = [
        wait(1_000), wait_until(lambda s: False), debounce(1_000), run(hang), run(tidy),
        run(boom, retries=1, base_delay=1_000), each("items", sleep), parallel([hang, sleep], "r"), race([sleep], "r"),
    ]

    async def main():
        global runners
        flows = [flow("f", step, initial_state={"items": [1]}) for step in STEPS]
        runners = [flow.start(backend="asyncio") for flow in flows]
        await asyncio.sleep(0.05)
        print("ready", flush=True)
        await END
"""


@pytest.mark.parametrize("end", ["asyncio.sleep(0)", "runners[0].stop()"])
def test_asyncio_run_stops_what_is_left_and_waits_for_it(end):
    program = run_script(
        LIVE.replace("END", end)
        + """
    asyncio.run(main())
    print({runner.machine_state for runner in runners})
    """,
        *STRICT,
    )
    assert (program.code, program.errors) == (0, "")
    assert program.output == "ready\ntidied\n{'stopped'}\n"
    assert program.seconds < SOON


def test_asyncio_run_that_ends_by_an_exception_stops_what_is_left():
    program = run_script(
        LIVE.replace("await END", "raise KeyError")
        + """
    try: asyncio.run(main())
    except KeyError: print({runner.machine_state for runner in runners})
    """,
        *STRICT,
    )
    assert (program.code, program.errors) == (0, "")
    assert program.output == "ready\ntidied\n{'stopped'}\n"


def test_ctrl_c_stops_what_is_left():
    program = run_script(
        LIVE.replace("END", "asyncio.sleep(1_000)")
        + """
    try: asyncio.run(main())
    except KeyboardInterrupt: print({runner.machine_state for runner in runners})
    """,
        *STRICT,
        interrupt=True,
    )
    assert (program.code, program.errors) == (0, "")
    assert program.output == "ready\ntidied\n{'stopped'}\n"


def test_forgotten_awaits_are_quiet():
    program = run_script(
        """
        import asyncio
        from caravela import *
        async def main():
            runner = flow("f", wait(1_000), initial_state=1).start(backend="asyncio")
            runner.update(lambda n: n + 1)
            print(runner.get_state())
            runner.stop()
            await asyncio.sleep(0)
            print(runner.machine_state)
        asyncio.run(main())
        """,
        *STRICT,
    )
    assert (program.code, program.output, program.errors) == (0, "2\nstopped\n", "")


def test_a_forgotten_update_that_raises_is_told_as_asyncio_tells_it():
    program = run_script(
        """
        import asyncio
        from caravela import *
        async def main():
            runner = flow("f", wait(1_000), initial_state=1).start(backend="asyncio")
            runner.update(lambda n: 1 / 0)
            await runner.stop()
        asyncio.run(main())
        """
    )
    assert program.code == 0
    assert "Future exception was never retrieved" in program.errors
    assert "ZeroDivisionError" in program.errors


@on_asyncio
async def test_parallel_tasks_of_a_run_end_with_it():
    cancelled = []

    async def work():
        try:
            await asyncio.sleep(LONG)
        except asyncio.CancelledError:
            cancelled.append(1)
            raise

    runner = flow("f", parallel([work] * 3, "results"), initial_state={}).start(backend="asyncio")
    await asyncio.sleep(0.002)
    await runner.stop()
    assert cancelled == [1, 1, 1]
