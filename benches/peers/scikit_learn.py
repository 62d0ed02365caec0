from __future__ import annotations

import numpy as np

from benches.rows import Problem

from .base import Call, Peer


class ScikitLearn(Peer):
    """Its private `_loss` module: per-sample values in Cython, in float64 inside."""

    name = "scikit-learn"
    package = "scikit-learn"

    def __init__(self, threads: int) -> None:
        import sklearn._loss

        self.losses = sklearn._loss
        self.threads = threads

    def bce(self, p: Problem) -> Call:
        x, y, out = p.x.ravel(), p.targets.ravel(), p.empty().ravel()
        loss = self.losses.HalfBinomialLoss()
        return lambda: loss.loss(y, x, None, loss_out=out, n_threads=self.threads).mean()

    def bce_grad(self, p: Problem) -> Call:
        x, y = p.x.ravel(), p.targets.ravel()
        out, gradient = p.empty().ravel(), p.empty().ravel()
        loss = self.losses.HalfBinomialLoss()

        def call() -> float:
            loss.loss_gradient(y, x, None, loss_out=out, gradient_out=gradient, n_threads=self.threads)
            return out.mean()

        return call

    def mse(self, p: Problem) -> Call:
        x, y, out = p.x.ravel(), p.targets.ravel(), p.empty().ravel()
        loss = self.losses.HalfSquaredError()
        return lambda: 2 * loss.loss(y, x, None, loss_out=out, n_threads=self.threads).mean()

    def _multinomial(self, p: Problem) -> tuple:
        samples, classes = p.shape
        loss = self.losses.HalfMultinomialLoss(n_classes=classes)
        return loss, p.class_ids.astype(p.dtype), np.empty(samples, p.dtype)

    def sparse_ce(self, p: Problem) -> Call:
        loss, y, out = self._multinomial(p)
        x = p.x
        return lambda: loss.loss(y, x, None, loss_out=out, n_threads=self.threads).mean()

    def sparse_ce_grad(self, p: Problem) -> Call:
        loss, y, out = self._multinomial(p)
        x, gradient = p.x, p.empty()

        def call() -> float:
            loss.loss_gradient(y, x, None, loss_out=out, gradient_out=gradient, n_threads=self.threads)
            return out.mean()

        return call
