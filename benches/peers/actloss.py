from __future__ import annotations

import numpy as np

from benches.rows import Problem

from .base import Call, Peer


class ActLoss(Peer):
    name = "actloss_rs"
    package = "actloss_rs"

    def __init__(self, threads: int) -> None:
        import actloss_rs

        actloss_rs.set_num_threads(threads)
        self.al = actloss_rs

    def version(self) -> str:
        return self.al.__version__

    def _elementwise(self, p: Problem, function: np.ufunc) -> Call:
        x, out = p.x, p.empty()
        return lambda: function(x, out=out)

    def exp(self, p: Problem) -> Call:
        return self._elementwise(p, self.al.exp)

    def relu(self, p: Problem) -> Call:
        return self._elementwise(p, self.al.relu)

    def sigmoid(self, p: Problem) -> Call:
        return self._elementwise(p, self.al.sigmoid)

    def tanh(self, p: Problem) -> Call:
        return self._elementwise(p, self.al.tanh)

    def gelu(self, p: Problem) -> Call:
        return self._elementwise(p, self.al.gelu)

    def gelu_tanh(self, p: Problem) -> Call:
        x, out = p.x, p.empty()
        return lambda: self.al.gelu(x, "tanh", out=out)

    def silu(self, p: Problem) -> Call:
        return self._elementwise(p, self.al.silu)

    def softplus(self, p: Problem) -> Call:
        return self._elementwise(p, self.al.softplus)

    def log_sigmoid(self, p: Problem) -> Call:
        return self._elementwise(p, self.al.log_sigmoid)

    def softmax(self, p: Problem) -> Call:
        x = p.x.copy() if p.in_place else p.x
        out = x if p.in_place else p.empty()
        return lambda: self.al.softmax(x, p.axis, out=out)

    def batch_norm(self, p: Problem) -> Call:
        x, out = p.x, p.empty()
        return lambda: self.al.batch_norm(x, training=True, out=out)

    def layer_norm(self, p: Problem) -> Call:
        x, out = p.x, p.empty()
        return lambda: self.al.layer_norm(x, out=out)

    def rms_norm(self, p: Problem) -> Call:
        x, out = p.x, p.empty()
        return lambda: self.al.rms_norm(x, out=out)

    def global_norm(self, p: Problem) -> Call:
        x = p.x
        return lambda: self.al.global_norm([x])

    def log_softmax(self, p: Problem) -> Call:
        x, out = p.x, p.empty()
        return lambda: self.al.log_softmax(x, p.axis, out=out)

    def logsumexp(self, p: Problem) -> Call:
        x = p.x
        return lambda: self.al.logsumexp(x, p.axis)

    def sparse_ce(self, p: Problem) -> Call:
        x, y = p.x, p.class_ids
        return lambda: self.al.sparse_categorical_crossentropy(y, x, from_logits=True)

    def sparse_ce_grad(self, p: Problem) -> Call:
        x, y, out = p.x, p.class_ids, p.empty()
        loss = self.al.losses.SparseCategoricalCrossentropy(from_logits=True)
        return lambda: loss.value_and_grad(y, x, out=out)[0]

    def dense_ce(self, p: Problem) -> Call:
        x, y = p.x, p.targets
        return lambda: self.al.categorical_crossentropy(y, x, from_logits=True)

    def bce(self, p: Problem) -> Call:
        x, y = p.x, p.targets
        return lambda: self.al.binary_crossentropy(y, x, from_logits=True)

    def bce_grad(self, p: Problem) -> Call:
        x, y, out = p.x, p.targets, p.empty()
        loss = self.al.losses.BinaryCrossentropy(from_logits=True)
        return lambda: loss.value_and_grad(y, x, out=out)[0]

    def mse(self, p: Problem) -> Call:
        x, y = p.x, p.targets
        return lambda: self.al.mean_squared_error(y, x)
