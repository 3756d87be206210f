"""Delays before retries: curves, jitters, caps."""

import math
from datetime import timedelta
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from caravela.backoff import BACKOFFS, DAY, JITTERS, backoff_delay, seconds_of
from caravela.errors import StateError

ALMOST_ONE = math.nextafter(1.0, 0.0)
FAR = 10**6


@pytest.mark.parametrize(
    ("curve", "delays"),
    [
        ("constant", [0.5, 0.5, 0.5, 0.5, 0.5]),
        ("linear", [0.5, 1.0, 1.5, 2.0, 2.5]),
        ("exponential", [0.5, 1.0, 2.0, 4.0, 8.0]),
        (lambda retry: retry**2, [1.0, 4.0, 9.0, 16.0, 25.0]),
        (lambda retry: timedelta(minutes=retry), [60.0, 120.0, 180.0, 240.0, 300.0]),
    ],
)
def test_the_curves(curve, delays):
    assert [backoff_delay(k, backoff=curve, base_delay=0.5) for k in range(1, 6)] == delays


def test_the_default_is_a_constant_tenth_of_a_second():
    assert [backoff_delay(k) for k in (1, 2, FAR)] == [0.1, 0.1, 0.1]


@pytest.mark.parametrize(
    ("jitter", "lowest", "middle", "highest"),
    [
        ("none", 8.0, 8.0, 8.0),
        ("full", 0.0, 4.0, 8.0),
        ("equal", 4.0, 6.0, 8.0),
    ],
)
def test_the_jitters_of_a_delay_of_8_seconds(jitter, lowest, middle, highest):
    drawn = [
        backoff_delay(3, backoff="exponential", base_delay=2, jitter=jitter, draw=draw)
        for draw in (0.0, 0.5, ALMOST_ONE)
    ]
    assert drawn == pytest.approx([lowest, middle, highest])


@pytest.mark.parametrize(
    ("previous", "lowest", "highest"),
    [
        (None, 2.0, 6.0),  # before the first retry: the base stands for it
        (5.0, 2.0, 15.0),
        (0.1, 2.0, 2.0),  # never less than the base
    ],
)
def test_decorrelated_jitter_goes_from_the_base_to_three_times_the_previous_delay(previous, lowest, highest):
    drawn = [
        backoff_delay(9, backoff="exponential", base_delay=2, jitter="decorrelated", draw=draw, previous=previous)
        for draw in (0.0, ALMOST_ONE)
    ]
    assert drawn == pytest.approx([lowest, highest])


def test_max_delay_caps_after_the_jitter():
    capped = [
        backoff_delay(10, backoff="exponential", base_delay=1, max_delay=30, jitter="equal", draw=draw)
        for draw in (0.0, 0.9)
    ]
    assert capped == [30.0, 30.0]  # 512 s, of which at least half is left
    assert backoff_delay(10, backoff="exponential", base_delay=1, max_delay=30, jitter="full", draw=0.01) == 5.12


@pytest.mark.parametrize("max_delay", [None, 10 * DAY, 1e300])
def test_never_more_than_a_day(max_delay):
    assert backoff_delay(2, backoff="linear", base_delay=DAY, max_delay=max_delay) == DAY
    assert backoff_delay(1, backoff=lambda retry: 1e300, max_delay=max_delay) == DAY


@pytest.mark.parametrize("base_delay", [5e-324, 0.1, 1, DAY, 1e308])
@pytest.mark.parametrize("jitter", JITTERS)
@pytest.mark.parametrize("curve", BACKOFFS)
def test_no_overflow_however_many_retries(curve, jitter, base_delay):
    for draw, previous in product((0.0, 0.5, ALMOST_ONE), (None, DAY)):
        delay = backoff_delay(FAR, backoff=curve, base_delay=base_delay, jitter=jitter, draw=draw, previous=previous)
        assert 0.0 <= delay <= DAY


def test_far_out_the_exponential_curve_is_a_day():
    assert backoff_delay(FAR, backoff="exponential") == DAY


@pytest.mark.parametrize("curve", BACKOFFS)
def test_a_base_of_zero_never_waits(curve):
    assert [backoff_delay(k, backoff=curve, base_delay=0) for k in (1, 2, FAR)] == [0.0, 0.0, 0.0]


@given(
    st.integers(1, FAR),
    st.sampled_from(BACKOFFS),
    st.floats(0, 1e308),
    st.none() | st.floats(0, 1e308),
    st.sampled_from(JITTERS),
    st.floats(0, ALMOST_ONE),
    st.none() | st.floats(0, DAY),
)
def test_every_delay_is_a_float_between_zero_and_its_caps(retry, curve, base, longest, jitter, draw, previous):
    delay = backoff_delay(
        retry, backoff=curve, base_delay=base, max_delay=longest, jitter=jitter, draw=draw, previous=previous
    )
    assert type(delay) is float
    assert 0.0 <= delay <= min(DAY, DAY if longest is None else longest)


@pytest.mark.parametrize("given_back", [-1, math.nan, math.inf, "1", None, True, 10**400])
def test_a_backoff_function_must_give_a_duration(given_back):
    with pytest.raises(StateError, match="backoff came out as"):
        backoff_delay(1, backoff=lambda retry: given_back)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [(0, 0.0), (0.0, 0.0), (3, 3.0), (0.25, 0.25), (timedelta(minutes=1), 60.0), (timedelta(0), 0.0)],
)
def test_seconds_of_a_duration(value, seconds):
    found = seconds_of(value, "seconds")
    assert found == seconds
    assert type(found) is float


@pytest.mark.parametrize("value", [-0.1, -1, math.nan, math.inf, -math.inf, True, "1", None, 1j, 10**400])
def test_what_is_no_duration_is_refused_in_both_forms(value):
    with pytest.raises(StateError) as refused:
        seconds_of(value, "timeout")
    error = refused.value
    assert str(error).startswith(f"timeout came out as {value!r}; a duration is 0 or more seconds, finite")
    assert (error.wrong, error.right) == (f"lambda state: {value!r}", "lambda state: 0.5")


def test_a_negative_timedelta_is_refused_as_its_seconds():
    with pytest.raises(StateError, match=r"timeout came out as -1\.0; "):
        seconds_of(timedelta(seconds=-1), "timeout")
