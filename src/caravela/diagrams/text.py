"""Machine to text: a table for a terminal of 100 columns, without colour.

Each state has a line of its own and below it one line for each way out. So a long name takes no room from what
matters, which is the middle: what happens, and under which condition.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from itertools import groupby
from typing import TYPE_CHECKING

from caravela.diagrams.fold import AT_ONCE, Edge, Node, Picture, fold

if TYPE_CHECKING:
    from caravela.machine import Machine

__all__ = ["to_text"]

WIDTH = 100
"""Columns that the table keeps to, unless a name alone is longer."""

_LEAST = 30
_INDENT = " " * 6
_ARROW = " → "
_MARKS = {"▶": "start", "●": "active", "■": "end", "·": "passed without resting"}


def to_text(machine: Machine, *, active: str | None = None, transient: bool = False) -> str:
    """Show a machine as a table for a terminal.

    Args:
        machine: The machine.
        active: A machine state to mark, such as `running(attempt=2)`.
        transient: Show the states that are passed without resting, too.

    Raises:
        ExportError: There is no machine state of that name.

    >>> from caravela.compile import compile_steps
    >>> from caravela.steps import wait
    >>> print(to_text(compile_steps("nap", (wait(1),)), active="sleeping"), end="")
    nap
    <BLANKLINE>
    ▶●  sleeping
          elapsed → done
          signal  → sleeping
          stop    → stopped
    ■   done
    ■   stopped
    <BLANKLINE>
    ▶ start   ● active   ■ end
    """
    picture = fold(machine, active=active, transient=transient)
    marks = {node.state.name: _marks(node, picture) for node in picture.nodes}
    leaving = {
        name: tuple(edges) for name, edges in groupby(picture.edges, lambda edge: edge.source and edge.source.name)
    }
    width = _width_of_ways(picture)
    lines = [machine.name, ""]
    if len(picture.starts) > 1:
        lines.append("(start)")
        for edge in picture.starts:
            lines.extend(_ways(edge, width))
    for node in picture.nodes:
        lines.append(f"{marks[node.state.name]:3} {node.title}")
        for edge in leaving.get(node.state.name, ()):
            lines.extend(_ways(edge, width))
    used = "".join(marks.values())
    legend = "   ".join(f"{mark} {meaning}" for mark, meaning in _MARKS.items() if mark in used)
    return "\n".join((*(line.rstrip() for line in lines), "", legend, ""))


def _marks(node: Node, picture: Picture) -> str:
    starts = any(edge.target is node.state for edge in picture.starts) and not node.state.final
    marks = (("▶", starts), ("·", node.state.transient), ("■", node.state.final), ("●", node.active))
    return "".join(mark for mark, applies in marks if applies)


def _width_of_ways(picture: Picture) -> int:
    """Give the width of the middle column: what the longest needs, as far as the targets leave room for it."""
    longest = max((len(str(way) or AT_ONCE) for edge in _all_edges(picture) for way in edge.ways), default=0)
    targets = max((len(edge.target.title) for edge in _all_edges(picture)), default=0)
    return min(longest, max(_LEAST, WIDTH - len(_INDENT) - len(_ARROW) - targets))


def _all_edges(picture: Picture) -> tuple[Edge, ...]:
    return (*picture.starts, *picture.edges)


def _ways(edge: Edge, width: int) -> Iterator[str]:
    for way in edge.ways:
        first, *rest = _wrapped(str(way) or AT_ONCE, width)
        yield f"{_INDENT}{first:{width}}{_ARROW}{edge.target.title}"
        yield from (f"{_INDENT}{line}" for line in rest)


def _wrapped(text: str, width: int) -> list[str]:
    return textwrap.wrap(text, width, subsequent_indent="    ", break_long_words=False, break_on_hyphens=False)
