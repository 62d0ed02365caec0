from __future__ import annotations

import numpy as np

from benches.rows import Problem

from .base import Call, Peer


class NumPy(Peer):
    """Its ufuncs only: a softmax of several of them is never the fastest. Copies and reads are the limits."""

    name = "NumPy"
    package = "numpy"

    def copy(self, p: Problem) -> Call:
        x, out = p.x, p.empty()
        return lambda: np.copyto(out, x)

    def read(self, p: Problem) -> Call:
        x = p.x
        return lambda: x.max()

    def exp(self, p: Problem) -> Call:
        x, out = p.x, p.empty()
        return lambda: np.exp(x, out=out)

    def tanh(self, p: Problem) -> Call:
        x, out = p.x, p.empty()
        return lambda: np.tanh(x, out=out)

    def relu(self, p: Problem) -> Call:
        x, out, zero = p.x, p.empty(), p.dtype.type(0)
        return lambda: np.maximum(x, zero, out=out)

    def mse(self, p: Problem) -> Call:
        x, y, difference = p.x, p.targets, p.empty().ravel()

        def call() -> float:
            np.subtract(x.ravel(), y.ravel(), out=difference)
            return float(difference.dot(difference)) / difference.size

        return call
