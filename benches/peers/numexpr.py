from __future__ import annotations

from benches.rows import Problem

from .base import Call, Peer


class NumExpr(Peer):
    name = "numexpr"
    package = "numexpr"

    def __init__(self, threads: int) -> None:
        import numexpr

        numexpr.set_num_threads(threads)
        self.numexpr = numexpr

    def _expression(self, p: Problem, expression: str) -> Call:
        names, out = {"x": p.x, "zero": p.dtype.type(0), "one": p.dtype.type(1)}, p.empty()
        self.numexpr.evaluate(expression, names, out=out)
        return lambda: self.numexpr.re_evaluate(names)

    def exp(self, p: Problem) -> Call:
        return self._expression(p, "exp(x)")

    def relu(self, p: Problem) -> Call:
        return self._expression(p, "where(x > zero, x, zero)")

    def sigmoid(self, p: Problem) -> Call:
        return self._expression(p, "one / (one + exp(-x))")

    def silu(self, p: Problem) -> Call:
        return self._expression(p, "x / (one + exp(-x))")

    def tanh(self, p: Problem) -> Call:
        return self._expression(p, "tanh(x)")

    def softplus(self, p: Problem) -> Call:
        return self._expression(p, "log1p(exp(x))")

    def log_sigmoid(self, p: Problem) -> Call:
        return self._expression(p, "-log1p(exp(-x))")
