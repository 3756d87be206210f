"""One script, three backends: what a flow does is said once, and must hold on each of them.

A `Stage` is a backend made ready for a test. `stage.start(flow)` gives a `Play`: a running flow with what it has told
and the path it took. Nothing here sleeps for a fixed time to wait for something; `GUARD` only ends what hangs.
"""

from __future__ import annotations

import asyncio
import math
import threading
import time
from contextlib import suppress

from caravela import AsyncioBackend, FlowEndError, ResultTimeoutError, ThreadingBackend, VirtualBackend
from caravela.core.effects import SetTimer
from caravela.export import to_transitions
from caravela.messages import FlowDone, FlowFailed, FlowStopped, SignalRejected
from tests.conformance.functions import FORMS, GUARD, PlainFunction
from tests.walk import walk

FINAL = (FlowDone, FlowFailed, FlowStopped)


class Play:
    """A running flow, what it has told, and the path it took."""

    def __init__(self, stage, flow, options):
        self.stage = stage
        self.messages = []
        self.runner = stage.begin(flow, {"history": 5_000, "notify": self.messages.append, **options})

    @property
    def records(self):
        return self.runner.history

    @property
    def path(self):
        """The machine states and the events between them: `sleeping --elapsed--> done`."""
        self.stage.until(lambda: self.records, "the start")
        first, *others = self.records
        return first.target + "".join(f" --{record.event}--> {record.target}" for record in others)

    @property
    def told(self):
        return told(self.messages)

    @property
    def timers(self):
        """For each transition that moved the deadline: the seconds from then to the deadline."""
        return [
            round(effect.due - record.time, 6)
            for record in self.records
            for effect in record.effects
            if isinstance(effect, SetTimer) and effect.due != math.inf
        ]

    def subscribe(self):
        return self.stage.do(self.runner.subscribe)

    def signal(self, *args, **kwargs):
        self.stage.do(lambda: self.runner.signal(*args, **kwargs))

    def update(self, *args, **kwargs):
        return self.stage.wait_for(lambda: self.runner.update(*args, **kwargs))

    def stop(self):
        self.stage.wait_for(self.runner.stop)

    def ask_to_stop(self):
        """Stop without waiting for the end."""
        self.stage.ask_to_stop(self.runner)

    def result(self):
        return self.stage.result(self.runner)

    def reach(self, machine_state, times=1):
        """Wait until the flow has come to a machine state, for the n-th time."""
        self.stage.until(
            lambda: sum(record.target == machine_state for record in self.records) >= times,
            lambda: f"{machine_state} for the {times}. time; so far: {self.path}",
        )

    def ends(self):
        """Wait for the end, whatever it is, and give the path."""
        with suppress(FlowEndError):
            self.result()
        return self.path

    def check(self):
        """What holds for every run: its path is legal, its messages are ordered and have one end."""
        if self.records and self.records[0].seq == 1:
            assert [record.seq for record in self.records] == list(range(1, len(self.records) + 1))
            assert all(a.target == b.source for a, b in zip(self.records, self.records[1:], strict=False))
            walk(to_transitions(self.runner.machine), self.records)
        if self.messages:
            assert [message.seq for message in self.messages] == list(range(1, len(self.messages) + 1))
            assert [isinstance(message, FINAL) for message in self.messages].index(True) == len(self.messages) - 1
            assert {message.runner_id for message in self.messages} == {self.runner.id}


def told(messages):
    """Messages, each by its name and what it is about."""
    return [
        (type(message).__name__, message.signal if isinstance(message, SignalRejected) else message.state)
        for message in messages
    ]


