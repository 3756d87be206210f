"""The rules of the house: who may import whom, what the pure part may not touch, and what the front door shows."""

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

import pytest

import caravela

HOUSE = Path(caravela.__file__).parent

# A room is a module or a package of `caravela`. It imports only from lower floors, never from its own.
FLOORS = (
    {"errors", "vocabulary"},
    {"state", "functions", "backoff", "nodes", "diagrams", "mailbox", "messages"},
    {"outcomes", "steps", "machine"},
    {"compile", "core", "export"},
    {"calls", "trace", "signals", "replies", "results"},
    {"host", "outlet"},
    {"subscription", "runner"},
    {"runners"},
    {"async_runner"},
    {"backends"},
    {"flow"},
    {"__init__"},
)
FLOOR = {room: number for number, rooms in enumerate(FLOORS) for room in rooms}
HOST_ONLY = {"time", "random", "threading", "asyncio", "queue", "socket"}


@dataclass(frozen=True)
class Import:
    """One name that is imported, and where."""

    place: str
    room: str
    module: str
    name: str = ""

    @property
    def source(self):
        """The room from which it comes; empty for what is not ours."""
        parts = self.module.split(".")
        if parts[0] != "caravela":
            return ""
        return parts[1] if len(parts) > 1 else self.name if self.name in FLOOR else "__init__"


def imports(path: str, text: str) -> Iterator[Import]:
    """Give what a module imports when it is imported or run; not what only checkers of types see."""
    room = path.partition("/")[0].removesuffix(".py")
    pending = [ast.parse(text)]
    while pending:
        node = pending.pop()
        place = f"{path}:{getattr(node, 'lineno', 0)}"
        if isinstance(node, ast.If) and ast.unparse(node.test) in ("TYPE_CHECKING", "typing.TYPE_CHECKING"):
            pending.extend(node.orelse)
            continue
        if isinstance(node, ast.Import):
            yield from (Import(place, room, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            module = f"{'.' * node.level}{node.module or ''}"
            yield from (Import(place, room, module, alias.name) for alias in node.names)
        pending.extend(ast.iter_child_nodes(node))


def faults(sources: dict[str, str]) -> list[str]:
    """Give the lines that break a rule, with the rule."""
    found = []
    for path, text in sources.items():
        for one in imports(path, text):
            if one.module.startswith("."):
                found.append(f"{one.place}: a relative import; write `from caravela.room import name`")
            elif one.room not in FLOOR:
                found.append(f"{path}: the room {one.room!r} stands on no floor; give it one in FLOORS")
            elif one.source and one.source != one.room and FLOOR.get(one.source, 99) >= FLOOR[one.room]:
                found.append(
                    f"{one.place}: {one.room!r} on floor {FLOOR[one.room]} imports from {one.source!r} "
                    f"on floor {FLOOR.get(one.source)}; only lower floors may be imported from"
                )
            elif one.module.split(".")[0] in HOST_ONLY and FLOOR[one.room] < FLOOR["backends"]:
                found.append(f"{one.place}: {one.room!r} imports {one.module!r}, which belongs to the backends")
    return sorted(set(found))


SOURCES = {path.relative_to(HOUSE).as_posix(): path.read_text(encoding="utf-8") for path in HOUSE.rglob("*.py")}


def test_the_rules_are_kept():
    assert faults(SOURCES) == []


def test_every_room_on_a_floor_is_in_the_house():
    rooms = {path.partition("/")[0].removesuffix(".py") for path in SOURCES}
    assert set(FLOOR) == rooms
    assert sum(map(len, FLOORS)) == len(FLOOR)


def test_compile_and_core_stand_side_by_side():
    assert FLOOR["compile"] == FLOOR["core"] == FLOOR["machine"] + 1


@pytest.mark.parametrize(
    ("path", "text", "fault"),
    [
        ("core/enter.py", "import ast\nimport time", "core/enter.py:2: 'core' imports 'time'"),
        (
            "core/enter.py",
            "def f():\n    from asyncio.tasks import Task",
            "core/enter.py:2: 'core' imports 'asyncio.tasks'",
        ),
        ("mailbox.py", "import queue as q", "mailbox.py:1: 'mailbox' imports 'queue'"),
        (
            "core/a.py",
            "from caravela.compile.draft import Draft",
            "core/a.py:1: 'core' on floor 3 imports from 'compile'",
        ),
        ("compile/a.py", "import caravela.core", "compile/a.py:1: 'compile' on floor 3 imports from 'core'"),
        ("state.py", "from caravela import machine", "state.py:1: 'state' on floor 1 imports from 'machine'"),
        ("state.py", "from caravela import Flow", "state.py:1: 'state' on floor 1 imports from '__init__'"),
        ("state.py", "from caravela.nodes import Step", "state.py:1: 'state' on floor 1 imports from 'nodes'"),
        ("state.py", "from .errors import StateError", "state.py:1: a relative import"),
        ("attic.py", "import ast", "attic.py: the room 'attic' stands on no floor"),
        (
            "state.py",
            "if TYPE_CHECKING:\n    import time\nelse:\n    import socket",
            "state.py:4: 'state' imports 'socket'",
        ),
    ],
)
def test_a_broken_rule_is_named_with_its_line(path, text, fault):
    (found,) = faults({path: text})
    assert found.startswith(fault)


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("core/enter.py", "from caravela.core.cursor import Cursor"),
        ("core/enter.py", "from caravela import vocabulary as v"),
        ("machine.py", "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from caravela.flow import Flow"),
        ("backends/threads.py", "import threading, queue, time"),
        ("flow.py", "import asyncio"),
    ],
)
def test_what_the_rules_allow(path, text):
    assert faults({path: text}) == []


# What the front door shows


def shown() -> set[str]:
    """Give what `caravela/__init__.py` imports from its rooms, for programs or for checkers of types."""
    tree = ast.parse(SOURCES["__init__.py"])
    found = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    return {
        alias.asname or alias.name
        for node in found
        if (node.module or "").split(".")[0] == "caravela"
        for alias in node.names
    }


def test_all_names_what_is_imported_and_nothing_else():
    assert set(caravela.__all__) == shown()
    assert caravela.__all__ == sorted(set(caravela.__all__))


@pytest.mark.parametrize("name", caravela.__all__)
def test_every_name_in_all_can_be_had(name):
    assert getattr(caravela, name) is not None


def test_other_names_cannot():
    with pytest.raises(AttributeError, match="module 'caravela' has no attribute 'Attic'"):
        caravela.Attic  # noqa: B018 - to see it raise


@pytest.mark.parametrize("path", [path for path, text in sorted(SOURCES.items()) if "__all__" in text])
def test_what_a_module_offers_is_there(path):
    dotted = path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
    module = import_module("caravela" if dotted == "__init__" else f"caravela.{dotted}")
    missing = [name for name in module.__all__ if not hasattr(module, name)]
    assert not missing
    assert len(set(module.__all__)) == len(module.__all__)
