"""The inbox: in the order of sending, one wake-up for each drain, nothing lost at a run's end."""

import threading
from itertools import count

from hypothesis import given
from hypothesis import strategies as st

from caravela import mailbox
from caravela.mailbox import Mailbox


class Receiver:
    """What the inbox knows of a run."""

    def __init__(self):
        self.ended = False
        self.queued = 0


def inbox(now=None):
    return Mailbox(threading.Lock(), count().__next__ if now is None else now)


def drained(box, until=float("inf")):
    contents = []
    while (item := box.first(until)) is not None:
        assert box.pop(item)
        contents.append(item[3])
    return contents


@given(st.lists(st.one_of(st.integers(0, 9), st.none()), max_size=30))
def test_things_come_out_in_the_order_in_which_they_were_put_in(actions):
    """A number puts so many things in, None drains."""
    box, run, numbers = inbox(), Receiver(), count()
    seen = []
    for action in actions:
        if action is None:
            seen += drained(box)
        for _ in range(action or 0):
            box.post_signal(run, next(numbers))
    seen += drained(box)
    assert seen == list(range(next(numbers)))
    assert box.empty
    assert run.queued == 0


def test_the_first_thing_after_a_drain_wakes_the_loop_and_no_other():
    box, run = inbox(), Receiver()
    assert [box.post(run, mailbox.STOP, None) for _ in range(3)] == [True, False, False]
    assert len(drained(box)) == 3
    assert box.post(run, mailbox.STOP, None)


def test_what_comes_during_a_drain_needs_no_wake_up():
    box, run = inbox(), Receiver()
    box.post(run, mailbox.STOP, 1)
    box.pop(box.first(9))
    assert not box.post(run, mailbox.STOP, 2)
    assert drained(box) == [2]


def test_what_was_sent_after_a_time_stays_in():
    box, run = inbox(), Receiver()
    for content in range(4):
        box.post(run, mailbox.STOP, content)
    assert drained(box, until=1) == [0, 1]
    assert not box.empty
    assert drained(box) == [2, 3]


def test_times_are_those_of_sending():
    box, run = inbox(now=iter([1.5, 2.5]).__next__), Receiver()
    box.post(run, mailbox.STOP, None)
    assert box.first(9)[:3] == (run, 1.5, mailbox.STOP)


def test_the_end_of_a_run_takes_out_its_signals_and_nothing_else():
    box, ending, other = inbox(), Receiver(), Receiver()
    box.post_signal(ending, "before")
    box.post(ending, mailbox.RETURNED, "result")
    box.post_signal(other, "other")
    handled = box.first(99)  # now some are taken, and others come in behind them
    box.pop(handled)
    box.post_signal(ending, "late")
    assert box.close(ending) == ["late"]
    assert (ending.ended, ending.queued, other.queued) == (True, 0, 1)
    assert drained(box) == ["result", "other"]


def test_signals_taken_out_at_an_end_come_in_the_order_of_sending():
    box, run, other = inbox(), Receiver(), Receiver()
    box.post(other, mailbox.STOP, None)
    box.post_signal(run, 1)
    box.post_signal(run, 2)
    box.pop(box.first(99))
    box.post_signal(run, 3)
    assert box.close(run) == [1, 2, 3]


def test_a_run_that_has_ended_takes_no_signals_but_what_else_is_sent():
    box, run = inbox(), Receiver()
    assert box.close(run) == []
    assert box.post_signal(run, "signal") is None
    assert box.post(run, mailbox.SUBSCRIBE, "subscription") is True
    assert drained(box) == ["subscription"]


def test_an_item_that_is_gone_is_not_popped():
    box, run = inbox(), Receiver()
    box.post_signal(run, "signal")
    item = box.first(9)
    assert box.close(run) == ["signal"]
    assert not box.pop(item)


def test_senders_from_many_threads_lose_nothing_and_keep_their_order():
    box, run, seen = inbox(), Receiver(), []
    over = threading.Event()

    def send(sender):
        for number in range(500):
            box.post_signal(run, (sender, number))

    def drain():
        while not over.is_set():
            seen.extend(drained(box))

    threads = [threading.Thread(target=send, args=(sender,)) for sender in range(8)]
    drainer = threading.Thread(target=drain)
    for thread in (drainer, *threads):
        thread.start()
    for thread in threads:
        thread.join()
    over.set()
    drainer.join()
    seen.extend(drained(box))
    assert len(seen) == len(set(seen)) == 4_000
    for sender in range(8):
        assert [number for who, number in seen if who == sender] == list(range(500))
