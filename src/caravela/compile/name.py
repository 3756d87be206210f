"""Give every step a label: its `name=`, the name of its function or field, or a number."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Any

from caravela.compile.draft import Draft, builder_name, places
from caravela.functions import label_of
from caravela.nodes import Each, Parallel, Race, Run, SetState, Step, WaitUntil

__all__ = ["name"]


def name(draft: Draft) -> Draft:
    """Give every step a label. Derived labels that are the same get an ordinal.

    >>> from caravela.steps import run
    >>> name(Draft(flow="f", steps=(run(print), run(print), run(print, name="last")), signals={})).labels
    {'run[0]': 'print', 'run[1]': 'print_2', 'run[2]': 'last'}
    """
    taken = {step.name for _, step in places(draft.steps) if step.name is not None}
    counts: Counter[str] = Counter()
    labels: dict[str, str] = {}
    for path, step in places(draft.steps):
        labels[path] = _free(step, taken, counts) if step.name is None else step.name
    return replace(draft, labels=labels)


def _free(step: Step[Any], taken: set[str], counts: Counter[str]) -> str:
    wanted = derived(step)
    counted = wanted or _numbered_with(step)
    while True:
        counts[counted] += 1
        count = counts[counted]
        label = str(count) if not wanted else wanted if count == 1 else f"{wanted}_{count}"
        if label not in taken:
            if wanted:
                taken.add(label)
            return label


def _numbered_with(step: Step[Any]) -> str:
    """Give the sort of step among which nameless ones are numbered; those that call functions share one."""
    return "()" if isinstance(step, (Run, Each, Parallel, Race)) else f"{builder_name(step)}()"


def derived(step: Step[Any]) -> str:
    """Give the label that a step has of itself; empty if it has none."""
    match step:
        case SetState(changes=changes) if changes:
            return "_".join(changes)
        case Run(fn=fn) | SetState(fn=fn) | WaitUntil(predicate=fn):
            return label_of(fn)
        case Each(fn=fn, key=key):
            return label_of(fn) or key
        case Parallel(collect_as=field) | Race(collect_as=field):
            return field
        case _:
            return ""
