"""Random small flows, with scripted outcomes and signals between settled states: the same trace on every backend."""

from contextlib import ExitStack, suppress

from hypothesis import HealthCheck, given, reject, settings
from hypothesis import strategies as st

from caravela import (
    Abort,
    Fail,
    FlowDefinitionError,
    FlowEndError,
    Ok,
    Retry,
    Skip,
    debounce,
    each,
    fail,
    flow,
    parallel,
    race,
    repeat,
    replay,
    run,
    set_state,
    wait,
    wait_until,
)
from caravela.core import machine_state
from tests.conformance.functions import FORMS, Held
from tests.conformance.harness import STAGES

BLANK = {"n": 0, "sent": 0, "wanted": 0, "got": None, "items": ("a", "b")}

# --- what a flow may be: plain data, of which each backend builds its own ---------------------------------------------

SECONDS = st.sampled_from([0, 0.001])
FORM = st.sampled_from(sorted(FORMS))
OUTCOME = st.sampled_from(["none", "ok", "change", "retry", "fail", "abort", "raise", "invalid"])
ITEM_OUTCOME = st.sampled_from(["none", "change", "skip", "fail", "abort"])
VALUES = st.lists(st.integers(0, 3), max_size=3)

LEAVES = st.one_of(
    st.tuples(st.just("add")),
    st.tuples(st.just("wait"), SECONDS),
    st.tuples(st.just("debounce"), SECONDS),
    st.tuples(st.just("wait_until"), st.integers(0, 2)),
    st.tuples(st.just("run"), FORM, st.lists(OUTCOME, min_size=1, max_size=3), st.integers(0, 2), st.booleans()),
    st.tuples(st.just("each"), FORM, st.lists(ITEM_OUTCOME, min_size=1, max_size=3), st.integers(0, 1)),
    st.tuples(st.just("parallel"), FORM, VALUES),
    st.tuples(st.just("race"), FORM, VALUES.map(lambda values: values[:1])),
    st.tuples(st.just("fail")),
)


def bodies(steps):
    return st.lists(steps, min_size=1, max_size=3)


STEPS = bodies(st.one_of(LEAVES, LEAVES, st.tuples(st.just("repeat"), bodies(LEAVES), st.integers(0, 3))))
ACTIONS = st.lists(st.sampled_from(["signal", "signal", "signal", "raising", "stop"]), max_size=8)


def add(state):
    return {**state, "n": state["n"] + 1}


def send(state):
    return {**state, "sent": state["sent"] + 1}


def raising(state):
    raise KeyError("rejected")


def outcome_of(word):
    """Give what a function does; made anew each time, since exceptions are changed by being raised."""
    return {
        "none": lambda *_: None,
        "ok": lambda *args: Ok(add(args[-1])),
        "change": lambda *args: Ok(n=args[-1]["n"] + 10),
        "retry": lambda *_: Retry(got="retried"),
        "fail": lambda *_: Fail("failed"),
        "abort": lambda *_: Abort("aborted"),
        "skip": lambda *_: Skip(),
        "raise": lambda *_: OSError("raised"),
        "invalid": lambda *_: 7,
    }[word]


class Build:
    """The steps of one flow for one backend, and the functions of it that the test keeps in flight."""

    def __init__(self, stage):
        self.stage = stage
        self.held = []

    def steps(self, described):
        return [getattr(self, kind)(*rest) for kind, *rest in described]

    def add(self):
        return set_state(add)

    def wait(self, seconds):
        return wait(seconds)

    def debounce(self, seconds):
        return debounce(seconds)

    def wait_until(self, signals):
        return wait_until(lambda s: s["sent"] >= signals)

    def run(self, form, outcomes, retries, held):
        script = [_raising_or(outcome_of(word)) for word in outcomes]
        work = self.stage.function(form, *(Held(outcome) if held else outcome for outcome in script))
        if held:
            self.held.append(work)
        return run(work, retries=retries, base_delay=0.001)

    def each(self, form, outcomes, retries):
        return each("items", self.stage.function(form, *map(outcome_of, outcomes)), retries=retries, base_delay=0)

    def parallel(self, form, values):
        return parallel([self.stage.function(form, value) for value in values], "got")

    def race(self, form, values):
        return race([self.stage.function(form, value) for value in values], "got")

    def repeat(self, body, times):
        return repeat(*self.steps(body), times=times)

    def fail(self):
        return fail("given up")


def _raising_or(outcome):
    def act(*args):
        value = outcome(*args)
        if isinstance(value, BaseException):
            raise value
        return value

    return act


# --- how it is driven -------------------------------------------------------------------------------------------------


class Drive:
    """Lets a flow go until nothing happens by itself, acts, and so on until it has ended."""

    def __init__(self, stage, steps, actions):
        self.stage = stage
        self.build = Build(stage)
        described = flow("random", *self.build.steps(steps), initial_state=BLANK, signals={"send": send})
        self.play = stage.start(described)
        self.actions = list(actions)

    def to_the_end(self):
        play = self.play
        while True:
            self.stage.until(self._settled, lambda: f"to settle; so far: {play.path}")
            if play.runner.done():
                break
            if self._in_flight():
                self._act_in_flight()
            else:
                self._act_waiting()
        with suppress(FlowEndError):
            play.result()
        return play

    def _settled(self):
        return self.play.runner.done() or self._in_flight() or self.play.runner.machine_state.startswith("waiting")

    def _in_flight(self):
        return [work for work in self.build.held if work.in_flight]

    def _act_waiting(self):
        action = self.actions.pop(0) if self.actions else "stop"
        if action == "stop":
            self.play.stop()
        elif action == "raising":
            with suppress(KeyError):
                self.play.update(raising)
        else:
            self.play.update("send")

    def _act_in_flight(self):
        """Up to two signals are postponed, or the flow is stopped; then the function goes on."""
        (work,) = self._in_flight()
        for action in [self.actions.pop(0) for _ in self.actions[:2]]:
            if action == "stop":
                self.play.stop()
                work.release()
                return
            self.play.signal(*({"raising": (raising,), "signal": ("send",)}[action]))
        before = len(self.play.records)
        work.release(for_good=False)
        self.stage.until(lambda: len(self.play.records) > before, "what follows")


def seen(play):
    return {
        "path": [(r.source, r.event, r.target, r.passed, r.signals) for r in play.records],
        "told": play.told,
        "state": play.runner.get_state(),
    }


@settings(max_examples=250, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(steps=STEPS, actions=ACTIONS)
def check(stages, steps, actions):
    try:
        flow("random", *Build(stages[0]).steps(steps), initial_state=BLANK)
    except FlowDefinitionError:
        reject()  # such as a step behind a `fail`, which nothing can reach
    expected = None
    for stage in stages:
        play = Drive(stage, steps, actions).to_the_end()
        play.check()
        replayed = [machine_state(play.runner.machine, s) for s in replay(play.runner.machine, play.records)]
        assert replayed == [record.target for record in play.records]
        found = seen(play)
        expected = expected or found
        assert found == expected, stage.name


def test_the_same_flow_gives_the_same_trace_everywhere(caplog):
    caplog.set_level("CRITICAL", "caravela")  # rejected signals are logged, and here there are many
    with ExitStack() as stack:
        stages = [stack.enter_context(STAGES[name]()) for name in ("virtual", "threading", "asyncio")]
        check(stages)
