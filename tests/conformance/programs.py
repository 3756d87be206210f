"""Programs of the tests' own, each in a process of its own."""

from __future__ import annotations

import signal
import subprocess
import sys
import tempfile
import textwrap
import threading
import time
from types import SimpleNamespace

from tests.conformance.functions import GUARD


def run_script(code, *options, interrupt=False):
    """Run a program in a process of its own; give its end, its output, and the seconds from `print()` to the end.

    Args:
        code: The program. It prints "ready" when the test's own part begins.
        options: Those of the interpreter.
        interrupt: Press Ctrl-C when it is ready.
    """
    with tempfile.TemporaryFile("w+") as complaints:
        process = subprocess.Popen(  # noqa: S603 - a test's own program
            [sys.executable, *options, "-c", _HEARS_CTRL_C + textwrap.dedent(code)],
            stdout=subprocess.PIPE,
            stderr=complaints,
            text=True,
        )
        guard = threading.Timer(GUARD, process.kill)
        guard.start()
        with process:
            output = process.stdout.readline()
            since = time.monotonic()
            if interrupt:
                process.send_signal(signal.SIGINT)
            output += process.stdout.read()
        guard.cancel()
        complaints.seek(0)
        return SimpleNamespace(
            code=process.returncode, output=output, errors=complaints.read(), seconds=time.monotonic() - since
        )


_HEARS_CTRL_C = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); del signal\n"
"""A program that a shell has put into the background ignores it."""
