"""The pure heart: what a run does next. No clock, no threads, no randomness, no I/O.

`start(machine, state)` gives the first snapshot, `advance(machine, snapshot, event)` the next one; the same input gives
the same output, always. What has to be *done* is what differs between two snapshots: `effects(machine, old, new)`.
"""

from __future__ import annotations

from caravela.core.advance import advance, start
from caravela.core.effects import Effect, effects
from caravela.core.record import Record
from caravela.core.snapshot import Failure, RawSnapshot, Snapshot, describe, machine_state

__all__ = [
    "Effect",
    "Failure",
    "RawSnapshot",
    "Record",
    "Snapshot",
    "advance",
    "describe",
    "effects",
    "machine_state",
    "start",
]
