"""Machine to Graphviz' DOT language."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from caravela.diagrams.fold import Edge, Node, Picture, fold

if TYPE_CHECKING:
    from caravela.machine import Machine, State

__all__ = ["to_dot"]

_HEAD = (
    "rankdir=TB",
    'fontname="Helvetica"',
    'node [shape=box, style="rounded,filled", fillcolor="white", color="#444444", fontname="Helvetica"]',
    'edge [color="#444444", fontname="Helvetica", fontsize=10]',
    "start [shape=point, width=0.15, fillcolor=black]",
)
_ACTIVE = 'fillcolor="#ffe08a", color="#a06a00", penwidth=2'
_CALM = 'color="#999999", fontcolor="#777777", style=dashed'


def to_dot(machine: Machine, *, active: str | None = None, transient: bool = False) -> str:
    """Draw a machine in Graphviz' DOT language.

    Args:
        machine: The machine.
        active: A machine state to mark, such as `running(attempt=2)`.
        transient: Draw the states that are passed without resting, too; they are grey.

    Raises:
        ExportError: There is no machine state of that name.

    >>> from caravela.compile import compile_steps
    >>> from caravela.steps import wait
    >>> print(to_dot(compile_steps("nap", (wait(1),)), active="sleeping"), end="")
    digraph "nap" {
        label="nap";
        labelloc=t;
        rankdir=TB;
        fontname="Helvetica";
        node [shape=box, style="rounded,filled", fillcolor="white", color="#444444", fontname="Helvetica"];
        edge [color="#444444", fontname="Helvetica", fontsize=10];
        start [shape=point, width=0.15, fillcolor=black];
        s0 [label="sleeping", fillcolor="#ffe08a", color="#a06a00", penwidth=2];
        s1 [label="done", peripheries=2];
        s2 [label="stopped", peripheries=2];
        start -> s0;
        s0 -> s1 [label="elapsed"];
        s0 -> s0 [label="signal"];
        s0 -> s2 [label="stop", color="#999999", fontcolor="#777777", style=dashed];
    }
    """
    picture = fold(machine, active=active, transient=transient)
    lines = (f"    {line};" for line in _lines(machine, picture))
    return "\n".join((f"digraph {_quoted(machine.name)} {{", *lines, "}", ""))


def _lines(machine: Machine, picture: Picture) -> Iterator[str]:
    yield f"label={_quoted(machine.name)}"
    yield "labelloc=t"
    yield from _HEAD
    for node in picture.nodes:
        yield f"{_id(node.state)} [{', '.join(_node_attributes(node))}]"
    for edge in (*picture.starts, *picture.edges):
        yield f"{_id(edge.source)} -> {_id(edge.target)}{_edge_attributes(edge)}"


def _id(state: State | None) -> str:
    return "start" if state is None else f"s{state.index}"


def _node_attributes(node: Node) -> Iterator[str]:
    yield f"label={_quoted(node.title)}"
    if node.state.final:
        yield "peripheries=2"
    if node.active:
        yield _ACTIVE
    elif node.state.transient:
        yield 'color="#aaaaaa", fontcolor="#666666"'


def _edge_attributes(edge: Edge) -> str:
    label = "\n".join(str(way) for way in edge.ways)
    attributes = [f"label={_quoted(label)}"] if label else []
    if edge.breaks_off:
        attributes.append(_CALM)  # so that the eye finds the way that is meant
    return f" [{', '.join(attributes)}]" if attributes else ""


def _quoted(text: str) -> str:
    r"""Quote a text. Graphviz reads `\N` and the like, and `&amp;` and the like, in labels.

    >>> print(_quoted('a "b" & c'))
    "a \"b\" &amp; c"
    """
    for char, escape in (("\\", "\\\\"), ('"', '\\"'), ("&", "&amp;"), ("\n", "\\n")):
        text = text.replace(char, escape)
    return f'"{text}"'
