"""The pool of worker threads: how many, in which order, and what becomes of work that is not begun."""

import threading
import time

import pytest

from caravela.backends import pool as pool_module
from caravela.backends.pool import WorkerPool, lent_place

GUARD = 30.0


class Job:
    """What the pool knows of a call."""

    def __init__(self, work=None):
        self.work = work
        self.done = threading.Event()
        self.outcome = None

    def run_here(self):
        try:
            if self.work is not None:
                self.work()
        finally:
            self.outcome = "ran"
            self.done.set()

    def settled(self):
        self.outcome = "settled"
        self.done.set()

    def raised(self, error):
        self.outcome = error
        self.done.set()


def until(condition):
    end = time.monotonic() + GUARD
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.001)


@pytest.fixture
def pool_of():
    pools = []

    def make(workers):
        pools.append(WorkerPool(workers, name="test"))
        return pools[-1]

    yield make
    for pool in pools:
        pool.close()
        pool.join(GUARD)
    until(lambda: not any(thread.name == "test-worker" for thread in threading.enumerate()))


def submitted(pool, *works):
    jobs = [Job(work) for work in works]
    for job in jobs:
        pool.submit(job)
    return jobs


def test_threads_are_made_when_there_is_work_and_used_again(pool_of):
    pool, threads = pool_of(4), []
    assert len(pool._threads) == 0
    for _ in range(10):
        (job,) = submitted(pool, lambda: threads.append(threading.current_thread()))
        assert job.done.wait(GUARD)
        until(lambda: pool._idle == 1)
    assert len(set(threads)) == 1
    assert threads[0].daemon


def test_work_is_begun_in_the_order_in_which_it_came(pool_of):
    order = []
    jobs = submitted(pool_of(1), *(lambda n=n: order.append(n) for n in range(50)))
    assert jobs[-1].done.wait(GUARD)
    assert order == list(range(50))


def test_no_more_threads_than_the_limit(pool_of):
    pool, gate = pool_of(3), threading.Event()
    jobs = submitted(pool, *[lambda: gate.wait(GUARD)] * 20)
    assert len(pool._threads) == 3
    gate.set()
    assert all(job.done.wait(GUARD) for job in jobs)


def test_so_many_run_at_once(pool_of):
    meeting = threading.Barrier(3)
    jobs = submitted(pool_of(3), *[lambda: meeting.wait(GUARD)] * 6)
    assert all(job.done.wait(GUARD) for job in jobs)
    assert not meeting.broken


def test_what_is_not_begun_can_be_withdrawn(pool_of):
    pool, gate, begun = pool_of(1), threading.Event(), threading.Event()
    first, second = submitted(pool, lambda: begun.set() or gate.wait(GUARD), None)
    assert begun.wait(GUARD)
    assert not pool.withdraw(first)
    assert pool.withdraw(second)
    assert not pool.withdraw(second)
    gate.set()
    assert first.done.wait(GUARD)
    assert second.outcome is None


def test_close_settles_what_is_not_begun_and_lets_the_threads_go(pool_of):
    pool, gate, begun = pool_of(1), threading.Event(), threading.Event()
    first, second = submitted(pool, lambda: begun.set() or gate.wait(GUARD), None)
    assert begun.wait(GUARD)
    pool.close()
    assert second.outcome == "settled"
    gate.set()
    pool.join(GUARD)
    assert first.outcome == "ran"
    assert len(pool._threads) == 0


def test_an_idle_thread_goes_after_a_while(pool_of, monkeypatch):
    monkeypatch.setattr(pool_module, "IDLE_SECONDS", 0.01)
    pool = pool_of(2)
    (job,) = submitted(pool, None)
    assert job.done.wait(GUARD)
    until(lambda: not pool._threads)
    (job,) = submitted(pool, None)
    assert job.done.wait(GUARD)


def test_work_that_comes_while_idle_threads_go_is_not_forgotten(pool_of, monkeypatch):
    monkeypatch.setattr(pool_module, "IDLE_SECONDS", 0.0005)
    pool = pool_of(2)
    for _ in range(300):
        (job,) = submitted(pool, None)
        assert job.done.wait(GUARD)
        time.sleep(0.0004)


def test_a_thread_that_lends_its_place_lets_another_work(pool_of):
    pool, other_ran = pool_of(1), threading.Event()

    def lend():
        with lent_place():
            other_ran.wait(GUARD)

    jobs = submitted(pool, lend, other_ran.set)
    assert all(job.done.wait(GUARD) for job in jobs)
    assert other_ran.is_set()
    until(lambda: len(pool._threads) == 1)


def test_lending_is_nothing_on_other_threads():
    with lent_place():
        assert not hasattr(pool_module._here, "pool")


def test_surplus_threads_leave_their_work_to_others_at_once(pool_of):
    """Two threads are idle when a third takes its place back: the one that goes must not take the wake-up with it."""
    pool, lent, back, over = pool_of(2), threading.Event(), threading.Event(), threading.Event()

    def lend():
        with lent_place():
            lent.set()
            back.wait(GUARD)
        over.wait(GUARD)

    (lender,) = submitted(pool, lend)
    assert lent.wait(GUARD)
    meeting = threading.Barrier(2)
    pair = submitted(pool, *[lambda: meeting.wait(GUARD)] * 2)
    assert all(job.done.wait(GUARD) for job in pair)
    until(lambda: pool._idle == 2)
    back.set()
    until(lambda: pool._limit == 2)
    (late,) = submitted(pool, None)
    assert late.done.wait(pool_module.IDLE_SECONDS / 2)
    over.set()
    assert lender.done.wait(GUARD)


def test_work_for_which_no_thread_can_be_made_fails(pool_of, monkeypatch):
    def refuse(thread):
        raise RuntimeError("can't start new thread")

    pool = pool_of(2)
    monkeypatch.setattr(threading.Thread, "start", refuse)
    (job,) = submitted(pool, None)
    assert isinstance(job.outcome, RuntimeError)
    assert len(pool._threads) == 0
    monkeypatch.undo()
    (job,) = submitted(pool, None)
    assert job.done.wait(GUARD)
    assert job.outcome == "ran"


def test_work_waits_for_a_thread_that_exists_if_no_other_can_be_made(pool_of, monkeypatch):
    pool, gate, begun = pool_of(2), threading.Event(), threading.Event()
    (first,) = submitted(pool, lambda: begun.set() or gate.wait(GUARD))
    assert begun.wait(GUARD)

    def refuse(thread):
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    (second,) = submitted(pool, None)
    assert second.outcome is None
    gate.set()
    assert first.done.wait(GUARD)
    assert second.done.wait(GUARD)
    assert second.outcome == "ran"
