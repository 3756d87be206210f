"""Machine to Mermaid: a `stateDiagram-v2` that the Mermaid that hosts of Markdown use can read.

Ids are `s0`, `s1`, … by the place in the table, since names hold brackets and whatever a user writes into a label.
Everything that is not a plain letter, digit or mark is written as `#code;`, which is Mermaid's own escape and the only
one that holds in both titles and labels.

Mermaid cannot draw one edge of a state diagram more lightly than another, and its layout pays no heed to the order of
the lines (tried, with more space and from left to right, too). What helps is labels that are narrow: a guard has a
line of its own.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

from caravela.diagrams.fold import Edge, Picture, Way, fold
from caravela.vocabulary import DONE, FAILED, STOPPED

if TYPE_CHECKING:
    from caravela.machine import Machine, State

__all__ = ["to_mermaid"]

_STYLES = {
    DONE: "fill:#e3f4e3,stroke:#2e7d32,color:#1b3a1d,stroke-width:2px",
    FAILED: "fill:#fbe4e2,stroke:#b3402e,color:#4a1a13,stroke-width:2px",
    STOPPED: "fill:#ececec,stroke:#6b6b6b,color:#333333,stroke-width:2px",
    "active": "fill:#ffe08a,stroke:#a06a00,color:#3a2a00,stroke-width:3px",
}

_ODD = re.compile(r"[^\w .,()=+>|[\]/?!'≤…]|(?<![^\W_])_|_(?![^\W_])")
"""What is escaped. An underline at the edge of a word would be Markdown; within a word it is not."""


def to_mermaid(machine: Machine, *, active: str | None = None, transient: bool = False) -> str:
    """Draw a machine as a Mermaid state diagram.

    Args:
        machine: The machine.
        active: A machine state to mark, such as `running(attempt=2)`.
        transient: Draw the states that are passed without resting, too.

    Raises:
        ExportError: There is no machine state of that name.

    >>> from caravela.compile import compile_steps
    >>> from caravela.steps import wait
    >>> print(to_mermaid(compile_steps("nap", (wait(1),)), active="sleeping"), end="")
    stateDiagram-v2
        accTitle: nap
        state "sleeping" as s0
        state "done" as s1
        state "stopped" as s2
        [*] --> s0
        s0 --> s1 : elapsed
        s0 --> s0 : signal
        s0 --> s2 : stop
        s1 --> [*]
        s2 --> [*]
        classDef done fill:#e3f4e3,stroke:#2e7d32,color:#1b3a1d,stroke-width:2px
        class s1 done
        classDef stopped fill:#ececec,stroke:#6b6b6b,color:#333333,stroke-width:2px
        class s2 stopped
        classDef active fill:#ffe08a,stroke:#a06a00,color:#3a2a00,stroke-width:3px
        class s0 active
    """
    picture = fold(machine, active=active, transient=transient)
    return "\n".join(("stateDiagram-v2", *(f"    {line}" for line in _lines(machine, picture)), ""))


def _lines(machine: Machine, picture: Picture) -> Iterator[str]:
    yield f"accTitle: {_escaped(machine.name)}"
    for node in picture.nodes:
        title = _escaped(node.title).replace("#58;", ":")  # only in labels does a colon mean something
        yield f'state "{title}" as {_id(node.state)}'
    for edge in (*picture.starts, *picture.edges):
        yield _arrow(edge)
    for node in picture.nodes:
        if node.state.final:
            yield f"{_id(node.state)} --> [*]"
    yield from _classes(picture)


def _id(state: State | None) -> str:
    return "[*]" if state is None else f"s{state.index}"


def _arrow(edge: Edge) -> str:
    lines = (str(line) for way in edge.ways for line in (Way(way.events), Way((), way.guard)))
    label = "<br/>".join(_escaped(line) for line in lines if line)
    return f"{_id(edge.source)} --> {_id(edge.target)}" + (f" : {label}" if label else "")


def _classes(picture: Picture) -> Iterator[str]:
    members = {kind: [_id(node.state) for node in picture.nodes if node.state.kind == kind] for kind in _STYLES}
    members["active"] = [_id(node.state) for node in picture.nodes if node.active]
    for name, ids in members.items():
        if ids:
            yield f"classDef {name} {_STYLES[name]}"
            yield f"class {','.join(ids)} {name}"


def _escaped(text: str) -> str:
    return _ODD.sub(lambda found: f"#{ord(found[0])};", text)
