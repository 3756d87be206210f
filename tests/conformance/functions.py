"""Functions for flows, with scripted outcomes: plain and async, and held in flight until the test releases them."""

from __future__ import annotations

import asyncio
import threading
from contextlib import suppress

GUARD = 30.0
"""Seconds after which something counts as hanging."""


class Gate:
    """Closed until the test opens it; functions, plain and async, wait in front of it."""

    def __init__(self):
        self._opened = threading.Event()
        self._waiting = []

    @property
    def is_open(self):
        return self._opened.is_set()

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


class Function:
    """A function for a flow, with one scripted outcome for each call; the last one is for all calls after it.

    An outcome is returned; an exception is raised; a plain function is called with the arguments; `Held(...)` keeps the
    call in flight until `release()`.
    """

    def __init__(self, stage, outcomes, name):
        self.stage = stage
        self.outcomes = outcomes or (None,)
        self.calls = []
        self.resumed = None  # what a call does that the virtual backend held and lets go now
        self._gates = []
        self._free = False
        self._lock = threading.Lock()
        self.__name__ = name

    @property
    def holds(self):
        """Whether the next call is to be held."""
        return isinstance(self._upcoming, Held) and not self._free and self.resumed is None

    @property
    def _upcoming(self):
        return self.outcomes[min(len(self.calls), len(self.outcomes) - 1)]

    @property
    def in_flight(self):
        """Whether a call is held."""
        return any(not gate.is_open for gate in list(self._gates))

    def begin(self, args):
        """Give what a call does that begins now, and the gate in front of it."""
        with self._lock:
            resumed, self.resumed = self.resumed, None
            if resumed is not None:
                return resumed
            outcome = self._upcoming
            self.calls.append(args)
            if not isinstance(outcome, Held):
                return outcome, None
            gate = Gate()
            if self._free:
                gate.open()
            self._gates.append(gate)
            return outcome.outcome, gate

    def begun(self, times=1):
        """Wait until so many calls have begun."""
        self.stage.until(lambda: len(self.calls) >= times, f"call {times} of {self.__name__}")

    def release(self, *, for_good=True):
        """Let the held calls go, and if it is for good those to come."""
        with self._lock:
            self._free = for_good
            held = list(self._gates)
        for gate in held:
            gate.open()
        self.stage.released(self)


class PlainFunction(Function):
    def __call__(self, *args):
        outcome, gate = self.begin(args)
        if gate is not None:
            gate.wait()
        return _given(outcome, args)


class AsyncFunction(Function):
    async def __call__(self, *args):
        outcome, gate = self.begin(args)
        if gate is not None:
            await gate.passed()
        return _given(outcome, args)


FORMS = {"plain": PlainFunction, "async": AsyncFunction}


def _given(outcome, args):
    if isinstance(outcome, BaseException):
        raise outcome
    return outcome(*args) if callable(outcome) else outcome
