"""`evolve`, `copied`, `changed`, `field_names`, `read_field`: all that knows a dict from a dataclass."""

from collections import Counter, OrderedDict, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import NamedTuple

import attrs
import msgspec
import pydantic
import pytest

from caravela.errors import StateError, StepError
from caravela.state import changed, copied, evolve, field_names, read_field


@dataclass(frozen=True)
class Book:
    title: str = "Moby Dick"
    dirty: bool = False


@dataclass(frozen=True, slots=True)
class SlottedBook:
    title: str = "Moby Dick"
    dirty: bool = False


class TupleBook(NamedTuple):
    title: str = "Moby Dick"
    dirty: bool = False


@attrs.frozen
class AttrsBook:
    title: str = "Moby Dick"
    dirty: bool = False


class PydanticBook(pydantic.BaseModel):
    title: str = "Moby Dick"
    dirty: bool = False


class MsgspecBook(msgspec.Struct, frozen=True):
    title: str = "Moby Dick"
    dirty: bool = False


class ReplaceBook:
    """What only has `__replace__`, as Python 3.13 defines it for `copy.replace`."""

    def __init__(self, title="Moby Dick", dirty=False):  # noqa: FBT002 - one signature for all books
        self.title = title
        self.dirty = dirty

    def __replace__(self, /, **changes):
        return ReplaceBook(**{**vars(self), **changes})

    def __eq__(self, other):
        return vars(self) == vars(other)

    __hash__ = None


class FrozenMap(Mapping):
    """A mapping that is no dict, and can be made from one."""

    def __init__(self, items):
        self._items = dict(items)

    def __getitem__(self, key):
        return self._items[key]

    def __iter__(self):
        return iter(self._items)

    def __len__(self):
        return len(self._items)


class Shelf(dict):
    """A dict with a type of its own."""


WITH_FIELDS = [Book, SlottedBook, TupleBook, AttrsBook, PydanticBook, MsgspecBook]
MAPPINGS = [
    {"title": "Moby Dick", "dirty": False},
    OrderedDict(title="Moby Dick", dirty=False),
    Counter(title=1, dirty=0),
    defaultdict(list, title="Moby Dick", dirty=False),
    Shelf(title="Moby Dick", dirty=False),
    MappingProxyType({"title": "Moby Dick", "dirty": False}),
    FrozenMap({"title": "Moby Dick", "dirty": False}),
]


def type_name(value):
    return (value if isinstance(value, type) else type(value)).__name__


# evolve


@pytest.mark.parametrize("book", [*WITH_FIELDS, ReplaceBook], ids=type_name)
def test_evolve_gives_a_changed_copy_of_the_same_type(book):
    old = book()
    new = evolve(old, dirty=True)
    assert type(new) is book
    assert (new.title, new.dirty) == ("Moby Dick", True)
    assert old == book()


@pytest.mark.parametrize("old", MAPPINGS, ids=type_name)
def test_evolve_gives_a_changed_copy_of_a_mapping(old):
    before = dict(old)
    new = evolve(old, dirty=True)
    assert type(new) is type(old)
    assert dict(new) == {**before, "dirty": True}
    assert dict(old) == before


@pytest.mark.parametrize("old", MAPPINGS, ids=type_name)
def test_a_mapping_may_gain_keys(old):
    assert evolve(old, pages=635)["pages"] == 635
    assert "pages" not in old


def test_evolve_keeps_the_factory_of_a_defaultdict():
    assert evolve(defaultdict(list), a=1)["new"] == []


@pytest.mark.parametrize("book", WITH_FIELDS, ids=type_name)
def test_an_unknown_field_is_refused_with_the_known_ones_and_the_nearest(book):
    with pytest.raises(StateError) as refused:
        evolve(book(), dirt=True)
    assert str(refused.value).splitlines() == [
        f"{book.__name__} has no field 'dirt'; it has: title, dirty",
        "  wrong: dirt=...",
        "  right: dirty=...",
    ]


@pytest.mark.parametrize(
    ("state", "message"),
    [
        (3, "the state is an int and has no fields to change"),
        ("text", "the state is a str and has no fields to change"),
        ((1, 2), "the state is a tuple and has no fields to change"),
        (None, "the state is a NoneType and has no fields to change"),
    ],
)
def test_a_state_without_fields_takes_no_changes(state, message):
    with pytest.raises(StateError) as refused:
        evolve(state, dirty=True, n=1)
    assert str(refused.value).splitlines() == [
        message,
        "  wrong: set_state(dirty=..., n=...)",
        "  right: set_state(lambda state: ...)",
    ]


