"""Pictures of a container: with matplotlib, or as text for Graphviz and Mermaid."""

from layers.drawing.diagram import Diagram, diagram
from layers.drawing.picture import draw
from layers.drawing.text import to_dot, to_mermaid

__all__ = ["Diagram", "diagram", "draw", "to_dot", "to_mermaid"]
