"""Machine to `transitions`: a real `transitions.Machine` on which callbacks can be hung, and that can judge a trace.

It holds one transition for each move, and each of them asks whether it leads to the `target=` that the trigger was
given. So one trigger call follows one step of a trace, whatever was passed on the way. The machine is flat, makes no
transitions of its own (`auto_transitions=False`) and hands callbacks the arguments of the trigger (`send_event=False`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import transitions

from caravela.errors import ExportError
from caravela.export.moves import moves, places, starts
from caravela.machine import Machine

__all__ = ["Model", "Towards", "to_transitions"]


class Model:
    """What a machine moves if it is given nothing else; `state` is the name of the machine state."""

    state: str


@dataclass(frozen=True, slots=True)
class Towards:
    """The condition of a transition: the trigger was given no target, or this one.

    Attributes:
        target: The name of the state it leads to.
        folded: Whether a live name, such as `running(attempt=2)`, means the state without its parameters.

    >>> towards = Towards("running", folded=True)
    >>> towards(), towards(target="running(attempt=2)"), towards(target="failed")
    (True, True, False)
    """

    target: str
    folded: bool

    def __call__(self, *_args: object, target: str | None = None, **_kwargs: object) -> bool:
        """Answer for the arguments of a trigger."""
        return target is None or (target.partition("(")[0] if self.folded else target) == self.target


def to_transitions(
    machine: Machine, *, model: Any = None, unroll: bool = False, initial: str | None = None
) -> transitions.Machine:
    """Give the machine as a `transitions.Machine`.

    Call `model.trigger(event, target="debouncing")` for each step of a trace; without `target=` the first transition
    of the event is taken. Where the model has an attribute of the name of an event or a state, `transitions` leaves
    that alone and says so in its log; `trigger` works all the same. If that name is taken too,
    `exported.events[event].trigger(model, target=...)` needs no attribute at all.

    Args:
        machine: The machine.
        model: The object to move; its attribute `state` is set. None for a plain new one, as `.model`.
        unroll: Make one state of each attempt: `running(attempt=1)`, `backoff(attempt=1)`, `running(attempt=2)`.
            Without it `running` stands for all attempts, and live names are taken for it in `target=`.
        initial: The state to begin in; None for the first in which a run can rest.

    Raises:
        ExportError: Attempts cannot be unrolled, there is no such initial state, or a signal has a name that
            `transitions` takes for a callback.

    >>> from caravela.compile import compile_steps
    >>> from caravela.steps import run, wait
    >>> exported = to_transitions(compile_steps("nap", (wait(1), run(print))))
    >>> exported.model.state
    'sleeping'
    >>> exported.model.trigger("elapsed", target="running(attempt=1)"), exported.model.state
    (True, 'running')
    >>> exported.model.trigger("failed", target="done")
    False
    """
    names = [place.name for place in places(machine, unroll=unroll)]
    _check_signals(machine, names)
    exported = transitions.Machine(
        model=None,
        name=machine.name,
        states=[transitions.State(place.name, final=place.state.final) for place in places(machine, unroll=unroll)],
        initial=_initial(machine, names, initial, unroll=unroll),
        transitions=[
            {
                "trigger": move.event,
                "source": move.source.name,
                "dest": move.target.name,
                "conditions": Towards(move.target.name, folded=not unroll),
            }
            for move in moves(machine, unroll=unroll)
        ],
        auto_transitions=False,
        model_attribute=" ",  # else it would refuse a signal called `state`
    )
    exported.model_attribute = "state"
    # Not by the constructor, which takes a model that is empty (an empty list-like object, say) for none at all.
    exported.add_model(Model() if model is None else model)
    return exported


def _initial(machine: Machine, names: list[str], wanted: str | None, *, unroll: bool) -> str:
    if wanted is None:
        return next(iter(starts(machine, unroll=unroll))).name
    name = wanted if unroll else wanted.partition("(")[0]
    if name not in names:
        raise ExportError(
            f"there is no state {wanted!r} to begin in; there are {', '.join(names)}",
            flow=machine.name,
            wrong=f"to_transitions(machine, initial={wanted!r})",
            right=f"to_transitions(machine, initial={names[0]!r})",
        )
    return name


def _check_signals(machine: Machine, names: list[str]) -> None:
    """Refuse signals that `transitions` would find on the model and call whenever a state is entered or left."""
    callbacks = {f"on_{when}_{name}" for when in ("enter", "exit") for name in names}
    for signal in machine.signals:
        if signal in callbacks:
            raise ExportError(
                f"the signal {signal!r} has the name of a callback of `transitions`",
                flow=machine.name,
                wrong=f"signals={{{signal!r}: ...}}",
                right=f"signals={{{'when_' + signal.removeprefix('on_')!r}: ...}}",
            )
