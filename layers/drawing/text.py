"""A diagram as text, for Graphviz and for Mermaid."""

from __future__ import annotations

from layers.drawing.diagram import Diagram


def to_dot(diagram: Diagram) -> str:
    """In Graphviz's language: `dot -Tsvg`."""
    shapes = {"input": "plaintext", "gate": "circle", "layer": "box", "output": "plaintext"}
    lines = ["digraph {", "  rankdir=LR;"]
    for name, box in diagram.boxes.items():
        lines.append(f"  {_dot(name)} [label={_dot(box.text)}, shape={shapes[box.kind]}];")
    for start, end, wire in diagram.edges:
        label = _label(diagram, wire, "\n")
        lines.append(
            f"  {_dot(start)} -> {_dot(end)}" + f" [label={_dot(label)}]" * bool(label) + ";"
        )
    return "\n".join([*lines, "}", ""])


def to_mermaid(diagram: Diagram) -> str:
    """In Mermaid's language, which a Markdown page shows as a picture."""
    marks = {"input": ("[", "]"), "gate": ("((", "))"), "layer": ("[", "]"), "output": ("[", "]")}
    numbers = {name: f"n{i}" for i, name in enumerate(diagram.boxes)}
    lines = ["flowchart LR"]
    for name, box in diagram.boxes.items():
        before, after = marks[box.kind]
        lines.append(f"  {numbers[name]}{before}{_mermaid(box.text or ' ')}{after}")
    for start, end, wire in diagram.edges:
        label = _label(diagram, wire, "\n")
        mark = f"-->|{_mermaid(label)}|" if label else "-->"
        lines.append(f"  {numbers[start]} {mark} {numbers[end]}")
    return "\n".join([*lines, ""])


def _label(diagram: Diagram, wire: str, between: str) -> str:
    parts = [diagram.values.get(wire, ""), diagram.grads.get(wire, "")]
    return between.join(part for part in parts if part)


def _dot(text: str) -> str:
    """A quoted string."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'


def _mermaid(text: str) -> str:
    escaped = text.replace("&", "&amp;").replace('"', "&quot;").replace("<", "&lt;")
    return '"' + escaped.replace("\n", "<br/>") + '"'
