"""Where the boxes of a diagram stand: columns by longest path, rows with few crossings."""

from __future__ import annotations

from collections import defaultdict

from layers.drawing.diagram import Diagram

SWEEPS = 12


class Layout:
    """Columns of boxes and bends, each with a row.

    A wire that passes a column on its way has a bend there, so that it goes round the boxes.

    columns: names, top to bottom, of boxes and bends;  row: by name, growing downwards
    paths:   for each edge of the diagram the names it goes through, ends included
    """

    def __init__(self, diagram: Diagram) -> None:
        self.column = _columns(diagram)
        self.paths: list[list[str]] = []
        self.columns: list[list[str]] = [[] for _ in range(max(self.column.values()) + 1)]
        for name in diagram.boxes:
            self.columns[self.column[name]].append(name)
        self._before: dict[str, list[str]] = defaultdict(list)
        self._after: dict[str, list[str]] = defaultdict(list)
        bends: dict[tuple[str, int], str] = {}  # one bend for all the wires from a box
        for start, end, wire in diagram.edges:
            path = [start]
            for i in range(self.column[start] + 1, self.column[end]):
                bend = bends.get((wire, i))
                if bend is None:
                    bend = bends[wire, i] = f"{wire} passes {i}"
                    self.columns[i].append(bend)
                    self._join(path[-1], bend)
                path.append(bend)
            self._join(path[-1], end)
            self.paths.append([*path, end])
        self._order()
        self.row = self._rows()

    def _join(self, left: str, right: str) -> None:
        self._after[left].append(right)
        self._before[right].append(left)

    def _order(self) -> None:
        """Each column in the order of the mean place of its neighbours; the best order is kept."""
        best, fewest = [list(names) for names in self.columns], self._crossings()
        for sweep in range(SWEEPS):
            forward = sweep % 2 == 0
            neighbours = self._before if forward else self._after
            indices = (
                range(1, len(self.columns)) if forward else range(len(self.columns) - 2, -1, -1)
            )
            for i in indices:
                place = self._places()
                mean = {
                    name: sum(place[n] for n in neighbours[name]) / len(neighbours[name])
                    if neighbours[name]
                    else place[name]
                    for name in self.columns[i]
                }
                self.columns[i].sort(key=mean.__getitem__)
            crossings = self._crossings()
            if crossings < fewest:
                best, fewest = [list(names) for names in self.columns], crossings
        self.columns = best

    def _places(self) -> dict[str, float]:
        return {
            name: (i + 0.5) / len(names) for names in self.columns for i, name in enumerate(names)
        }

    def _crossings(self) -> int:
        """How many pairs of wires cross between neighbouring columns."""
        count = 0
        place = self._places()
        for names in self.columns:
            wires = [(place[a], place[b]) for a in names for b in self._after[a]]
            count += sum(
                (a - c) * (b - d) < 0 for i, (a, b) in enumerate(wires) for c, d in wires[:i]
            )
        return count

    def _rows(self) -> dict[str, float]:
        """Rows near those of the neighbours, at least one apart."""
        row = {
            name: i - (len(names) - 1) / 2 for names in self.columns for i, name in enumerate(names)
        }
        for _ in range(SWEEPS):
            for names in self.columns:
                self._settle(row, names, self._before)
            for names in reversed(self.columns):
                self._settle(row, names, self._after)
        for names in self.columns:  # the last word: a box stands in the middle of what it reads
            self._settle(row, names, self._before)
        return row

    @staticmethod
    def _settle(row: dict[str, float], names: list[str], near: dict[str, list[str]]) -> None:
        """Move a column's members to the mean rows of their neighbours on one side."""
        wanted = [
            sum(row[n] for n in near[name]) / len(near[name]) if near[name] else row[name]
            for name in names
        ]
        row.update(zip(names, _apart(wanted), strict=True))


def _columns(diagram: Diagram) -> dict[str, int]:
    """Inputs in column 0, every other box one further than the furthest it reads."""
    column: dict[str, int] = {}
    before: dict[str, list[str]] = defaultdict(list)
    for start, end, _ in diagram.edges:
        before[end].append(start)
    for name in diagram.boxes:
        column[name] = max((column[start] + 1 for start in before[name]), default=0)
    last = max(column.values())
    for name, box in diagram.boxes.items():
        if box.kind == "output":
            column[name] = last
    return column


def _apart(wanted: list[float]) -> list[float]:
    """The rows nearest to those wanted (least squares) that are at least one apart, in order."""
    blocks: list[tuple[float, int]] = []  # mean of wanted − place, members
    for i, value in enumerate(wanted):
        mean, size = value - i, 1
        while blocks and blocks[-1][0] > mean:
            other, members = blocks.pop()
            mean = (mean * size + other * members) / (size + members)
            size += members
        blocks.append((mean, size))
    flat = [mean for mean, size in blocks for _ in range(size)]
    return [mean + i for i, mean in enumerate(flat)]
