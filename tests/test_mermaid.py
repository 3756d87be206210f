"""Mermaid's own parser reads the pictures: one node for each machine state, the start and the ends marked."""

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from caravela.compile import compile_steps
from caravela.diagrams.fold import fold
from caravela.steps import (
    debounce,
    each,
    fail,
    parallel,
    race,
    repeat,
    run,
    sequence,
    set_state,
    wait,
    wait_until,
)

HERE = Path(__file__).parent / "mermaid"
INSTALL = f"cd {HERE} && npm ci"
INSTALL_SECONDS = 80
READ_SECONDS = 30

ODD_LABELS = (
    "__init__ **bold** `code` _x_",
    "\"double\" 'single' #quot; #35;",
    "a;b %% c --> d <b>x</b> &amp; & < >",
    "{state} note end <<fork>> ~x~ $k$ \\n \\",
    "日本 é ß 😀 ≤",
    "- list",
    "1. list",
    "*",
    "# title",
)


def work(state):
    """A function to run."""


def kick(state):
    return state


def flows():
    """Flows of all kinds of steps, simple and nested, with and without signals, with every option that adds an edge."""
    yield compile_steps("nap", (wait(1),))
    yield compile_steps(
        "all kinds",
        (
            set_state(a=1),
            sequence(wait(lambda state: 1), wait_until(lambda state: True, timeout=4)),
            debounce(lambda state: 1, max_wait=3),
            run(work, attempt_timeout=3, retries=2),
            run(work, retries=None),
            each("items", lambda item, state: None, retries=2),
            parallel(lambda state: [], "results", timeout=2),
            race([lambda: 1, lambda: 2], "winner"),
            repeat(set_state(n=1), times=3),
            fail("no"),
        ),
        {"kick": kick, "mark_dirty": kick},
    )
    yield compile_steps("loop", (repeat(wait_until(bool), debounce(0.5), run(work, retries=3)),))
    yield compile_steps("yields", (repeat(set_state(a=1), wait_until(bool), until=bool, times=5_000), wait(0)))
    yield compile_steps(
        'odd "name" %% # ; : <x>\n--> é',
        (
            *(run(work, name=label) for label in ODD_LABELS),
            *(set_state(kick, name=f"{label}!") for label in ODD_LABELS),
        ),
    )


CASES = [
    pytest.param(machine, options, id=f"{machine.name.split()[0]}-{'transient' if options['transient'] else 'folded'}")
    for machine in flows()
    for options in ({"transient": False}, {"transient": True})
]


@pytest.fixture(scope="module")
def parsed():
    """Give what Mermaid reads in each picture, by the picture. One process for all, since it takes seconds to start."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        pytest.skip(f"Node.js is missing, so Mermaid did not check the diagrams. Install Node.js 20 and run: {INSTALL}")
    _install(npm)
    pictures = [machine.to_mermaid(**options) for machine, options in (case.values for case in CASES)]
    marked = compile_steps("f", (run(work, retries=2),)).to_mermaid(active="backoff(attempt=2)")
    read = subprocess.run(  # noqa: S603
        [node, str(HERE / "parse.mjs")],
        input="\f".join((*pictures, marked)),
        encoding="utf-8",
        check=False,
        capture_output=True,
        timeout=READ_SECONDS,
    )
    assert read.returncode == 0, read.stderr
    return dict(zip((*pictures, marked), map(json.loads, read.stdout.splitlines()), strict=True))


def _install(npm):
    installed = HERE / "node_modules" / ".package-lock.json"
    if installed.exists() and installed.stat().st_mtime >= (HERE / "package-lock.json").stat().st_mtime:
        return
    command = [npm, "ci", "--no-audit", "--no-fund", "--loglevel=error", "--fetch-retries=1"]
    try:
        done = subprocess.run(  # noqa: S603
            command, cwd=HERE, check=False, capture_output=True, encoding="utf-8", timeout=INSTALL_SECONDS
        )
        fault = done.stderr if done.returncode else ""
    except subprocess.TimeoutExpired:
        fault = f"it took more than {INSTALL_SECONDS} seconds"
    if fault:
        give_up = pytest.fail if os.environ.get("CI") else pytest.skip
        give_up(f"Mermaid could not be installed, so it did not check the diagrams. Try: {INSTALL}\n{fault}")


@pytest.mark.parametrize(("machine", "options"), CASES)
def test_mermaid_finds_one_node_for_each_machine_state(parsed, machine, options):
    found = parsed[machine.to_mermaid(**options)]
    wanted = {f"s{s.index}": s.title for s in machine.states if options["transient"] or not s.transient}
    assert found["type"] == "stateDiagram"
    assert found["title"] == machine.name
    assert {state["id"]: state["label"] for state in found["states"]} == wanted
    assert len(found["states"]) == len(wanted)


@pytest.mark.parametrize(("machine", "options"), CASES)
def test_mermaid_finds_the_start_and_the_ends(parsed, machine, options):
    found = parsed[machine.to_mermaid(**options)]
    starts = {way["target"] for way in found["transitions"] if way["source"] == "[*]"}
    ends = {way["source"] for way in found["transitions"] if way["target"] == "[*]"}
    classes = {state["id"]: state["classes"] for state in found["states"]}
    assert starts == {f"s{edge.target.index}" for edge in fold(machine, **options).starts}
    assert ends == {f"s{state.index}" for state in machine.states if state.final}
    assert {f"s{state.index}": [state.kind] for state in machine.states if state.final}.items() <= classes.items()


@pytest.mark.parametrize(("machine", "options"), CASES)
def test_mermaid_finds_every_edge_with_its_words(parsed, machine, options):
    found = parsed[machine.to_mermaid(**options)]
    drawn = {
        (way["source"], way["target"]): way["label"].replace("<br>", " ")
        for way in found["transitions"]
        if "[*]" not in (way["source"], way["target"])
    }
    wanted = {
        (f"s{edge.source.index}", f"s{edge.target.index}"): " ".join(map(str, edge.ways))
        for edge in fold(machine, **options).edges
    }
    assert drawn == wanted


def test_mermaid_finds_the_active_state(parsed):
    found = parsed[compile_steps("f", (run(work, retries=2),)).to_mermaid(active="backoff(attempt=2)")]
    assert [state["label"] for state in found["states"] if "active" in state["classes"]] == ["backoff(attempt=2)"]
