"""Machine to picture: pure functions with ordered output. `fold` says what there is to draw, each format how."""

from __future__ import annotations

from caravela.diagrams.dot import to_dot
from caravela.diagrams.mermaid import to_mermaid
from caravela.diagrams.text import to_text

__all__ = ["to_dot", "to_mermaid", "to_text"]
