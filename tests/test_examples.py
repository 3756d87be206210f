"""The examples, run as a user runs them."""

import importlib
import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from subprocess import PIPE

import pytest

EXAMPLES = Path(__file__).parent.parent / "examples"
BOOK_SYNC = (sys.executable, "-u", "-W", "error", str(EXAMPLES / "book_sync.py"))
BACKENDS = ("threading", "asyncio")
LAST_EDIT = "Moby-Dick; or, The Whale"


def start(*command):
    environment = {**os.environ, "PYTHONIOENCODING": "utf-8"}
    return subprocess.Popen(command, stdout=PIPE, stderr=PIPE, encoding="utf-8", env=environment)  # noqa: S603 - ours


def book_sync(*options):
    with start(*BOOK_SYNC, *options) as process:
        # A book server that was left behind would hold stderr open, and this would run out of time.
        output, errors = process.communicate(timeout=60)
    assert errors == ""
    assert process.returncode == 0
    return output


def transitions(output):
    return re.findall(r"^ *[\d.]+ s +(\S*) +→ (\S+) +(.+)$", output, flags=re.MULTILINE)


@pytest.fixture(scope="module")
def output():
    """What one run on both backends prints: the machine, then each backend's part."""
    return re.split(r"^--- (?:threading|asyncio) ---$", book_sync(), flags=re.MULTILINE)


@pytest.fixture(params=BACKENDS)
def part(request, output):
    return output[1 + BACKENDS.index(request.param)]


def test_the_machine_is_shown_first(output):
    machine, *parts = output
    assert len(parts) == 2
    for name in ("waiting", "debouncing", "running(attempt=n)", "backoff(attempt=n)"):
        assert name in machine


def test_a_burst_of_edits_becomes_one_put_that_is_retried_until_it_is_stored(part):
    assert "a burst: 4 edits, 3 PUTs [503, 503, 200], 1 stored" in part
    steps = transitions(part)
    assert steps[:5] == [
        ("", "waiting", "start"),
        ("waiting", "debouncing", "edit"),
        *[("debouncing", "debouncing", "edit")] * 3,
    ]
    assert steps[5:11] == [
        ("debouncing", "running(attempt=1)", "elapsed"),
        ("running(attempt=1)", "backoff(attempt=1)", "failed"),
        ("backoff(attempt=1)", "running(attempt=2)", "elapsed"),
        ("running(attempt=2)", "backoff(attempt=2)", "failed"),
        ("backoff(attempt=2)", "running(attempt=3)", "elapsed"),
        ("running(attempt=3)", "waiting", "succeeded"),
    ]


def test_an_edit_during_a_sync_leads_to_another(part):
    assert "an edit, and one while it is sent: 2 edits, 2 PUTs [200, 200], 2 stored" in part
    assert transitions(part)[11:] == [
        ("waiting", "debouncing", "edit"),
        ("debouncing", "running(attempt=1)", "elapsed"),
        ("running(attempt=1)", "debouncing", "succeeded + edit"),
        ("debouncing", "running(attempt=1)", "elapsed"),
        ("running(attempt=1)", "waiting", "succeeded"),
        ("waiting", "stopped", "stop"),
    ]


def test_the_server_holds_the_last_edit(part):
    assert f"the server holds {LAST_EDIT!r}" in part


def test_it_runs_on_one_backend_and_draws_the_machine_as_mermaid():
    output = book_sync("--backend", "asyncio", "--mermaid")
    assert "stateDiagram-v2" in output
    assert "--- asyncio ---" in output
    assert "--- threading ---" not in output


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.skipif(sys.platform == "win32", reason="Ctrl-C cannot be sent to one process there")
def test_ctrl_c_ends_it_quietly(backend):
    with start(*BOOK_SYNC, "--backend", backend) as process:
        for line in process.stdout:
            if transitions(line)[-1:] == [("debouncing", "running(attempt=1)", "elapsed")]:
                break
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=30)
    assert errors == ""
    assert process.returncode == 130


def test_a_server_that_holds_another_edit_is_noticed(monkeypatch, capsys):
    monkeypatch.syspath_prepend(EXAMPLES)
    example = importlib.import_module("book_sync")
    puts = [("Moby", 200), ("Moby Dick", 200)]
    assert example.check(LAST_EDIT, puts)
    capsys.readouterr()

    assert not example.check("Moby Dick", puts)
    assert capsys.readouterr().out.splitlines() == [
        "a burst: 4 edits, 1 PUTs [200], 1 stored",
        "an edit, and one while it is sent: 2 edits, 1 PUTs [200], 1 stored",
        f"the server holds 'Moby Dick', the last edit was {LAST_EDIT!r}",
    ]
