"""Small breakages of a source file, one at a time: what a test of it ought to notice.

Each is made in the syntax tree:

    comparison   < becomes <= and >=, == becomes !=, `in` becomes `not in`, and so on
    arithmetic   + and - change places, * and /, & and |; ** becomes *; a minus sign goes
    constant     a number is raised by one or doubled, 0 becomes 1, True becomes False
    logic        `and` and `or` change places, `not` goes, a bare condition is turned round
    return       another value of the same kind: True, False, 0, nothing
    statement    a call, an assignment to a part, an early way out is left out
    slice        an end is left out

Annotations, docstrings and strings are left alone: they change what is said, not what is decided.
"""

import ast
import copy
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

COMPARED: dict[type[ast.cmpop], tuple[type[ast.cmpop], ...]] = {
    ast.Lt: (ast.LtE, ast.GtE),
    ast.LtE: (ast.Lt, ast.Gt),
    ast.Gt: (ast.GtE, ast.LtE),
    ast.GtE: (ast.Gt, ast.Lt),
    ast.Eq: (ast.NotEq,),
    ast.NotEq: (ast.Eq,),
    ast.In: (ast.NotIn,),
    ast.NotIn: (ast.In,),
    ast.Is: (ast.IsNot,),
    ast.IsNot: (ast.Is,),
}
COMPUTED: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Div,
    ast.Div: ast.Mult,
    ast.FloorDiv: ast.Mult,
    ast.Pow: ast.Mult,
    ast.Mod: ast.Mult,
    ast.BitAnd: ast.BitOr,
    ast.BitOr: ast.BitAnd,
}
RETURNED = {"bool": ("True", "False"), "float": ("0.0",), "int": ("0",), "str": ("''",)}


@dataclass
class Mutant:
    """One change: where it stands, what stood there, what stands there now."""

    tree: ast.Module
    holder: Any  # the node or list of nodes that holds the place
    place: Any  # its attribute or index there
    new: Any
    line: int
    within: str
    before: str = ""
    after: str = ""

    @property
    def change(self) -> str:
        """The change in words that do not depend on the line: what accepted survivors go by."""
        return f"{self.within}: {self.before} => {self.after}"

    def describe(self, around: ast.AST | None) -> None:
        """Put the change into words, those of the place alone or of what is around it."""
        old = self._put(self.new)
        self.after = _text(around or self.new)
        self._put(old)
        self.before = _text(around or old)

    def source(self) -> str:
        """The whole file with this one change."""
        old = self._put(self.new)
        try:
            return ast.unparse(ast.fix_missing_locations(self.tree))
        finally:
            self._put(old)

    def _put(self, value: Any) -> Any:
        if isinstance(self.holder, list):
            old, self.holder[self.place] = self.holder[self.place], value
        else:
            old = getattr(self.holder, self.place)
            setattr(self.holder, self.place, value)
        return old


def mutants(source: str) -> list[Mutant]:
    """Every mutant of a source text, in the order of its lines."""
    tree = ast.parse(source)
    found = list(_Walk(tree).run())
    return sorted(found, key=lambda mutant: mutant.line)


class _Walk:
    """A walk through the tree that knows in which function it is, and what holds each node."""

    def __init__(self, tree: ast.Module) -> None:
        self.tree = tree

    def run(self) -> Iterator[Mutant]:
        yield from self._node(self.tree, [], None)

    def _node(self, node: ast.AST, names: list[str], returns: ast.expr | None) -> Iterator[Mutant]:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            names = [*names, node.name]
            returns = getattr(node, "returns", None)
        for field, value in ast.iter_fields(node):
            if field in ("annotation", "returns", "decorator_list", "type_comment", "bases"):
                continue
            places = enumerate(value) if isinstance(value, list) else [(field, value)]
            holder = value if isinstance(value, list) else node
            for place, child in places:
                if not isinstance(child, ast.AST):
                    continue
                line = getattr(child, "lineno", getattr(node, "lineno", 0))
                for new in _changes(child, field, returns):
                    mutant = Mutant(
                        self.tree, holder, place, new, line, ".".join(names) or "module"
                    )
                    # A number alone tells little: it is shown with what it stands in.
                    mutant.describe(node if isinstance(child, ast.Constant) else None)
                    yield mutant
                if not (isinstance(child, ast.Expr) and isinstance(child.value, ast.Constant)):
                    yield from self._node(child, names, returns)


