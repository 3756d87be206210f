"""The independent judge: is a recorded run a legal path of the exported `transitions` machine?"""

from __future__ import annotations

from transitions import Machine, MachineError


def walk(machine: Machine, records, *, folded: bool = True) -> None:
    """Make the machine take the steps of a run, one trigger call for each record.

    A first record without a source is the start of the run; it only says where that is.

    Args:
        machine: What `to_transitions` gave; it is walked on a model of its own.
        records: Records with `source`, `event` and `target`; live names such as `running(attempt=2)`.
        folded: Whether the machine was made without `unroll=True`, so that `running` stands for all attempts.

    Raises:
        AssertionError: At the first step that the machine does not allow; it names the steps before it.
    """
    model = _Model()
    taken: list[str] = []
    records = list(records)
    if records and not records[0].source:
        model.state = _base(records[0].target) if folded else records[0].target
        taken.append(f"--{records[0].event}--> {records[0].target}")
        records = records[1:]
    for number, record in enumerate(records):
        source, target = (_base(name) if folded else name for name in (record.source, record.target))
        step = f"{record.source} --{record.event}--> {record.target}"
        path = "\n  ".join(("taken so far:", *taken)) if taken else "it is the first step"
        if not model.state:
            model.state = source
        assert source in machine.states, f"step {number}, {step}: no state {source!r}; {path}"
        assert model.state == source, f"step {number}, {step}: the run stood at {model.state!r}; {path}"
        assert record.event in machine.events, f"step {number}, {step}: no event {record.event!r}; {path}"
        allowed = [way.dest for way in machine.get_transitions(record.event, source)]
        try:
            moved = machine.events[record.event].trigger(model, target=record.target)
        except MachineError:
            moved = False
        assert moved, f"step {number}, {step}: not allowed; {record.event!r} leads to {allowed}; {path}"
        assert model.state == target, f"step {number}, {step}: it led to {model.state!r}; {path}"
        taken.append(step)


class _Model:
    state = ""


def _base(name: str) -> str:
    return name.partition("(")[0]
