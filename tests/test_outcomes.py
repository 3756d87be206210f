"""`Ok`, `Retry`, `Fail`, `Abort`, `Skip`: plain values."""

from dataclasses import dataclass

import pytest

from caravela.errors import InvalidOutcomeError, StateError
from caravela.outcomes import Abort, Fail, Ok, Retry, Skip


@dataclass(frozen=True)
class Book:
    dirty: bool = True
    n: int = 0


BOOK = Book()
OTHER = Book(n=7)


@pytest.mark.parametrize(
    ("outcome", "state"),
    [
        (Ok(), BOOK),
        (Ok(OTHER), OTHER),
        (Ok(dirty=False), Book(dirty=False)),
        (Ok(dirty=False, n=2), Book(dirty=False, n=2)),
        (Ok(None), None),
        (Retry(), BOOK),
        (Retry(OTHER), OTHER),
        (Retry(OTHER, after=1), OTHER),
        (Retry(n=2, after=1), Book(n=2)),
    ],
    ids=repr,
)
def test_apply_gives_the_state_that_follows(outcome, state):
    assert outcome.apply(BOOK) == state


def test_without_a_state_it_is_the_very_same():
    assert Ok().apply(BOOK) is BOOK
    assert Retry().apply(BOOK) is BOOK


@pytest.mark.parametrize("outcome", [Ok(dirt=False), Retry(dirt=False)], ids=repr)
def test_apply_refuses_an_unknown_field(outcome):
    with pytest.raises(StateError, match="Book has no field 'dirt'; it has: dirty, n"):
        outcome.apply(BOOK)


@pytest.mark.parametrize("outcome", [Ok, Retry])
def test_a_state_and_changed_fields_are_not_both_taken(outcome):
    name = outcome.__name__
    with pytest.raises(InvalidOutcomeError) as refused:
        outcome(BOOK, dirty=False)
    assert str(refused.value).splitlines() == [
        f"{name} takes a state or changed fields, not both",
        f"  wrong: {name}(state, dirty=...)",
        f"  right: {name}(evolve(state, ...))",
    ]


def test_after_is_an_option_of_retry_and_a_field_of_ok():
    assert Retry(after=2.0).after == 2.0
    assert Retry().after is None
    assert Ok(after=2.0).apply({}) == {"after": 2.0}


def test_fields_may_have_any_name():
    assert Ok(self=1, state=2).apply({}) == {"self": 1, "state": 2}


@pytest.mark.parametrize(
    ("outcome", "shown"),
    [
        (Ok(), "Ok()"),
        (Ok(3), "Ok(3)"),
        (Ok(None), "Ok(None)"),
        (Ok(dirty=False, n=1), "Ok(dirty=False, n=1)"),
        (Retry(), "Retry()"),
        (Retry(3, after=1), "Retry(3, after=1)"),
        (Retry(n=1, after=0.5), "Retry(n=1, after=0.5)"),
        (Fail("503"), "Fail('503')"),
        (Abort("gone"), "Abort('gone')"),
        (Skip(), "Skip(None)"),
        (Skip("empty"), "Skip('empty')"),
    ],
)
def test_they_print_as_they_are_written(outcome, shown):
    assert repr(outcome) == shown


EQUAL = [
    (Ok(), Ok()),
    (Ok({"n": 1}), Ok({"n": 1})),
    (Ok(n=1), Ok(n=1)),
    (Retry(after=1), Retry(after=1)),
    (Fail("a"), Fail("a")),
    (Skip(), Skip(None)),
]
DIFFERENT = [
    (Ok(), Ok(None)),
    (Ok({"n": 1}), Ok(n=1)),
    (Ok(), Retry()),
    (Retry(), Retry(after=0)),
    (Retry(n=1), Retry(n=2)),
    (Fail("a"), Fail("b")),
    (Fail("a"), Abort("a")),
    (Fail("a"), "a"),
    (Fail(Fail), Fail),
]


@pytest.mark.parametrize(("left", "right"), EQUAL, ids=repr)
def test_they_are_equal_if_their_contents_are(left, right):
    assert left == right


@pytest.mark.parametrize(("left", "right"), DIFFERENT, ids=repr)
def test_they_differ_if_their_kinds_or_contents_do(left, right):
    assert left != right


@pytest.mark.parametrize("outcome", [Ok({}), Retry(), Fail("a"), Abort("a"), Skip()], ids=repr)
def test_they_have_no_hash_since_a_state_may_have_none(outcome):
    with pytest.raises(TypeError, match="unhashable"):
        hash(outcome)


def test_reasons_can_be_matched():
    match Fail("503"):
        case Fail(reason):
            assert reason == "503"
        case _:
            pytest.fail("not matched")
