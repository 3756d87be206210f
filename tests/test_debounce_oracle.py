"""`debounce` against what RxPY and lodash do: the same cases, as flows on virtual time.

The cases and how they were measured are in `data/debounce.json`; its times are milliseconds.
"""

import json
from pathlib import Path

import pytest

from caravela import Ok, debounce, evolve, flow, repeat, run, wait_until
from caravela.backends.virtual import VirtualBackend

ORACLE = json.loads((Path(__file__).parent / "data" / "debounce.json").read_text(encoding="utf-8"))


def touch(state):
    """An event that changes nothing: it restarts the window all the same."""
    return state


def left_after(window, max_wait, events):
    """Give the time at which one debounce, entered at the first event, is left; the later events are signals."""
    entered, *later = events
    backend = VirtualBackend()
    backend.clock.advance(entered / 1000)
    limit = None if max_wait is None else max_wait / 1000
    runner = flow("calm", debounce(window / 1000, max_wait=limit), initial_state={}).start(backend=backend)
    for at in later:
        backend.clock.call_at(at / 1000, lambda: runner.done() or runner.signal(touch))
    backend.clock.advance(60)
    assert runner.machine_state == "done"
    return round(runner.trace[-1].time * 1000, 6)


@pytest.mark.parametrize("case", ORACLE["exits"], ids=str)
def test_one_debounce_is_left_when_theirs_fires(case):
    assert left_after(case["window"], case.get("max_wait"), case["events"]) == case["exit"]


@pytest.mark.parametrize("case", ORACLE["lodash"], ids=lambda case: case["name"])
def test_one_debounce_is_left_when_lodash_first_invokes(case):
    assert left_after(case["wait"], case.get("max_wait"), case["calls"]) == case["invoked"][0]


def emitted_by(case):
    """Give what a loop of debounces emits: `[time, value]` for each."""
    backend = VirtualBackend()
    emitted = []

    def emit(state):
        emitted.append([round(backend.clock.now() * 1000, 6), state["value"]])
        return Ok(dirty=False)

    quiet = flow(
        "quiet",
        repeat(wait_until(lambda s: s["dirty"]), debounce(case["window"] / 1000), run(emit)),
        initial_state={"dirty": False, "value": None},
    )
    backend.clock.advance(0.2)  # the tests of RxPY subscribe at 200
    with quiet.start(backend=backend) as runner:
        for at, value in case["events"]:
            if at > 200:
                backend.clock.call_at(at / 1000, lambda value=value: runner.signal(evolve, dirty=True, value=value))
        if "error" in case:
            backend.clock.call_at(case["error"] / 1000, runner.stop)
        backend.clock.advance(60)
    return emitted


@pytest.mark.parametrize("case", ORACLE["rx"], ids=lambda case: case["name"])
def test_a_loop_of_debounces_emits_what_rx_emits(case):
    assert emitted_by(case) == case["emitted"]


def test_all_cases_are_there():
    assert {name: len(rows) for name, rows in ORACLE.items() if name != "about"} == {"rx": 3, "lodash": 3, "exits": 6}
