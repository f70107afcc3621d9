"""The lecture's second half as scripts: `python -m examples.lecture`, or one at a time.

Stanford CS231n, lecture 4: neural networks and backpropagation. Each script shows one system of the
slides, in their notation: `values()` computes the numbers, `show()` prints them, and where there is
a picture `draw(folder)` writes it.
"""
