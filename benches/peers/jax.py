from __future__ import annotations

from collections.abc import Callable
from typing import Any

from benches.rows import Problem

from .base import Call, Peer


class Jax(Peer):
    """Compiled by XLA. It has no `out=`: every call allocates its result."""

    name = "JAX"
    package = "jax"

    def __init__(self, threads: int) -> None:
        # Its threads are set before the import, by the process's affinity: see `worker.py`.
        import jax

        jax.config.update("jax_enable_x64", True)
        jax.config.update("jax_platforms", "cpu")
        self.jax = jax
        self.np = jax.numpy
        self.nn = jax.nn

    def _jit(self, function: Callable, *arrays: Any) -> Call:
        arguments = [self.np.asarray(array) for array in arrays]
        compiled = self.jax.jit(function).lower(*arguments).compile()
        return lambda: compiled(*arguments).block_until_ready()

    def exp(self, p: Problem) -> Call:
        return self._jit(self.np.exp, p.x)

    def relu(self, p: Problem) -> Call:
        return self._jit(self.nn.relu, p.x)

    def sigmoid(self, p: Problem) -> Call:
        return self._jit(self.nn.sigmoid, p.x)

    def tanh(self, p: Problem) -> Call:
        return self._jit(self.np.tanh, p.x)

    def gelu(self, p: Problem) -> Call:
        return self._jit(lambda x: self.nn.gelu(x, approximate=False), p.x)

    def gelu_tanh(self, p: Problem) -> Call:
        return self._jit(lambda x: self.nn.gelu(x, approximate=True), p.x)

    def silu(self, p: Problem) -> Call:
        return self._jit(self.nn.silu, p.x)

    def softplus(self, p: Problem) -> Call:
        return self._jit(self.nn.softplus, p.x)

    def log_sigmoid(self, p: Problem) -> Call:
        return self._jit(self.nn.log_sigmoid, p.x)

    def softmax(self, p: Problem) -> Call:
        if p.in_place:
            raise NotImplementedError
        return self._jit(lambda x: self.nn.softmax(x, p.axis), p.x)

    def log_softmax(self, p: Problem) -> Call:
        return self._jit(lambda x: self.nn.log_softmax(x, p.axis), p.x)

    def logsumexp(self, p: Problem) -> Call:
        return self._jit(lambda x: self.nn.logsumexp(x, p.axis), p.x)

    def _sparse(self, x: Any, y: Any) -> Any:
        chosen = self.np.take_along_axis(x, y[:, None], -1)[:, 0]
        return self.np.mean(self.nn.logsumexp(x, -1) - chosen)

    def _dense(self, x: Any, y: Any) -> Any:
        return -self.np.mean(self.np.sum(y * self.nn.log_softmax(x, -1), -1))

    def _binary(self, x: Any, y: Any) -> Any:
        return self.np.mean(self.np.maximum(x, 0) - x * y + self.np.log1p(self.np.exp(-self.np.abs(x))))

    def _gradient(self, function: Callable, x: Any, y: Any) -> Call:
        arguments = [self.np.asarray(x), self.np.asarray(y)]
        compiled = self.jax.jit(self.jax.value_and_grad(function)).lower(*arguments).compile()
        return lambda: self.jax.block_until_ready(compiled(*arguments))[0]

    def sparse_ce(self, p: Problem) -> Call:
        return self._jit(self._sparse, p.x, p.class_ids)

    def sparse_ce_grad(self, p: Problem) -> Call:
        return self._gradient(self._sparse, p.x, p.class_ids)

    def dense_ce(self, p: Problem) -> Call:
        return self._jit(self._dense, p.x, p.targets)

    def bce(self, p: Problem) -> Call:
        return self._jit(self._binary, p.x, p.targets)

    def bce_grad(self, p: Problem) -> Call:
        return self._gradient(self._binary, p.x, p.targets)

    def mse(self, p: Problem) -> Call:
        return self._jit(lambda x, y: self.np.mean(self.np.square(x - y)), p.x, p.targets)