class Stage:
    """A backend made ready for a test. Leaving it stops what is left, and checks every play."""

    name = ""

    def __init__(self):
        self.plays = []

    def start(self, flow, **options):
        play = Play(self, flow, options)
        self.plays.append(play)
        return play

    def function(self, form, *outcomes, name="work"):
        return FORMS[form](self, outcomes, name)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
        for play in self.plays:
            play.check()

    # --- what each backend does in its own way ---

    def begin(self, flow, options):
        return flow.start(backend=self.backend, **options)

    def do(self, call):
        """Call something of a runner's that does not wait."""
        return call()

    def wait_for(self, call):
        """Call something of a runner's, and wait for what it gives."""
        return call()

    def inside(self, runner, body):
        """Call `body` in the `with` block of a runner."""
        with runner:
            body()

    def collected(self, subscription):
        """Read all messages of a subscription."""
        return list(subscription)

    def ask_to_stop(self, runner):
        with suppress(ResultTimeoutError):
            runner.stop(timeout=0)

    def result(self, runner):
        return runner.result(timeout=GUARD)

    def released(self, function):
        """Let follow what follows from opened gates."""

    def until(self, condition, what):
        """Wait until a condition of the test's holds."""
        end = time.monotonic() + GUARD
        while not condition():
            assert time.monotonic() < end, what() if callable(what) else what
            time.sleep(0.0005)

    def pass_time(self, seconds):
        time.sleep(seconds)

    def close(self):
        self.backend.close()


class ThreadingStage(Stage):
    name = "threading"

    def __init__(self):
        super().__init__()
        self.backend = ThreadingBackend(max_workers=8, seed=0)


class AsyncioStage(Stage):
    """The loop runs in a thread of its own, so that scripts need no `await`; all calls are made on the loop."""

    name = "asyncio"

    def __init__(self):
        super().__init__()
        self.complaints = []
        self._ready = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()), name="stage-loop", daemon=True)
        self._thread.start()
        assert self._ready.wait(GUARD)

    async def _serve(self):
        self._loop = asyncio.get_running_loop()
        self._loop.set_exception_handler(lambda _, context: self.complaints.append(context))
        self._leave = asyncio.Event()
        self.backend = AsyncioBackend(max_workers=8, seed=0)
        self._ready.set()
        await self._leave.wait()

    def begin(self, flow, options):
        return self.do(lambda: flow.start(backend=self.backend, **options))

    def do(self, call):
        async def called():
            return call()

        return asyncio.run_coroutine_threadsafe(called(), self._loop).result(GUARD)

    def wait_for(self, call):
        async def awaited():
            return await call()

        return asyncio.run_coroutine_threadsafe(awaited(), self._loop).result(GUARD)

    def inside(self, runner, body):
        async def entered():
            async with runner:
                await asyncio.to_thread(body)

        self.wait_for(entered)

    def collected(self, subscription):
        async def read():
            return [message async for message in subscription]

        return self.wait_for(read)

    def ask_to_stop(self, runner):
        self.do(runner.stop)

    def result(self, runner):
        return self.wait_for(lambda: runner)

    def close(self):
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._leave.set)
            self._thread.join(GUARD)
        assert not self._thread.is_alive()
        assert not self.complaints


class VirtualStage(Stage):
    name = "virtual"

    def __init__(self):
        super().__init__()
        self._kept = []
        self.backend = VirtualBackend(hold=self._is_held)

    def _is_held(self, held):
        """Plain functions that would block are held by the backend; async ones wait on its loop."""
        fn = held._call.fn
        if not isinstance(fn, PlainFunction) or not fn.holds:
            return False
        outcome, _ = fn.begin(held.args)
        self._kept.append((held, outcome))
        return True

    def released(self, function):
        mine = [kept for kept in self._kept if kept[0]._call.fn is function]
        for kept in mine:
            self._kept.remove(kept)
            held, outcome = kept
            if held._call.ended:  # it was given up, and ends now, when nobody cares
                held.returns(None)
            else:
                function.resumed = outcome, None
                held.runs()
        self.backend.clock.advance(0)

    def until(self, condition, what):
        clock = self.backend.clock
        clock.advance(0)
        while not condition():
            due = self.backend._earliest()
            assert due < math.inf, what() if callable(what) else what
            clock.advance(due - clock.now())

    def pass_time(self, seconds):
        self.backend.clock.advance(seconds)


STAGES = {stage.name: stage for stage in (ThreadingStage, AsyncioStage, VirtualStage)}
