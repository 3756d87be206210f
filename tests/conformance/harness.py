"""One script, three backends: what a flow does is said once, and must hold on each of them.

A `Stage` is a backend made ready for a test. `stage.start(flow)` gives a `Play`: a running flow with what it has told
and the path it took. Nothing here sleeps for a fixed time to wait for something; `GUARD` only ends what hangs.
"""

from __future__ import annotations

import asyncio
import math
import signal
import subprocess
import sys
import textwrap
import threading
import time
from contextlib import suppress
from types import SimpleNamespace

from caravela import AsyncioBackend, FlowEndError, ResultTimeoutError, ThreadingBackend, VirtualBackend
from caravela.core.effects import SetTimer
from caravela.export import to_transitions
from caravela.messages import FlowDone, FlowFailed, FlowStopped, SignalRejected
from tests.walk import walk

GUARD = 30.0
"""Seconds after which something counts as hanging."""

FINAL = (FlowDone, FlowFailed, FlowStopped)


def run_script(code, *options, interrupt=False):
    """Run a program in a process of its own; give its end, its output, and the seconds from `print()` to the end.

    Args:
        code: The program. It prints "ready" when the test's own part begins.
        options: Those of the interpreter.
        interrupt: Press Ctrl-C when it is ready.
    """
    process = subprocess.Popen(  # noqa: S603 - a test's own program
        [sys.executable, *options, "-c", textwrap.dedent(code)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with process:
        try:
            ready = process.stdout.readline()
            since = time.monotonic()
            if interrupt:
                process.send_signal(signal.SIGINT)
            output, complaints = process.communicate(timeout=GUARD)
        finally:
            process.kill()
    return SimpleNamespace(
        code=process.returncode, output=ready + output, errors=complaints, seconds=time.monotonic() - since
    )


class Gate:
    """Closed until the test opens it; functions, plain and async, wait in front of it."""

    def __init__(self):
        self._opened = threading.Event()
        self._waiting = []

    def open(self):
        self._opened.set()
        for loop, future in list(self._waiting):
            with suppress(RuntimeError):  # that loop is closed: whoever waited has gone with it
                loop.call_soon_threadsafe(_keep, future)

    def wait(self):
        assert self._opened.wait(GUARD), "nobody opened the gate"

    async def passed(self):
        loop = asyncio.get_running_loop()
        future = loop.create_future()
        self._waiting.append((loop, future))
        if not self._opened.is_set():
            await future


def _keep(future):
    if not future.done():
        future.set_result(None)


class Held:
    """An outcome that comes only when the test releases the function."""

    def __init__(self, outcome=None):
        self.outcome = outcome
        self.gate = Gate()


class Function:
    """A function for a flow, with one scripted outcome for each call; the last one is for all calls after it.

    An outcome is returned; an exception is raised; a plain function is called with the arguments; `Held(...)` keeps the
    call in flight until `release()`.
    """

    def __init__(self, stage, outcomes, name):
        self.stage = stage
        self.outcomes = outcomes or (None,)
        self.calls = []
        self.resumed = None  # the outcome of a call that the virtual backend held and lets go now
        self._lock = threading.Lock()
        self.__name__ = name

    @property
    def upcoming(self):
        return self.outcomes[min(len(self.calls), len(self.outcomes) - 1)]

    def begin(self, args):
        with self._lock:
            resumed, self.resumed = self.resumed, None
            if resumed is not None:
                return resumed
            outcome = self.upcoming
            self.calls.append(args)
        return outcome

    def begun(self, times=1):
        """Wait until so many calls have begun."""
        self.stage.until(lambda: len(self.calls) >= times, f"call {times} of {self.__name__}")

    def release(self):
        """Let the held calls go, this one and those to come."""
        for outcome in self.outcomes:
            if isinstance(outcome, Held):
                outcome.gate.open()
        self.stage.released(self)


class PlainFunction(Function):
    def __call__(self, *args):
        outcome = self.begin(args)
        if isinstance(outcome, Held):
            outcome.gate.wait()
            outcome = outcome.outcome
        return _given(outcome, args)


class AsyncFunction(Function):
    async def __call__(self, *args):
        outcome = self.begin(args)
        if isinstance(outcome, Held):
            await outcome.gate.passed()
            outcome = outcome.outcome
        return _given(outcome, args)


FORMS = {"plain": PlainFunction, "async": AsyncFunction}


def _given(outcome, args):
    if isinstance(outcome, BaseException):
        raise outcome
    return outcome(*args) if callable(outcome) else outcome


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
        if not isinstance(fn, PlainFunction) or fn.resumed or not isinstance(fn.upcoming, Held):
            return False
        self._kept.append((held, fn.begin(held.args)))
        return True

    def released(self, function):
        mine = [kept for kept in self._kept if kept[0]._call.fn is function]
        for kept in mine:
            self._kept.remove(kept)
            held, outcome = kept
            if held._call.ended:  # it was given up, and ends now, when nobody cares
                held.returns(None)
            else:
                function.resumed = outcome
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
