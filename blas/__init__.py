"""What NumPy does not offer of the BLAS under it: sums in place, products in halves, work for its
threads; arrays that begin where it is quickest; and how an operation is made again.

NumPy multiplies matrices with a BLAS of its own, whose product can be added to what stands in the
result's place, and which adds a multiple of a vector to another in one pass, on all its threads. It
is found by name in NumPy's wheels; where NumPy stands on another BLAS, `there` is False, and what
is done here is done by NumPy.
"""

from blas.again import again, made_again
from blas.library import there
from blas.parts import in_parts, threads
from blas.places import aligned, at_line, begin_alike, beside
from blas.products import Product, matmul, prepared
from blas.sums import axpby, axpy

__all__ = [
    "Product",
    "again",
    "aligned",
    "at_line",
    "axpby",
    "axpy",
    "begin_alike",
    "beside",
    "in_parts",
    "made_again",
    "matmul",
    "prepared",
    "there",
    "threads",
]
