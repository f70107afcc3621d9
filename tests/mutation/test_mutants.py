"""The mutants themselves: what becomes of one line, and that every one of a file can be read."""

import ast
import tomllib
from pathlib import Path

import pytest

from tests.mutation.__main__ import ACCEPTED, accepted
from tests.mutation.mutants import mutants

GRADCHECK = Path(__file__).resolve().parents[2] / "gradcheck"


@pytest.mark.parametrize(
    ("line", "others"),
    [
        ("y = a < b", {"y = a <= b", "y = a >= b"}),
        ("y = a == b", {"y = a != b"}),
        ("y = a is not b", {"y = a is b"}),
        ("y = a + b", {"y = a - b"}),
        ("y = a / b", {"y = a * b"}),
        ("y = -a", {"y = a"}),
        ("y = not a", {"y = a"}),
        ("y = a and b", {"y = a or b"}),
        ("y = 3", {"y = 4"}),
        ("y = 3.0", {"y = 6.0"}),
        ("y = True", {"y = False"}),
        ("y = a[1:]", {"y = a[2:]", "y = a[:]"}),
        ("y = a[:]", {"y = a[1:]"}),
        ("y[a] = b", {"pass"}),
        ("y -= a", {"y += a", "pass"}),
        ("f(a)", {"pass"}),
        ("y = a if b else c", {"y = a if not b else c"}),
        ("y = 'text'", set()),
        ("y: int | None = a", set()),
        ("'a docstring of 3 words'", set()),
    ],
)
def test_what_becomes_of_a_line(line, others):
    assert {mutant.source() for mutant in mutants(line)} == others


@pytest.mark.parametrize(
    ("kind", "others"),
    [("bool", {"True", "False"}), ("float", {"0.0"}), ("list[int]", {"[]"}), ("Array", {"None"})],
)
def test_another_value_is_returned_of_the_same_kind(kind, others):
    source = f"def f(a) -> {kind}:\n    return a"
    made = {mutant.source().split("return ")[1] for mutant in mutants(source)}
    assert made == others


def test_a_change_is_told_with_its_function_and_its_line():
    (first, *_) = mutants("class A:\n    def f(self, x):\n        return x[1]")
    assert first.line == 3
    assert first.change in ("A.f: return x[1] => return None", "A.f: x[1] => x[2]")


def test_a_mutant_leaves_the_tree_as_it_was():
    source = "def f(a, b):\n    return a + b"
    found = mutants(source)
    for mutant in found:
        assert mutant.source() != source
        assert ast.unparse(mutant.tree) == source


def test_each_mutant_of_a_file_is_another_file_that_can_be_read():
    text = (GRADCHECK / "narrow.py").read_text()
    plain = ast.unparse(ast.parse(text))
    for mutant in mutants(text):
        assert ast.unparse(ast.parse(mutant.source())) != plain, mutant.change


def test_every_accepted_survivor_has_its_reason():
    lists = tomllib.loads(ACCEPTED.read_text())
    assert set(lists) <= {path.name for path in GRADCHECK.glob("*.py")}
    for name, entries in lists.items():
        assert len(accepted(Path(name))) == len(entries)
        assert all(len(reason) > 10 for reason in accepted(Path(name)).values())
