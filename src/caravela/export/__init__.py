"""Machine to other people's formats."""

from __future__ import annotations

from caravela.export.to_transitions import to_transitions

__all__ = ["to_transitions"]