def _text(node: ast.AST) -> str:
    text = " ".join(ast.unparse(node).split())
    return text if len(text) <= 120 else text[:117] + "..."


def _with(node: Any, **changed: Any) -> Any:
    other = copy.deepcopy(node)
    for name, value in changed.items():
        setattr(other, name, value)
    return other


def _changes(node: Any, field: str, returns: ast.expr | None) -> Iterator[Any]:
    """All that may stand in place of one node."""
    if isinstance(node, ast.Compare):
        for k, op in enumerate(node.ops):
            for other in COMPARED[type(op)]:
                yield _with(node, ops=[*node.ops[:k], other(), *node.ops[k + 1 :]])
    elif isinstance(node, ast.BinOp):
        if type(node.op) in COMPUTED and not (_is_text(node.left) or _is_text(node.right)):
            yield _with(node, op=COMPUTED[type(node.op)]())
    elif isinstance(node, ast.BoolOp):
        yield _with(node, op=ast.Or() if isinstance(node.op, ast.And) else ast.And())
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not | ast.USub | ast.Invert):
        yield copy.deepcopy(node.operand)
    elif isinstance(node, ast.Constant):
        yield from (ast.Constant(value) for value in _other_values(node.value))
    elif isinstance(node, ast.Slice):
        yield from (_with(node, **ends) for ends in _other_ends(node))
    elif isinstance(node, ast.stmt):
        yield from _statements(node, returns)
    if field == "test" and isinstance(node, ast.Name | ast.Attribute | ast.Call):
        yield ast.UnaryOp(ast.Not(), copy.deepcopy(node))


def _statements(node: ast.stmt, returns: ast.expr | None) -> Iterator[Any]:
    if isinstance(node, ast.Return) and node.value is not None:
        kind = ast.unparse(returns) if returns is not None else ""
        for text in RETURNED.get(kind, ("[]",) if kind.startswith("list") else ("None",)):
            if ast.unparse(node.value) != text:
                yield ast.parse(f"def f():\n return {text}").body[0].body[0]  # type: ignore[attr-defined]
    elif isinstance(node, ast.AugAssign) and type(node.op) in COMPUTED:
        if not _is_text(node.value):
            yield _with(node, op=COMPUTED[type(node.op)]())
        yield ast.Pass()
    elif _may_be_left_out(node):
        yield ast.Pass()


def _may_be_left_out(node: ast.stmt) -> bool:
    if isinstance(node, ast.Expr):
        return not isinstance(node.value, ast.Constant)
    if isinstance(node, ast.Assign):
        return any(isinstance(t, ast.Subscript | ast.Attribute) for t in node.targets)
    if isinstance(node, ast.If):
        leaves = isinstance(node.body[-1], ast.Return | ast.Continue | ast.Raise | ast.Break)
        return leaves and not node.orelse
    return isinstance(node, ast.Continue | ast.Break | ast.Raise | ast.Delete)


def _is_text(node: ast.AST) -> bool:
    return isinstance(node, ast.JoinedStr) or (
        isinstance(node, ast.Constant) and isinstance(node.value, str)
    )


def _other_values(value: Any) -> list[Any]:
    if isinstance(value, bool):
        return [not value]
    if isinstance(value, int):
        return [value + 1]
    if isinstance(value, float):
        return [2 * value if value else 1.0]
    return []


def _other_ends(node: ast.Slice) -> list[dict[str, Any]]:
    ends: list[dict[str, Any]] = [{n: None} for n in ("lower", "upper") if getattr(node, n)]
    return ends or [{"lower": ast.Constant(1)}]
