"""Delays before retries: pure functions of the number of the retry.

The delay before retry k, counted from 1: `constant` base; `linear` base·k; `exponential` base·2^(k-1); a function
gives its own. Then jitter, then `max_delay` caps the result, and never more than a day. The names and formulas of the
jitters are those of Marc Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog, 2015.
"""

from __future__ import annotations

import math
from datetime import timedelta
from typing import Any

from caravela.errors import StateError

__all__ = ["BACKOFFS", "DAY", "JITTERS", "backoff_delay", "seconds_of"]

DAY = 86_400.0
"""The longest delay before a retry, in seconds."""

BACKOFFS = ("constant", "linear", "exponential")
JITTERS = ("none", "full", "equal", "decorrelated")

_MAX_DOUBLINGS = 1000  # 2**1000 still fits a float; a day is reached long before


def backoff_delay(
    retry: int,
    *,
    backoff: Any = "constant",
    base_delay: float = 0.1,
    max_delay: float | None = None,
    jitter: str = "none",
    draw: float = 0.0,
    previous: float | None = None,
) -> float:
    """Give the seconds to wait before a retry.

    Args:
        retry: The number of the retry, from 1.
        backoff: `"constant"`, `"linear"`, `"exponential"`, or a function of the number of the retry.
        base_delay: Seconds.
        max_delay: Seconds, the cap after jitter.
        jitter: `"none"`, `"full"` (0 to the delay), `"equal"` (half of it to all of it) or `"decorrelated"`
            (`base_delay` to three times the previous delay, whatever `backoff` says).
        draw: A random number, at least 0 and less than 1.
        previous: Seconds waited before the previous retry; None before the first.

    Raises:
        StateError: A backoff function gave no valid number of seconds.

    >>> [backoff_delay(k, backoff="exponential", base_delay=0.2) for k in (1, 2, 3)]
    [0.2, 0.4, 0.8]
    >>> backoff_delay(5_000, backoff="exponential", base_delay=0.2, max_delay=30)
    30.0
    """
    delay = _jittered(_curve(retry, backoff, base_delay), jitter, draw, base_delay, previous)
    return float(min(delay, DAY if max_delay is None else max_delay, DAY))


def _curve(retry: int, backoff: Any, base: float) -> float:
    if callable(backoff):
        return seconds_of(backoff(retry), "backoff")
    if backoff == "linear":
        return base * retry
    if backoff == "exponential":
        return base * 2.0 ** min(retry - 1, _MAX_DOUBLINGS)
    return base


def _jittered(delay: float, jitter: str, draw: float, base: float, previous: float | None) -> float:
    delay, base = min(delay, DAY), min(base, DAY)
    if jitter == "full":
        return delay * draw
    if jitter == "equal":
        return delay / 2 + delay / 2 * draw
    if jitter == "decorrelated":
        high = 3 * (base if previous is None else previous)
        return base + (max(high, base) - base) * draw
    return delay


def seconds_of(value: Any, what: str) -> float:
    """Give a computed duration as seconds.

    Raises:
        StateError: It is no number or `timedelta`, or negative, NaN or infinite.

    >>> seconds_of(timedelta(milliseconds=1500), "seconds")
    1.5
    """
    if type(value) is float and 0.0 <= value < math.inf:
        return value
    if isinstance(value, timedelta):
        value = value.total_seconds()
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        try:
            seconds = float(value)
        except OverflowError:
            seconds = math.inf
        if 0.0 <= seconds < math.inf:
            return seconds
    raise StateError(
        f"{what} came out as {value!r}; a duration is 0 or more seconds, finite, or a timedelta",
        wrong=f"lambda state: {value!r}",
        right="lambda state: 0.5",
    )
