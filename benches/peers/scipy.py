from __future__ import annotations

from benches.rows import Problem

from .base import Call, Peer


class SciPy(Peer):
    name = "SciPy"
    package = "scipy"

    def __init__(self, threads: int) -> None:
        import scipy.special

        self.special = scipy.special

    def sigmoid(self, p: Problem) -> Call:
        x, out = p.x, p.empty()
        return lambda: self.special.expit(x, out=out)

    def log_sigmoid(self, p: Problem) -> Call:
        x, out = p.x, p.empty()
        return lambda: self.special.log_expit(x, out=out)

    def softmax(self, p: Problem) -> Call:
        x = p.x
        return lambda: self.special.softmax(x, p.axis)

    def log_softmax(self, p: Problem) -> Call:
        x = p.x
        return lambda: self.special.log_softmax(x, p.axis)

    def logsumexp(self, p: Problem) -> Call:
        x = p.x
        return lambda: self.special.logsumexp(x, p.axis)
