"""The benchmarks run and show their table. How fast anything is, is not asked here."""

import os
import platform
import re
import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARK = Path(__file__).parent.parent / "benchmarks" / "core.py"


@pytest.fixture(scope="module")
def output():
    done = subprocess.run(  # noqa: S603 - our own script
        (sys.executable, "-W", "error", str(BENCHMARK), "--quick"),
        capture_output=True,
        encoding="utf-8",
        env={**os.environ, "PYTHONIOENCODING": "utf-8"},
        timeout=100,
        check=False,
    )
    assert done.stderr == ""
    assert done.returncode == 0
    return done.stdout


def test_the_python_that_was_measured_is_named(output):
    assert output.startswith(platform.python_implementation())
    assert platform.python_version() in output.splitlines()[0]


@pytest.mark.parametrize(
    "title",
    [
        "one set_state step, beside a loop written by hand",
        "one signal into debounce, beside the bare call",
        "for information",
    ],
)
def test_each_table_has_its_heading(output, title):
    assert re.search(rf"^{re.escape(title)} +target +measured$", output, flags=re.MULTILINE)


@pytest.mark.parametrize("target", ["≤ 1.5 ×", "≤ 5 ×"])
def test_a_ratio_stands_beside_its_target(output, target):
    assert re.search(rf"^in the core +{target} +[\d.,]+ × +(ok|missed)$", output, flags=re.MULTILINE)


@pytest.mark.skipif(sys.platform != "linux", reason="resident memory is read from /proc")
@pytest.mark.parametrize("backend", ["asyncio", "threading", "virtual"])
def test_the_memory_of_a_flow_at_rest_is_shown(output, backend):
    assert re.search(rf"^{backend}\b.* ≤ 1,000 bytes +[\d.,]+ bytes +(ok|missed)$", output, flags=re.MULTILINE)
