"""Comma-separated values: one sample a line, a column for each feature and one for the label."""

from __future__ import annotations

import re
from array import array
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple, TextIO

import numpy as np
from numpy.typing import NDArray

from data.dataset import Dataset, from_arrays
from data.errors import DataError, nearest, shown
from data.files import MAX_BYTES, check_memory, check_unpacked, open_maybe_gz, readable
from data.labels import MAX_LABEL, Label

MAX_LINE = 2**22


class Layout(NamedTuple):
    """How the lines of a file are to be read."""

    path: str | Path
    names: list[str] | None
    width: int
    column: int | None  # set apart from the features
    regression: bool


class Table(NamedTuple):
    """The numbers of a file, and the cells of the column that was set apart."""

    features: NDArray[np.float64]
    targets: list[str]


def read_csv(
    path: str | Path,
    target: str | int = -1,
    header: bool | None = None,
    delimiter: str = ",",
    labels: Sequence[Label] | None = None,
    regression: bool = False,
    encoding: str = "utf-8",
    max_bytes: int = MAX_BYTES,
) -> Dataset:
    """Read numbers and, in the target column (its name or position), labels or numbers to regress.

    The first line is a header if `header` says so, or by default if target is a name or no cell
    of that line is a number. Labels are integers if all are, else strings. gz is read too.
    Shapes:   x (N, D) float64; y (N,) class indices, or (N, 1) if regression is true
    Errors:   DataError with file, line and column: ragged lines, empty cells, what is no number.
    """
    if not isinstance(target, str | int) or isinstance(target, bool):
        raise DataError(f"csv: target must be a column's name or position, got {shown(target)}")
    table = _read_table(path, target, header, delimiter, encoding, max_bytes, regression)
    y = np.array(table.targets, np.float64) if regression else labels_of(table.targets, path)
    return from_arrays(table.features, y, str(path), labels, regression)


def read_csv_features(
    path: str | Path,
    target: str | None = None,
    header: bool | None = None,
    delimiter: str = ",",
    encoding: str = "utf-8",
    max_bytes: int = MAX_BYTES,
) -> NDArray[np.float64]:
    """Read numbers alone; a column named `target` is left out if there is one.

    Shapes:   (N, D) float64
    """
    return _read_table(path, None, header, delimiter, encoding, max_bytes, dropped=target).features


def labels_of(cells: list[str], path: str | Path) -> NDArray[np.int64] | list[str]:
    """Return the cells as integers if all are, else as strings."""
    if all(re.fullmatch(r"[+-]?\d{1,18}", cell, re.ASCII) for cell in cells):
        return np.array([int(cell) for cell in cells], dtype=np.int64)
    if all(re.fullmatch(r"[+-]?\d*\.\d+([eE][+-]?\d+)?", cell, re.ASCII) for cell in cells):
        raise DataError(
            f"{path}: the target column holds decimal numbers, such as {shown(cells[0])}; "
            "name the column of labels, or say regression = true"
        )
    if (longest := max(cells, key=len)) and len(longest) > MAX_LABEL:
        raise DataError(f"{path}: a label is longer than {MAX_LABEL} characters: {shown(longest)}")
    return cells


def _read_table(
    path: str | Path,
    target: str | int | None,
    header: bool | None,
    delimiter: str,
    encoding: str,
    max_bytes: int,
    regression: bool = False,
    dropped: str | None = None,
) -> Table:
    """Read a file whose target column must exist, or whose dropped column may."""
    import csv

    if not isinstance(delimiter, str) or len(delimiter) != 1 or delimiter in '\r\n"':
        raise DataError(f"csv: delimiter must be one character, got {shown(delimiter)}")
    with _open_text(path, encoding) as (file, bound):
        lines = _bounded(file, path, bound, max_bytes)
        reader = csv.reader(lines, delimiter=delimiter, strict=True)
        try:
            first = next((row for row in reader if row), None)
            if first is None:
                raise DataError(f"{path}: holds no lines")
            names = _names(first, header, target)
            column = _column(path, names, len(first), target, dropped)
            layout = Layout(path, names, len(first), column, regression)
            rows: Iterator[tuple[int, list[str]]] = ((reader.line_num, r) for r in reader if r)
            if names is None:
                rows = _after((reader.line_num, first), rows)
            return _numbers(rows, layout, max_bytes)
        except csv.Error as error:
            raise DataError(f"{path}: line {reader.line_num}: {error}") from None
        except UnicodeDecodeError as error:
            bad = error.object[error.start]
            raise DataError(
                f"{path}: after line {reader.line_num}: byte 0x{bad:02x} is not {encoding}; "
                "name the file's encoding, such as encoding = 'latin-1'"
            ) from None
        except UnicodeError:
            raise DataError(f"{path}: is not {encoding}; name the file's encoding") from None


