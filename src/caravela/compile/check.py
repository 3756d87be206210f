"""Refuse what cannot be meant, naming the step by its path and showing the right form.

What is refused: empty blocks, duplicate names, a `repeat` that can never rest, steps that nothing can reach, options
that no step can use, a step where a function was meant and the reverse, signals that are not functions.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from caravela.backoff import BACKOFFS, JITTERS
from caravela.compile.draft import Draft, builder_name, children, inner_steps, places
from caravela.compile.options import (
    require_choice,
    require_count,
    require_duration,
    require_field,
    require_function,
    require_pure,
    require_retry_on,
)
from caravela.compile.rest import ends_here, never_rests
from caravela.compile.signals import check_signals
from caravela.errors import FlowDefinitionError
from caravela.nodes import (
    Debounce,
    Each,
    Parallel,
    Race,
    Repeat,
    RetryPolicy,
    Run,
    Sequence,
    SetState,
    Step,
    Wait,
    WaitUntil,
)
from caravela.state import evolve

__all__ = ["check"]


def check(draft: Draft) -> Draft:
    """Refuse what cannot be meant; give the draft as it is.

    >>> from caravela.steps import wait
    >>> check(Draft(flow="nap", steps=(wait(-1),), signals={}))
    Traceback (most recent call last):
    caravela.errors.FlowDefinitionError: seconds is -1; a duration is 0 or more seconds, finite, a timedelta, ...
      where: flow 'nap', step wait[0]
      wrong: wait(-1)
      right: wait(0.5)
    """
    try:
        _check_flow_name(draft.flow)
        _check_block(draft.steps, "flow")
        for path, step in places(draft.steps):
            _located(path, _check_step, step)
        _check_names(draft)
        _check_reachable(draft.steps)
        check_signals(draft.signals)
    except FlowDefinitionError as error:
        error.locate(flow=str(draft.flow))
        raise
    return draft


def _located(path: str, do: Callable[..., None], *args: Any) -> None:
    try:
        do(*args)
    except FlowDefinitionError as error:
        error.locate(step=path)
        raise


def _check_flow_name(name: Any) -> None:
    if not isinstance(name, str) or not name.strip():
        raise FlowDefinitionError(
            f"the name of the flow is {name!r}; it is a text",
            wrong=f"flow({name!r}, ...)",
            right='flow("sync_book", ...)',
        )


def _check_step(step: Any) -> None:
    if not isinstance(step, Step):
        _refuse_non_step(step)
    _check_name(step.name, builder_name(step))
    if isinstance(step, (Sequence, Repeat)):
        _check_block(step.steps, builder_name(step))
    checker = _CHECKS.get(type(step))
    if checker is not None:
        checker(step, builder_name(step))


def _refuse_non_step(value: Any) -> None:
    if callable(value):
        name = getattr(value, "__name__", "my_function")
        name = "lambda state: ..." if name == "<lambda>" else name
        hint = ("a function where a step was meant", f"repeat({name})", f"repeat(run({name}))")
        if name in ("wait", "debounce", "run", "fail", "wait_until", "set_state"):
            hint = (f"{name} itself where a step was meant", f"repeat({name})", f"repeat({name}(...))")
    elif isinstance(value, (list, tuple)):
        hint = ("a list where a step was meant", "repeat([wait(1), run(sync)])", "repeat(wait(1), run(sync))")
    else:
        hint = (f"{value!r} is no step", f"flow('name', {value!r})", "flow('name', wait(1))")
    what, wrong, right = hint
    raise FlowDefinitionError(what, wrong=wrong, right=right)


def _check_name(name: Any, call: str) -> None:
    if name is None:
        return
    if not isinstance(name, str) or not name or not name.isprintable() or set(name) & set("():,[]"):
        raise FlowDefinitionError(
            f"name is {name!r}; it is a text without brackets, colons, commas or line ends",
            wrong=f"{call}(..., name={name!r})",
            right=f'{call}(..., name="charge")',
        )


def _check_block(steps: tuple[Any, ...], call: str) -> None:
    if not steps:
        inside = '"name", ' if call == "flow" else ""
        raise FlowDefinitionError(
            f"an empty {call}: there is nothing to do",
            wrong=f"{call}({inside.rstrip(', ')})",
            right=f"{call}({inside}wait(1))",
        )


def _check_names(draft: Draft) -> None:
    seen: dict[str, str] = {}
    for path, step in places(draft.steps):
        if step.name is None:
            continue
        if step.name in seen:
            raise FlowDefinitionError(
                f"two steps have the name {step.name!r}: {seen[step.name]} and {path}",
                step=path,
                wrong=f'name="{step.name}" twice',
                right=f'name="{step.name}" and name="{step.name}_again"',
            )
        seen[step.name] = path


def _check_reachable(steps: tuple[Step[Any], ...], path: str = "") -> None:
    """Refuse steps after one that never ends, and loops that never rest."""
    ended: str | None = None
    for place, step in children(steps, path):
        if ended is not None:
            raise FlowDefinitionError(
                f"nothing can reach this step: {ended} before it never goes on",
                step=place,
                wrong="flow('name', repeat(...), run(sync))",
                right="flow('name', repeat(..., until=lambda state: state.full), run(sync))",
            )
        _check_reachable(inner_steps(step), place)
        if isinstance(step, Repeat) and step.times is None and step.until is None and never_rests(step.steps):
            raise FlowDefinitionError(
                "a repeat that can never rest: its steps take no time and wait for nothing, for ever",
                step=place,
                wrong="repeat(set_state(...))",
                right="repeat(wait_until(lambda state: state.dirty), set_state(...)), or times=, or until=",
            )
        if ends_here(step):
            ended = place


def _check_set_state(step: SetState[Any], call: str) -> None:
    keyword_form = isinstance(step.fn, partial) and step.fn.func is evolve
    if keyword_form and not step.changes:
        raise FlowDefinitionError("set_state changes nothing", wrong="set_state()", right="set_state(dirty=False)")
    if not keyword_form and step.changes:
        field = step.changes[0]
        raise FlowDefinitionError(
            "set_state takes a function or changed fields, not both",
            wrong=f"set_state(fn, {field}=...)",
            right=f"set_state(fn), set_state({field}=...)",
        )
    if not keyword_form:
        require_pure(step.fn, call, "fn")


def _check_wait(step: Wait[Any], call: str) -> None:
    require_duration(step.seconds, call, "seconds")


def _check_wait_until(step: WaitUntil[Any], call: str) -> None:
    require_pure(step.predicate, call, "predicate")
    _check_optional_duration(step.timeout, call, "timeout")


def _check_debounce(step: Debounce[Any], call: str) -> None:
    require_duration(step.seconds, call, "seconds")
    _check_optional_duration(step.max_wait, call, "max_wait")


def _check_repeat(step: Repeat[Any], call: str) -> None:
    require_count(step.times, call, "times", least=0)
    if step.until is not None:
        require_pure(step.until, call, "until")


def _check_run(step: Run[Any], call: str) -> None:
    require_function(step.fn, call)
    _check_policy(step.policy, call)
    if step.collect_as is not None:
        require_field(step.collect_as, call, "collect_as")


def _check_each(step: Each[Any], call: str) -> None:
    require_field(step.key, call, "key")
    require_function(step.fn, call)
    _check_policy(step.policy, call)


def _check_policy(policy: RetryPolicy, call: str) -> None:
    require_count(policy.retries, call, "retries", least=0)
    if callable(policy.backoff):
        require_pure(policy.backoff, call, "backoff")
    else:
        require_choice(policy.backoff, call, "backoff", BACKOFFS)
    require_choice(policy.jitter, call, "jitter", JITTERS)
    require_duration(policy.base_delay, call, "base_delay")
    _check_optional_duration(policy.max_delay, call, "max_delay")
    _check_optional_duration(policy.attempt_timeout, call, "attempt_timeout")
    require_retry_on(policy.retry_on, call)


def _check_parallel(step: Parallel[Any], call: str) -> None:
    _check_tasks(step.tasks, call)
    require_field(step.collect_as, call, "collect_as")
    require_count(step.limit, call, "limit", least=1)
    require_choice(step.on_error, call, "on_error", ("fail", "collect"))
    _check_optional_duration(step.timeout, call, "timeout")


def _check_race(step: Race[Any], call: str) -> None:
    _check_tasks(step.tasks, call)
    require_field(step.collect_as, call, "collect_as")
    _check_optional_duration(step.timeout, call, "timeout")


def _check_tasks(tasks: Any, call: str) -> None:
    if callable(tasks) and not isinstance(tasks, Step):
        require_pure(tasks, call, "tasks")
        return
    if isinstance(tasks, str) or not isinstance(tasks, (Mapping, tuple)):
        raise FlowDefinitionError(
            f"tasks is {tasks!r}; it is a list or a mapping of functions, or a function of the state that gives one",
            wrong=f"{call}(fetch(), ...)",
            right=f"{call}([fetch], ...)",
        )
    for task in tasks.values() if isinstance(tasks, Mapping) else tasks:
        require_function(task, call, "a task")


def _check_optional_duration(value: Any, call: str, option: str) -> None:
    if value is not None:
        require_duration(value, call, option)


_CHECKS: Mapping[type, Callable[[Any, str], None]] = {
    SetState: _check_set_state,
    Wait: _check_wait,
    WaitUntil: _check_wait_until,
    Debounce: _check_debounce,
    Repeat: _check_repeat,
    Run: _check_run,
    Each: _check_each,
    Parallel: _check_parallel,
    Race: _check_race,
}