def test_a_field_that_cannot_be_given_is_a_state_error():
    @dataclass(frozen=True)
    class Counted:
        n: int = field(default=0, init=False)

    with pytest.raises(StateError, match=r"a Counted cannot take n=\.\.\.: ") as refused:
        evolve(Counted(), n=1)
    assert isinstance(refused.value.__cause__, TypeError | ValueError)


def test_a_mapping_that_cannot_be_made_from_a_dict_is_a_state_error():
    class Fixed(FrozenMap):
        def __init__(self):
            super().__init__({"a": 1})

    with pytest.raises(StateError, match="a Fixed cannot be rebuilt from a dict: "):
        evolve(Fixed(), a=2)


def test_pydantic_copies_are_not_validated():
    assert evolve(PydanticBook(), dirty="perhaps").dirty == "perhaps"


def test_a_state_error_ends_a_step():
    assert issubclass(StateError, StepError)


# field_names


@pytest.mark.parametrize(
    ("state", "names"),
    [
        *((book(), ("title", "dirty")) for book in WITH_FIELDS),
        *((mapping, None) for mapping in MAPPINGS),
        (ReplaceBook(), None),
        (3, None),
        ((1, 2), None),
        (None, None),
    ],
    ids=lambda value: type_name(value) if not isinstance(value, tuple) or hasattr(value, "_fields") else "",
)
def test_field_names_of_what_has_fixed_fields(state, names):
    assert field_names(state) == names


# read_field


@pytest.mark.parametrize("state", [*(book() for book in WITH_FIELDS), ReplaceBook()], ids=type_name)
def test_read_field_of_an_object(state):
    assert read_field(state, "title") == "Moby Dick"


@pytest.mark.parametrize("state", [mapping for mapping in MAPPINGS if type(mapping) is not Counter], ids=type_name)
def test_read_field_of_a_mapping(state):
    assert read_field(state, "title") == "Moby Dick"


@pytest.mark.parametrize(
    ("state", "message"),
    [
        (Book(), "Book has no field 'pages'; it has: title, dirty"),
        ({"a": 1, 2: "b"}, "dict has no field 'pages'; it has: a, 2"),
        ({}, "dict has no field 'pages'; it has: none"),
        (3, "int has no field 'pages'; it has: none"),
    ],
)
def test_reading_a_missing_field_is_a_state_error(state, message):
    with pytest.raises(StateError) as refused:
        read_field(state, "pages")
    assert str(refused.value) == message


# copied


@pytest.mark.parametrize("state", [{"a": [1]}, OrderedDict(a=[1]), defaultdict(list, a=[1])], ids=type_name)
def test_a_dict_is_copied_one_level_deep(state):
    copy = copied(state)
    assert copy == state
    assert copy is not state
    assert copy["a"] is state["a"]


@pytest.mark.parametrize("state", [Book(), TupleBook(), PydanticBook(), (1, 2), 3, None], ids=type_name)
def test_what_is_no_dict_is_not_copied(state):
    assert copied(state) is state


# changed


class Array:
    """As numpy's and pandas' arrays: `==` gives an array, and an array is no bool."""

    def __init__(self, *values):
        self.values = values

    def __eq__(self, other):
        return Array(*(mine == theirs for mine, theirs in zip(self.values, other.values, strict=True)))

    def __bool__(self):
        raise ValueError("the truth value of an array is ambiguous")

    __hash__ = None


class Truthy(Array):
    """Gives no bool, but something that is true."""

    def __bool__(self):
        return True


class Incomparable:
    def __eq__(self, other):
        raise RuntimeError("cannot be compared")

    __hash__ = None


array, incomparable, book = Array(1, 2), Incomparable(), Book()


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        (book, book, False),
        (book, Book(), False),
        (book, Book(dirty=True), True),
        (book, {"title": "Moby Dick"}, True),
        ({"n": 1}, {"n": 1}, False),
        ({"n": 1}, {"n": 2}, True),
        (1, 1.0, False),
        (float("nan"), float("nan"), True),
        (array, array, False),
        (array, Array(1, 2), True),
        (Truthy(1), Truthy(1), True),
        ({"a": array}, {"a": Array(1, 2)}, True),
        (incomparable, incomparable, False),
        (incomparable, Incomparable(), True),
    ],
    ids=lambda value: type_name(value) if not isinstance(value, bool) else str(value),
)
def test_changed_means_another_object_that_is_not_equal(old, new, expected):
    assert changed(old, new) is expected
