"""The lecture's picture of a circuit: values in green above the wires, gradients in red below."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

from layers.drawing.diagram import Box, Diagram
from layers.drawing.layout import Layout

VALUE, GRADIENT, SHAPE, LINE = "#0b7a22", "#c21d1d", "#444444", "#333333"
FONT = 11  # points
LETTER = FONT * 0.0087  # the width of a letter, in inches, on the safe side
ROW = 0.72  # inches between rows
TURN = 0.5  # inches between columns for wires to change rows in
MARGIN = 0.2


def draw(diagram: Diagram, path: Path | str) -> None:
    """Write the picture; the ending says how: .png, .svg, .pdf."""
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise ImportError(
            "draw needs matplotlib, which is in the extra `plots`: pip install 'handgrad[plots]'"
        ) from None
    layout = Layout(diagram)
    place = _Places(diagram, layout)
    figure = Figure(figsize=(place.width, place.height))
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set(xlim=(0, place.width), ylim=(0, place.height))
    axes.axis("off")
    for names in layout.paths:
        _wire(axes, place, names)
    written = set()
    for start, _, wire in diagram.edges:
        if wire not in written:
            _label(axes, diagram, place, start, wire)
            written.add(wire)
    for name, box in diagram.boxes.items():
        _box(axes, box, *place.at(name), place.half[name])
    figure.savefig(path, dpi=150, facecolor="white")


class _Places:
    """Inches: the middle of a column of boxes, how far its wires run straight for the labels."""

    def __init__(self, diagram: Diagram, layout: Layout) -> None:
        self.half = {name: _half_width(box) for name, box in diagram.boxes.items()}
        self._layout = layout
        self.column_half = [
            max((self.half.get(name, 0.0) for name in names), default=0.0)
            for names in layout.columns
        ]
        labels: dict[str, float] = {}
        for start, _, wire in diagram.edges:
            texts = (diagram.values.get(wire, ""), diagram.grads.get(wire, ""))
            labels[start] = max(labels.get(start, 0), *(LETTER * len(text) for text in texts))
        self.straight = [
            0.2 + max((labels.get(name, 0.0) for name in names), default=0.0)
            for names in layout.columns
        ]
        self.x: list[float] = []
        edge = MARGIN
        for half, straight in zip(self.column_half, self.straight, strict=True):
            self.x.append(edge + half)
            edge += 2 * half + straight + TURN
        self.width = self.x[-1] + self.column_half[-1] + MARGIN
        rows = layout.row.values()
        self._top = min(rows)
        self.height = (max(rows) - min(rows) + 1) * ROW + MARGIN

    def at(self, name: str) -> tuple[float, float]:
        return self.x[self._column(name)], self.y(name)

    def y(self, name: str) -> float:
        return self.height - MARGIN / 2 - (self._layout.row[name] - self._top + 0.5) * ROW

    def span(self, name: str) -> tuple[float, float]:
        """From where wires come to a box to where they turn after it."""
        i = self._column(name)
        x, half = self.x[i], self.half.get(name)
        right = x + self.column_half[i] + self.straight[i]
        return (x - self.column_half[i] if half is None else x - half), right

    def _column(self, name: str) -> int:
        if name not in self._columns_of:
            for i, names in enumerate(self._layout.columns):
                self._columns_of.update(dict.fromkeys(names, i))
        return self._columns_of[name]

    @property
    def _columns_of(self) -> dict[str, int]:
        found: dict[str, int] = self.__dict__.setdefault("_found", {})
        return found


def _half_width(box: Box) -> float:
    if box.kind == "output":
        return 0.0
    longest = max(map(len, box.text.split("\n")))
    if box.kind == "input":
        return 0.04 + LETTER * longest / 2
    return max(0.21, 0.1 + LETTER * longest / 2)


def _wire(axes: Any, place: _Places, names: list[str]) -> None:
    """Straight through the columns, turning between them; an arrow at the end."""
    start = place.at(names[0])
    points = [(start[0] + place.half[names[0]], start[1])]
    for left, right in pairwise(names):
        points.append((place.span(left)[1], place.y(left)))
        points.append((place.span(right)[0], place.y(right)))
    xs, ys = zip(*points[:-1], strict=True)
    axes.plot(xs, ys, color=LINE, linewidth=1.1, solid_joinstyle="round", zorder=1)
    axes.annotate(
        "",
        xy=points[-1],
        xytext=points[-2],
        arrowprops={"arrowstyle": "-|>", "color": LINE, "linewidth": 1.1, "shrinkA": 0,
                    "shrinkB": 0},
        zorder=1,
    )  # fmt: skip


def _label(axes: Any, diagram: Diagram, place: _Places, start: str, wire: str) -> None:
    """Value and gradient where the wire leaves its box."""
    x, y = place.at(start)
    left, right = x + place.half[start], place.span(start)[1]
    colour = SHAPE if diagram.shapes else VALUE
    for text, color, up, va in (
        (diagram.values.get(wire, ""), colour, 0.04, "bottom"),
        (diagram.grads.get(wire, ""), GRADIENT, -0.05, "top"),
    ):
        axes.text((left + right) / 2, y + up, text, color=color, ha="center", va=va, fontsize=FONT)


def _box(axes: Any, box: Box, x: float, y: float, half: float) -> None:
    from matplotlib.patches import Circle, FancyBboxPatch

    if box.kind == "output":
        return
    if box.kind == "gate" and half <= 0.25:
        axes.add_patch(Circle((x, y), half, facecolor="white", edgecolor=LINE, linewidth=1.3))
    elif box.kind != "input":
        height = 0.2 if "\n" not in box.text else 0.26
        axes.add_patch(
            FancyBboxPatch(
                (x - half + 0.06, y - height + 0.06),
                2 * half - 0.12,
                2 * height - 0.12,
                boxstyle="round,pad=0.06",
                facecolor="white",
                edgecolor=LINE,
                linewidth=1.3,
            )
        )
    style = "italic" if box.kind == "input" else "normal"
    axes.text(x, y, box.text, ha="center", va="center", fontsize=FONT, style=style, zorder=3)
