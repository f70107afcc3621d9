"""Gates: the small nodes of which the lecture builds its computational graphs."""

from layers.gates.arithmetic import Add, Copy, Divide, Max, Multiply, Scale, Shift, Subtract
from layers.gates.arrange import Concat, Reshape, Transpose
from layers.gates.broadcasting import unbroadcast
from layers.gates.functions import Exp, Log, Power, Reciprocal
from layers.gates.products import MatMul, Mean, SquaredNorm, Sum
from layers.sigmoid import Sigmoid

__all__ = [
    "Add",
    "Concat",
    "Copy",
    "Divide",
    "Exp",
    "Log",
    "MatMul",
    "Max",
    "Mean",
    "Multiply",
    "Power",
    "Reciprocal",
    "Reshape",
    "Scale",
    "Shift",
    "Sigmoid",
    "SquaredNorm",
    "Subtract",
    "Sum",
    "Transpose",
    "unbroadcast",
]
