from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from benches.rows import Problem

from .base import Call, Peer


class Mlx(Peer):
    """Compiled graphs on the CPU; one thread, always. It has no `out=`."""

    name = "MLX"
    package = "mlx"

    def __init__(self, threads: int) -> None:
        import mlx.core
        import mlx.nn

        mlx.core.set_default_device(mlx.core.cpu)
        self.core, self.nn = mlx.core, mlx.nn

    def to_numpy(self, result: Any) -> np.ndarray:
        return np.array(result.astype(self.core.float32), dtype=np.float64)

    def _array(self, array: np.ndarray) -> Any:
        if array.dtype.name == "bfloat16":
            return self.core.array(array.astype(np.float32)).astype(self.core.bfloat16)
        if array.dtype == np.float64:
            raise NotImplementedError
        return self.core.array(array)

    def _graph(self, function: Callable, *arrays: np.ndarray) -> Call:
        arguments = [self._array(array) for array in arrays]
        compiled = self.core.compile(function)

        def call() -> Any:
            result = compiled(*arguments)
            self.core.eval(result)
            return result

        return call

    def exp(self, p: Problem) -> Call:
        return self._graph(self.core.exp, p.x)

    def relu(self, p: Problem) -> Call:
        return self._graph(self.nn.relu, p.x)

    def sigmoid(self, p: Problem) -> Call:
        return self._graph(self.core.sigmoid, p.x)

    def tanh(self, p: Problem) -> Call:
        return self._graph(self.core.tanh, p.x)

    def gelu(self, p: Problem) -> Call:
        return self._graph(self.nn.gelu, p.x)

    def gelu_tanh(self, p: Problem) -> Call:
        return self._graph(self.nn.gelu_approx, p.x)

    def silu(self, p: Problem) -> Call:
        return self._graph(self.nn.silu, p.x)

    def softplus(self, p: Problem) -> Call:
        return self._graph(self.nn.softplus, p.x)

    def log_sigmoid(self, p: Problem) -> Call:
        return self._graph(self.nn.log_sigmoid, p.x)

    def softmax(self, p: Problem) -> Call:
        if p.in_place:
            raise NotImplementedError
        return self._graph(lambda x: self.core.softmax(x, axis=p.axis), p.x)

    def log_softmax(self, p: Problem) -> Call:
        return self._graph(lambda x: self.nn.log_softmax(x, axis=p.axis), p.x)

    def logsumexp(self, p: Problem) -> Call:
        return self._graph(lambda x: self.core.logsumexp(x, axis=p.axis), p.x)

    def _losses(self, function: Callable, p: Problem, y: np.ndarray) -> Call:
        return self._graph(lambda x, y: function(x, y, reduction="mean"), p.x, y)

    def sparse_ce(self, p: Problem) -> Call:
        return self._losses(self.nn.losses.cross_entropy, p, p.class_ids)

    def dense_ce(self, p: Problem) -> Call:
        return self._losses(self.nn.losses.cross_entropy, p, p.targets)

    def bce(self, p: Problem) -> Call:
        return self._losses(self.nn.losses.binary_cross_entropy, p, p.targets)

    def mse(self, p: Problem) -> Call:
        return self._losses(self.nn.losses.mse_loss, p, p.targets)
