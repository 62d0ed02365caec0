from __future__ import annotations

import contextlib
import os
from collections.abc import Callable
from typing import Any

from benches.rows import Problem

from .base import Call, Peer


class TensorFlow(Peer):
    """Graphs of its own kernels. It has no `out=`."""

    name = "TensorFlow"
    package = "tensorflow-cpu"
    jit = False

    def __init__(self, threads: int) -> None:
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
        import tensorflow as tf

        with contextlib.suppress(RuntimeError):  # already initialised, to the same
            tf.config.threading.set_intra_op_parallelism_threads(threads)
            tf.config.threading.set_inter_op_parallelism_threads(threads)
        self.tf = tf

    def version(self) -> str:
        return self.tf.__version__

    def _graph(self, function: Callable, *arrays: Any) -> Call:
        tensors = [self.tf.constant(array) for array in arrays]
        compiled = self.tf.function(function, jit_compile=self.jit, autograph=False)
        compiled = compiled.get_concrete_function(*tensors)
        return lambda: compiled(*tensors)

    def exp(self, p: Problem) -> Call:
        return self._graph(self.tf.exp, p.x)

    def relu(self, p: Problem) -> Call:
        return self._graph(self.tf.nn.relu, p.x)

    def sigmoid(self, p: Problem) -> Call:
        return self._graph(self.tf.sigmoid, p.x)

    def tanh(self, p: Problem) -> Call:
        return self._graph(self.tf.tanh, p.x)

    def gelu(self, p: Problem) -> Call:
        return self._graph(lambda x: self.tf.nn.gelu(x, approximate=False), p.x)

    def gelu_tanh(self, p: Problem) -> Call:
        return self._graph(lambda x: self.tf.nn.gelu(x, approximate=True), p.x)

    def silu(self, p: Problem) -> Call:
        return self._graph(self.tf.nn.silu, p.x)

    def softplus(self, p: Problem) -> Call:
        return self._graph(self.tf.nn.softplus, p.x)

    def log_sigmoid(self, p: Problem) -> Call:
        return self._graph(self.tf.math.log_sigmoid, p.x)

    def softmax(self, p: Problem) -> Call:
        if p.in_place:
            raise NotImplementedError
        return self._graph(lambda x: self.tf.nn.softmax(x, p.axis), p.x)

    def log_softmax(self, p: Problem) -> Call:
        return self._graph(lambda x: self.tf.nn.log_softmax(x, p.axis), p.x)

    def logsumexp(self, p: Problem) -> Call:
        return self._graph(lambda x: self.tf.reduce_logsumexp(x, p.axis), p.x)

    def _sparse(self, x: Any, y: Any) -> Any:
        losses = self.tf.nn.sparse_softmax_cross_entropy_with_logits(labels=y, logits=x)
        return self.tf.reduce_mean(losses)

    def _binary(self, x: Any, y: Any) -> Any:
        return self.tf.reduce_mean(self.tf.nn.sigmoid_cross_entropy_with_logits(labels=y, logits=x))

    def _gradient(self, function: Callable, x: Any, y: Any) -> Call:
        def value_and_gradient(x: Any, y: Any) -> Any:
            with self.tf.GradientTape() as tape:
                tape.watch(x)
                value = function(x, y)
            return value, tape.gradient(value, x)

        call = self._graph(value_and_gradient, x, y)
        return lambda: call()[0]

    def sparse_ce(self, p: Problem) -> Call:
        return self._graph(self._sparse, p.x, p.class_ids)

    def sparse_ce_grad(self, p: Problem) -> Call:
        return self._gradient(self._sparse, p.x, p.class_ids)

    def dense_ce(self, p: Problem) -> Call:
        nn = self.tf.nn
        return self._graph(
            lambda x, y: self.tf.reduce_mean(nn.softmax_cross_entropy_with_logits(labels=y, logits=x)),
            p.x,
            p.targets,
        )

    def bce(self, p: Problem) -> Call:
        return self._graph(self._binary, p.x, p.targets)

    def bce_grad(self, p: Problem) -> Call:
        return self._gradient(self._binary, p.x, p.targets)

    def mse(self, p: Problem) -> Call:
        tf = self.tf
        return self._graph(lambda x, y: tf.reduce_mean(tf.math.squared_difference(x, y)), p.x, p.targets)


class TensorFlowXla(TensorFlow):
    """The same graphs, compiled by XLA."""

    name = "TensorFlow XLA"
    jit = True