def _numbers(rows: Iterator[tuple[int, list[str]]], layout: Layout, max_bytes: int) -> Table:
    """Turn the lines below the header into numbers, and set the target column apart."""
    path, _, width, column, regression = layout
    numbers, lines = array("d"), array("q")
    targets: list[str] = []
    known: dict[str, str] = {}  # one string for all equal cells
    for line, row in rows:
        if len(row) != width:
            raise DataError(
                f"{path}: line {line}: {len(row)} cells, but the first line has {width}; "
                "every line needs as many"
            )
        cells = row
        if column is not None:
            cell = row[column].strip()
            if not cell or regression:
                _check_number(cell, line, column, layout, "the target")
            targets.append(known.setdefault(cell, cell))
            cells = row[:column] + row[column + 1 :]
        try:
            if "_" in "".join(cells):  # float() would take 1_000 for a number
                raise ValueError
            numbers.extend(map(float, cells))
        except ValueError:
            for index, cell in enumerate(row):
                if index != column:
                    _check_number(cell, line, index, layout, "a feature")
            raise
        lines.append(line)
        if len(lines) % 1024 == 0:
            check_memory(path, 8 * len(numbers), max_bytes)
    if not lines:
        raise DataError(f"{path}: holds a header but no samples")
    width -= column is not None
    if width == 0:
        raise DataError(f"{path}: has no column beside the target; is the delimiter right?")
    features = np.frombuffer(numbers, np.float64).reshape(len(lines), width)
    finite = np.isfinite(features)
    if not finite.all():
        at, index = (int(i) for i in np.argwhere(~finite)[0])
        value = features[at, index]
        index += column is not None and index >= column
        place = _place(lines[at], index, layout)
        raise DataError(f"{place}: a feature is {value}; every value must be finite")
    return Table(features, targets)


@contextmanager
def _open_text(path: str | Path, encoding: str) -> Iterator[tuple[TextIO, int]]:
    import io

    encoding = "utf-8-sig" if encoding.lower().replace("-", "") == "utf8" else encoding
    with open_maybe_gz(path) as (file, bound), readable(path):
        try:
            text = io.TextIOWrapper(file, encoding=encoding, newline="")
        except (LookupError, ValueError, TypeError):
            raise DataError(f"{path}: unknown encoding {shown(encoding)}") from None
        yield text, bound


def _bounded(file: TextIO, path: str | Path, bound: int, max_bytes: int) -> Iterator[str]:
    """Yield the lines of a file, none of them and not all together beyond measure."""
    total = 0
    while line := file.readline(MAX_LINE):
        total += len(line)
        if len(line) == MAX_LINE:
            raise DataError(f"{path}: a line is longer than {MAX_LINE:,} characters; not a CSV?")
        check_unpacked(path, total, bound)
        check_memory(path, total, max_bytes)
        yield line


def _after(
    first: tuple[int, list[str]], rest: Iterator[tuple[int, list[str]]]
) -> Iterator[tuple[int, list[str]]]:
    yield first
    yield from rest


def _names(first: list[str], header: bool | None, target: str | int | None) -> list[str] | None:
    """Return the columns' names if the first line is a header."""
    if header is None:
        header = isinstance(target, str) or not any(_is_number(cell) for cell in first)
    return [name.strip() for name in first] if header else None


def _column(
    path: str | Path,
    names: list[str] | None,
    width: int,
    target: str | int | None,
    dropped: str | None,
) -> int | None:
    """Return the position of the column set apart: the target, or the dropped one if present."""
    if target is None:
        return names.index(dropped) if names and dropped in names else None
    if isinstance(target, int):
        if not -width <= target < width:
            raise DataError(
                f"{path}: no column {shown(target)}; there are {width}, "
                f"0 … {width - 1} (or -1 for the last)"
            )
        return target % width
    if names is None:
        raise DataError(f"{path}: without a header no column is called {shown(target)}")
    if names.count(target) > 1:
        raise DataError(f"{path}: line 1: {names.count(target)} columns are called {shown(target)}")
    if target not in names:
        listed = ", ".join(shown(name, 20) for name in names[:12]) + ", …" * (len(names) > 12)
        raise DataError(
            f"{path}: line 1: no column {shown(target)} among {listed}{nearest(target, names)}"
        )
    return names.index(target)


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return "_" not in cell


def _check_number(cell: str, line: int, index: int, layout: Layout, what: str) -> None:
    if not cell.strip():
        raise DataError(f"{_place(line, index, layout)}: the cell is empty")
    if not _is_number(cell):
        raise DataError(
            f"{_place(line, index, layout)}: {what} must be a number, got {shown(cell)}"
        )


def _place(line: int, index: int, layout: Layout) -> str:
    name = f" ({shown(layout.names[index], 30)})" if layout.names else ""
    return f"{layout.path}: line {line}, column {index + 1}{name}"
